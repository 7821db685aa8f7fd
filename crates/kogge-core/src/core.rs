//! What a node needs to answer.

use std::sync::Arc;
use std::time::Duration;

use kogge_meta::{Commit, Meta, Registry};
use kogge_store::BlobStore;
use kogge_types::{Clock, Entropy, RegistryId, RegistryName, RepositoryName, clock, limits};
use serde::{Deserialize, Serialize};

use crate::audit::{AuditSettings, Recorder};
use crate::auth::keys::SigningKeys;
use crate::auth::login::Logins;
use crate::auth::policy::PolicyCell;
use crate::auth::token::TokenCache;
use crate::currency::Currency;
use crate::directory::{self, Deployment};
use crate::error::{Error, Result};
use crate::gc::Counters;
use crate::identity::Identity;
use crate::quota::UsageBook;
use crate::seal::KeyEncryptionKey;
use crate::session::Sessions;
use crate::turn::Pending;

/// What an operator may set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How long content that nothing names is kept.
    pub gc_grace: Duration,
    /// How often garbage is collected.
    pub gc_interval: Duration,
    /// How long an upload session may lie idle.
    pub upload_life: Duration,
    /// How long after a blob was last verified it is verified again.
    pub scrub_interval: Duration,
    /// Bytes a second that verification reads at most.
    pub scrub_bytes_per_second: u64,
    /// How long journal entries are kept after everybody has read them.
    pub journal_keep: Duration,
    /// Whether anybody may pull from every registry without a login.
    pub anonymous_pull: bool,
    /// Whether an image may name blobs that its repository does not hold.
    pub sparse_images: bool,
    /// Bytes that each registry may hold that has no quota for `*` of its own.
    pub registry_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gc_grace: limits::GC_GRACE_DEFAULT,
            gc_interval: Duration::from_secs(15 * 60),
            upload_life: limits::UPLOAD_LIFE_DEFAULT,
            scrub_interval: Duration::from_secs(30 * 24 * 60 * 60),
            scrub_bytes_per_second: limits::SCRUB_BYTES_PER_SECOND_DEFAULT,
            journal_keep: Duration::from_secs(7 * 24 * 60 * 60),
            anonymous_pull: false,
            sparse_images: false,
            registry_bytes: None,
        }
    }
}

/// A repository of a registry: what nearly every use case is about.
#[derive(Debug, Clone)]
pub struct Target {
    pub registry: Arc<Registry>,
    pub repository: RepositoryName,
}

/// The machine's source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the system's random source does not fail once seeded");
    }
}

/// One node's view of an installation: the metadata, the blobs and the rules over them.
#[derive(Debug)]
pub struct Core {
    pub(crate) meta: Arc<Meta>,
    pub(crate) store: Arc<dyn BlobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) policy: PolicyCell,
    pub(crate) currency: Currency,
    pub(crate) deployment: Deployment,
    pub(crate) kek: Arc<KeyEncryptionKey>,
    pub(crate) keys: SigningKeys,
    pub(crate) identity: Identity,
    pub(crate) tokens: TokenCache,
    pub(crate) logins: Logins,
    /// Held for reading by whatever takes stored copies out of service or removes them, for writing by a backup.
    pub(crate) removal: tokio::sync::RwLock<()>,
    /// Held by whoever follows the journal.
    pub(crate) following: tokio::sync::Mutex<()>,
    /// The last journal sequence that was followed.
    pub(crate) followed: std::sync::atomic::AtomicI64,
    pub(crate) counters: Counters,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) pending: Pending,
    pub(crate) usage: UsageBook,
    /// Permits for bodies that are hashed beside their reading.
    pub(crate) hash_threads: tokio::sync::Semaphore,
    audit: std::sync::OnceLock<Recorder>,
}

impl Core {
    /// Builds the rules over an opened installation: makes what a new one needs (signing key, default registry)
    /// and loads the policy. `settings` are kept; without any, those that were kept last hold.
    pub async fn open(
        meta: Arc<Meta>,
        store: Arc<dyn BlobStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        kek: Arc<KeyEncryptionKey>,
        settings: Option<Settings>,
    ) -> Result<Arc<Self>> {
        let settings = settle_settings(&meta, settings).await?;
        let keys = SigningKeys::settle(&meta, &entropy, &kek, clock.now_us()).await?;
        let default: RegistryName = DEFAULT_REGISTRY.parse().expect("the default registry's name is valid");
        let id = RegistryId::from_bytes(clock::random(entropy.as_ref()));
        meta.write(move |tx| {
            if tx.registries()?.iter().any(|registry| registry.name == default) {
                return Ok::<_, Error>(Commit::quiet(()));
            }
            directory::put_registry(tx, id, &default, false).map(|commit| commit.map(drop))
        })
        .await?;
        let deployment = meta.read(Deployment::read).await?;
        // Before the policy is read: what comes later is followed.
        let currency = Currency::since(meta.read(|snapshot| snapshot.journal_head()).await?.seq);
        let logins = Logins::new(Arc::clone(&clock), entropy.as_ref());
        let core = Self {
            policy: PolicyCell::default(),
            currency,
            tokens: TokenCache::new(),
            removal: tokio::sync::RwLock::new(()),
            following: tokio::sync::Mutex::new(()),
            followed: std::sync::atomic::AtomicI64::new(0),
            counters: Counters::default(),
            sessions: Arc::new(Sessions::new(Arc::clone(&meta))),
            identity: Identity::new(Arc::clone(&clock)),
            pending: Pending::default(),
            usage: UsageBook::default(),
            hash_threads: tokio::sync::Semaphore::new(limits::HASH_THREADS_MAX),
            audit: std::sync::OnceLock::new(),
            meta,
            store,
            clock,
            entropy,
            settings,
            deployment,
            kek,
            keys,
            logins,
        };
        core.reload_policy().await?;
        Ok(Arc::new(core))
    }

    /// Opens the audit. Before this, and without it, nothing is recorded; a second call changes nothing.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    pub async fn open_audit(&self, settings: AuditSettings) -> std::io::Result<()> {
        let clock = Arc::clone(&self.clock);
        let opening = tokio::task::spawn_blocking(move || Recorder::open(settings, clock));
        let recorder = opening.await.map_err(std::io::Error::other)??;
        self.audit.get_or_init(|| recorder);
        Ok(())
    }

    /// Who did what: takes events and answers questions about them.
    pub fn audit(&self) -> &Recorder {
        static OFF: Recorder = Recorder::off();
        self.audit.get().unwrap_or(&OFF)
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What all nodes have under `name`: the first value that any of them gives, sealed in the database.
    pub async fn settle_secret(&self, name: &'static str, value: &[u8]) -> Result<Vec<u8>> {
        let sealed = self.kek.seal(self.entropy.as_ref(), name, value);
        let kept = self.meta.write(move |tx| tx.settle_setting(name, &sealed).map(Commit::quiet)).await?;
        self.kek.open(name, &kept).map_err(Error::internal)
    }

    /// Proves that metadata and blob store answer and take writes.
    pub async fn probe(&self) -> Result<()> {
        self.meta.write(|_| Ok::<_, Error>(Commit::quiet(()))).await?;
        self.store.probe().await?;
        Ok(())
    }

    /// Microseconds since the Unix epoch.
    pub fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// When content that is told of now may be collected.
    pub(crate) fn grace_end_us(&self) -> i64 {
        self.now_us().saturating_add(clock::micros(self.settings.gc_grace))
    }
}

/// The name under which the settings in force are kept.
const SETTINGS: &str = "settings";

async fn settle_settings(meta: &Meta, settings: Option<Settings>) -> Result<Settings> {
    match settings {
        Some(settings) => {
            let kept = serde_json::to_vec(&settings).map_err(Error::internal)?;
            meta.write(move |tx| tx.put_setting(SETTINGS, &kept).map(Commit::quiet)).await?;
            Ok(settings)
        }
        None => {
            let kept = meta.read(|snapshot| snapshot.setting(SETTINGS)).await?;
            Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default())
        }
    }
}

/// The registry that `localhost` and the bare domain stand for.
pub const DEFAULT_REGISTRY: &str = "default";
