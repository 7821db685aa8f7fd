//! A data directory that is open: one process each, one key, one state.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kogge_core::seal::KeyEncryptionKey;
use kogge_core::{Core, Settings, SystemEntropy};
use kogge_meta::{Environment, Meta, STATE_FILE};
use kogge_store::DiskStore;
use kogge_types::{Clock, Entropy, SystemClock};
use rustix::fs::{FlockOperation, flock};

use crate::config::Config;

/// The file whose lock says that somebody uses the data directory, and who.
const LOCK_FILE: &str = "kogge.lock";
/// The file that holds the key-encryption key.
pub(crate) const KEY_FILE: &str = "secret.key";
/// The socket on which a running server takes local verbs.
pub(crate) const SOCKET_FILE: &str = "admin.sock";
/// The folder that holds blobs and uploads.
const STORE_FOLDER: &str = "store";

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    #[error("the data directory {} is in use by process {pid}", path.display())]
    InUse { path: PathBuf, pid: String },
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is not a key of 32 bytes; put back the key that belongs to the registry's data", .0.display())]
    Key(PathBuf),
    #[error("open the metadata: {0}")]
    Meta(#[from] kogge_meta::MetaError),
    #[error("open the blob store: {0}")]
    Store(#[from] kogge_store::StoreError),
    #[error("open the registry: {0}")]
    Core(#[from] kogge_core::Error),
}

fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> InstallationError {
    move |source| InstallationError::Io { action, path: path.to_owned(), source }
}

/// An open data directory. Dropping it lets another process have it.
#[derive(Debug)]
pub struct Installation {
    pub core: Arc<Core>,
    _lock: Lock,
}

/// The exclusive use of a data directory.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Takes the data directory, making it when there is none.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, InstallationError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(data_dir).map_err(io("make the data directory", data_dir))?;
        let path = data_dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("open the lock", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            return Err(InstallationError::InUse { path: data_dir.to_owned(), pid: pid.trim().to_owned() });
        }
        file.set_len(0).map_err(io("write the lock", &path))?;
        writeln!(file, "{}", std::process::id()).map_err(io("write the lock", &path))?;
        Ok(Self(file))
    }
}

impl Installation {
    /// Opens what `config` names: the data directory for this process alone, the database with whoever else has it open.
    ///
    /// # Errors
    /// [`InstallationError::InUse`] names the process that has the data directory.
    pub async fn open_configured(config: &Config) -> Result<Self, InstallationError> {
        let data_dir = &config.server.data_dir;
        let lock = Lock::take(data_dir)?;
        let shared = config.database.url.as_ref();
        let kek = match &config.server.key_file {
            Some(path) => read_key(path)?,
            None => key(data_dir, shared.is_some() || data_dir.join(STATE_FILE).exists())?,
        };
        let meta = match shared {
            Some(url) => Arc::new(Meta::connect(url.expose(), &environment()).await?),
            None => open_meta(data_dir)?,
        };
        Self::assemble(lock, meta, open_store(data_dir)?, kek, Some(Settings::from(config)), Arc::new(SystemClock))
            .await
    }

    async fn assemble(
        lock: Lock,
        meta: Arc<Meta>,
        store: DiskStore,
        kek: KeyEncryptionKey,
        settings: Option<Settings>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InstallationError> {
        let core = Core::open(meta, Arc::new(store), clock, Arc::new(SystemEntropy), Arc::new(kek), settings).await?;
        Ok(Self { core, _lock: lock })
    }

    /// Opens the data directory for this process alone: with `settings`, which are kept, or with those that were kept
    /// last.
    ///
    /// # Errors
    /// [`InstallationError::InUse`] names the process that has it.
    pub async fn open(data_dir: &Path, settings: Option<Settings>) -> Result<Self, InstallationError> {
        Self::open_by(data_dir, settings, Arc::new(SystemClock)).await
    }

    /// The same by another clock than the machine's.
    ///
    /// # Errors
    /// As [`Installation::open`].
    pub async fn open_by(
        data_dir: &Path,
        settings: Option<Settings>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InstallationError> {
        let lock = Lock::take(data_dir)?;
        let kek = key(data_dir, data_dir.join(STATE_FILE).exists())?;
        let (meta, store) = (open_meta(data_dir)?, open_store(data_dir)?);
        Self::assemble(lock, meta, store, kek, settings, clock).await
    }
}

pub(crate) fn open_meta(data_dir: &Path) -> Result<Arc<Meta>, InstallationError> {
    Ok(Arc::new(Meta::open(data_dir, &environment())?))
}

fn environment() -> Environment {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Environment { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), boot: boot.trim().to_owned() }
}

pub(crate) fn open_store(data_dir: &Path) -> Result<DiskStore, InstallationError> {
    Ok(DiskStore::open(&data_dir.join(STORE_FOLDER))?)
}

/// The key-encryption key of the data directory, made on the first start. Where there is a state, its key is not made
/// anew: it would open nothing.
fn key(data_dir: &Path, has_state: bool) -> Result<KeyEncryptionKey, InstallationError> {
    let path = data_dir.join(KEY_FILE);
    if !has_state && !path.exists() {
        let mut fresh = [0; KeyEncryptionKey::BYTES];
        SystemEntropy.fill(&mut fresh);
        write_secret(&path, &fresh).map_err(io("write the key", &path))?;
    }
    read_key(&path)
}

fn read_key(path: &Path) -> Result<KeyEncryptionKey, InstallationError> {
    let bytes = std::fs::read(path).map_err(io("read the key", path))?;
    let bytes: [u8; KeyEncryptionKey::BYTES] = bytes.try_into().map_err(|_| InstallationError::Key(path.to_owned()))?;
    Ok(KeyEncryptionKey::new(&bytes))
}

/// Writes a file that only its owner may read, durably and whole or not at all.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
