//! The metadata of one installation: what is read and written, whatever engine is below.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_types::{Clock, Digest, Entropy, OriginId, Reference, RepositoryName, clock};
use tokio::sync::watch;

use crate::blob::{BlobRecord, LinkedBlob};
use crate::cache::{self, Record, RecordCache};
use crate::change::Commit;
use crate::engine::Engine;
use crate::error::{MetaError, Result};
use crate::manifest::StoredManifest;
use crate::postgres::{Listener, Postgres, Purpose, Target};
use crate::queue::Committed;
use crate::repository::RegistryKey;
use crate::schema;
use crate::sql::{Link, Snapshot, Tx};
use crate::sqlite::{self, Durability, Sqlite};

/// The file that holds the state, in the data directory.
pub const STATE_FILE: &str = "meta.db";
/// The file that holds upload sessions, in the data directory.
pub const SESSIONS_FILE: &str = "sessions.db";

/// Reading connections: SQLite answers on the caller's thread, so as many as there are runtime threads serve.
const READERS: usize = 4;
/// Connections for reading a database that others share, and those for reading sessions.
const SHARED_READERS: usize = 8;
const SHARED_SESSION_READERS: usize = 2;

/// The metadata engine. Cheap to share behind an `Arc`; dropping it ends the writer after what is queued.
#[derive(Debug)]
pub struct Meta {
    state: Engine,
    sessions: Engine,
    /// `None` where other processes write too: what was read is then asked for again.
    cache: Option<Arc<RecordCache>>,
    journal: watch::Receiver<u64>,
    /// What this process wrote, where others write too.
    own: Option<Arc<OwnWrites>>,
    _listener: Option<Listener>,
}

/// The sequences of the journal's entries that this process wrote last.
#[derive(Debug, Default)]
struct OwnWrites(Mutex<VecDeque<Range<i64>>>);

/// Batches that are remembered.
const OWN_WRITES_MAX: usize = 65_536;

impl OwnWrites {
    fn ranges(&self) -> MutexGuard<'_, VecDeque<Range<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, written: Range<i64>) {
        let mut ranges = self.ranges();
        if ranges.len() == OWN_WRITES_MAX {
            ranges.pop_front();
        }
        ranges.push_back(written);
    }

    fn contains(&self, seq: i64) -> bool {
        let ranges = self.ranges();
        let found = ranges.partition_point(|range| range.end <= seq);
        ranges.get(found).is_some_and(|range| range.contains(&seq))
    }
}

/// What an installation is made with.
#[derive(Debug, Clone)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Identifies the machine's present boot. Sessions of an earlier one are forgotten: their bytes were never
    /// synced.
    pub boot: String,
}

impl Meta {
    /// Opens the metadata in the folder `path`, making or migrating it as needed.
    ///
    /// # Errors
    /// [`MetaError::Newer`] when a newer version wrote it; otherwise whatever the engine says.
    pub fn open(path: &Path, environment: &Environment) -> Result<Self> {
        let origin = OriginId::from_bytes(clock::random(environment.entropy.as_ref()));
        let clock = &environment.clock;
        let cache = Arc::new(RecordCache::new());
        let (hint, journal) = watch::channel(0);
        let forget = Arc::clone(&cache);
        let after_commit = Box::new(move |committed: &Committed| {
            forget.forget(&committed.touched);
            if !committed.written.is_empty() {
                hint.send_modify(|commits| *commits += 1);
            }
        });
        let now_us = clock.now_us();
        let state = Sqlite::open(
            &path.join(STATE_FILE),
            Durability::Synced,
            Arc::clone(clock),
            READERS,
            |connection| schema::prepare_state(connection, &origin, now_us),
            after_commit,
        )?;
        schema::drop_stale_sessions(path, &environment.boot)?;
        let sessions = Sqlite::open(
            &path.join(SESSIONS_FILE),
            Durability::Unsynced,
            Arc::clone(clock),
            READERS,
            schema::prepare_sessions,
            Box::new(|_| {}),
        )?;
        let (state, sessions) = (Engine::Sqlite(state), Engine::Sqlite(sessions));
        Ok(Self { state, sessions, cache: Some(cache), journal, own: None, _listener: None })
    }

    /// Opens the metadata in the PostgreSQL database that `url` names, making or migrating it as needed. Any number of
    /// processes may have it open.
    ///
    /// # Errors
    /// [`MetaError::Newer`] when a newer version wrote it that this one cannot work beside; [`MetaError::Address`] for a
    /// `url` that is none; otherwise whatever the engine says.
    pub async fn connect(url: &str, environment: &Environment) -> Result<Self> {
        let target = Target::parse(url).map_err(MetaError::Address)?;
        let clock = Arc::clone(&environment.clock);
        let origin = OriginId::from_bytes(clock::random(environment.entropy.as_ref()));
        // The driver blocks its thread, which must not be one of the runtime's.
        let opened = tokio::task::spawn_blocking(move || Self::open_shared(&target, &clock, &origin)).await;
        opened.map_err(|_| MetaError::Stopped)?
    }

    fn open_shared(target: &Target, clock: &Arc<dyn Clock>, origin: &OriginId) -> Result<Self> {
        Postgres::prepare(target, origin, clock.now_us())?;
        let (hint, journal) = watch::channel(0);
        let heard = hint.clone();
        let listener = Listener::start(target, move || heard.send_modify(|commits| *commits += 1))?;
        let own = Arc::new(OwnWrites::default());
        let noted = Arc::clone(&own);
        let after_commit = Box::new(move |committed: &Committed| {
            if !committed.written.is_empty() {
                noted.note(committed.written.clone());
                hint.send_modify(|commits| *commits += 1);
            }
        });
        let state = Postgres::open(target, Purpose::State, Arc::clone(clock), SHARED_READERS, after_commit)?;
        let quiet = Box::new(|_: &Committed| {});
        let sessions = Postgres::open(target, Purpose::Sessions, Arc::clone(clock), SHARED_SESSION_READERS, quiet)?;
        let (state, sessions) = (Engine::Postgres(state), Engine::Postgres(sessions));
        Ok(Self { state, sessions, cache: None, journal, own: Some(own), _listener: Some(listener) })
    }

    /// Whether other processes may have the same metadata open.
    pub fn is_shared(&self) -> bool {
        self.cache.is_none()
    }

    /// Whether this process wrote the journal's entry `seq`, a short while ago at most.
    pub fn wrote(&self, seq: i64) -> bool {
        self.own.as_ref().is_none_or(|own| own.contains(seq))
    }

    /// Runs `read` on a consistent view of the state.
    pub async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Snapshot<'_>) -> T + Send + 'static) -> T {
        self.state.read(read).await
    }

    /// Runs `write` as one transaction, durable with its journal rows when this answers. A refusal leaves nothing
    /// behind.
    pub async fn write<T, E, F>(&self, write: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
    {
        self.state.write(write).await
    }

    /// As [`Meta::read`], of the upload sessions.
    pub async fn read_sessions<T: Send + 'static>(&self, read: impl FnOnce(&Snapshot<'_>) -> T + Send + 'static) -> T {
        self.sessions.read(read).await
    }

    /// As [`Meta::write`], of the upload sessions, which survive the process but are not synced.
    pub async fn write_sessions<T, E, F>(&self, write: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
    {
        self.sessions.write(write).await
    }

    /// Changes whenever the journal grew. A hint to look: whoever follows the journal is right without it.
    pub fn journal_hint(&self) -> watch::Receiver<u64> {
        self.journal.clone()
    }

    /// The manifest that `reference` names in a repository, as of the last commit.
    pub async fn manifest(
        &self,
        registry: RegistryKey,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Arc<StoredManifest>>> {
        let vacancy = match &self.cache {
            None => None,
            Some(cache) => match cache.get(cache::manifest_key(registry, repository, reference)) {
                Ok(Record::Manifest(manifest)) => return Ok(Some(manifest)),
                Ok(Record::Link(_)) => return Err(MetaError::Corrupt { what: "cached record" }),
                Err(vacancy) => Some((cache, vacancy)),
            },
        };
        let (repository, reference) = (repository.clone(), reference.clone());
        let read = self.state.read_once(move |snapshot| snapshot.manifest(registry, &repository, &reference));
        let found = read.await?.map(Arc::new);
        if let (Some(manifest), Some((cache, vacancy))) = (&found, vacancy) {
            cache.fill(vacancy, Record::Manifest(Arc::clone(manifest)));
        }
        Ok(found)
    }

    /// The blob that a repository may serve under `digest`, as of the last commit.
    pub async fn link(
        &self,
        registry: RegistryKey,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<LinkedBlob>>> {
        let vacancy = match &self.cache {
            None => None,
            Some(cache) => match cache.get(cache::link_key(registry, repository, digest)) {
                Ok(Record::Link(link)) => return Ok(Some(link)),
                Ok(Record::Manifest(_)) => return Err(MetaError::Corrupt { what: "cached record" }),
                Err(vacancy) => Some((cache, vacancy)),
            },
        };
        let (repository, digest) = (repository.clone(), *digest);
        let read = self.state.read_once(move |snapshot| snapshot.link(registry, &repository, &digest));
        let found = read.await?.map(Arc::new);
        if let (Some(link), Some((cache, vacancy))) = (&found, vacancy) {
            cache.fill(vacancy, Record::Link(Arc::clone(link)));
        }
        Ok(found)
    }

    /// How many records the cache holds, and their bytes.
    #[cfg(test)]
    pub(crate) fn cached(&self) -> (usize, usize) {
        self.cache.as_ref().map_or((0, 0), |cache| cache.size())
    }

    /// Writes a consistent copy of the state to the file `path`, which must not be there. Blocks the calling thread.
    pub fn copy_state_to(&self, path: &Path) -> Result<()> {
        self.state.copy_to(path)
    }
}

/// At most `limit` blobs after `after`, by digest, that the copy of a state in the file `path` names. Blocks the
/// calling thread.
///
/// # Errors
/// Whatever the engine says of the file.
pub fn blobs_in_copy(path: &Path, after: Option<&Digest>, limit: usize) -> Result<Vec<BlobRecord>> {
    let connection = sqlite::open_reader(path)?;
    Snapshot::new(Link::Sqlite(&connection)).blobs_after(after, limit)
}
