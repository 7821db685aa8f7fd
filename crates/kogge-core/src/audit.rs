//! The audit: who did what, when, from where, and with what result.
//!
//! Requests tell of themselves: an event goes through a bounded ring in memory ([`Recorder::record`] never waits) to a
//! thread that brings it to segment files within a second. Changes that no request told of come from the journal
//! (`journal`), which a cursor follows durably. Every change is told once: `coverage` says which ones requests have told
//! of. The files are read by [`Recorder::query`].

mod coverage;
mod event;
mod journal;
mod line;
mod lines;
mod query;
mod ring;
mod segment;
mod writer;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kogge_types::Clock;

pub use event::{
    DenialEvent, DenialReason, Event, Kind, KindError, LoginEvent, ManagementEvent, Outcome, RepositoryEvent,
    RepositoryOperation, Request,
};
pub use query::{AuditPage, AuditQuery, Order, Position, PositionError, Record};
pub use writer::{Copy, Counters, Retention};

pub(crate) use journal::follow;

use coverage::Coverage;
use line::Origin;
use ring::{Mark, Put, Ring, registry_mark};
use segment::Catalog;
use writer::Writer;

/// How long a query waits until it sees what was recorded just before it.
const FLUSH_TIME: Duration = Duration::from_secs(2);

thread_local! {
    /// The line being made, kept for the next one.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How the audit is kept.
pub struct AuditSettings {
    /// The folder of the segments; without one they are not kept, and cannot be asked.
    pub folder: Option<PathBuf>,
    pub retention: Retention,
    /// Where lines go beside the segments.
    pub copy: Option<Copy>,
    /// The column `Region`.
    pub region: String,
    /// The column `UserTenantId`.
    pub tenant: String,
}

impl fmt::Debug for AuditSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, retention, copy, region, tenant } = self;
        f.debug_struct("AuditSettings")
            .field("folder", folder)
            .field("retention", retention)
            .field("copy", &copy.is_some())
            .field("region", region)
            .field("tenant", tenant)
            .finish()
    }
}

/// Why the audit does not answer.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("no audit is kept in files here: audit.output says so")]
    NotKept,
    #[error("read the audit's files: {0}")]
    Io(#[from] std::io::Error),
}

#[derive(Debug)]
struct Shared {
    ring: Arc<Ring>,
    catalog: Option<Arc<Catalog>>,
    counters: Arc<Counters>,
    origin: Arc<Origin>,
    coverage: Mutex<Coverage>,
    /// Until it is waited for.
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ring.close();
    }
}

/// Takes events and answers questions about them. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Option<Arc<Shared>>);

impl Recorder {
    /// A recorder that takes nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Opens the audit and starts its writer. Reads a segment that a crash left unfinished.
    ///
    /// # Errors
    /// A folder that cannot be made or read, or a thread that cannot be started.
    pub fn open(settings: AuditSettings, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let AuditSettings { folder, retention, copy, region, tenant } = settings;
        let catalog = folder.map(Catalog::open).transpose()?.map(Arc::new);
        let (ring, counters) = (Arc::new(Ring::new()), Arc::new(Counters::default()));
        let origin = Arc::new(Origin { region, tenant });
        let mut writer = Writer::new(Arc::clone(&ring), clock, Arc::clone(&counters), Arc::clone(&origin), retention);
        writer.catalog.clone_from(&catalog);
        writer.copy = copy;
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        let (coverage, writer) = (Mutex::default(), Mutex::new(Some(thread)));
        Ok(Self(Some(Arc::new(Shared { ring, catalog, counters, origin, coverage, writer }))))
    }

    /// Whether events are taken at all: who has to gather one may save the work.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes an event. Never waits.
    pub fn record(&self, event: &Event<'_>) {
        let Some(shared) = &self.0 else { return };
        shared.coverage().note(event);
        shared.put(event, None);
    }

    /// Brings everything recorded so far to the disk. Says whether it is there.
    pub async fn flush(&self) -> bool {
        match &self.0 {
            Some(shared) => shared.ring.flush(FLUSH_TIME).await,
            None => true,
        }
    }

    /// Brings everything to the disk and ends the writer; what is recorded later is lost.
    pub async fn close(&self) {
        let Some(shared) = &self.0 else { return };
        shared.ring.close();
        let writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has nothing more to write.
            let ended = tokio::task::spawn_blocking(move || drop(writer.join()));
            let _ = tokio::time::timeout(FLUSH_TIME, ended).await;
        }
    }

    /// What was done since the process started.
    pub fn counters(&self) -> Option<&Counters> {
        self.0.as_deref().map(|shared| shared.counters.as_ref())
    }

    /// Answers one page. It has what was recorded before, unless the disk stands still.
    ///
    /// # Errors
    /// [`AuditError::NotKept`] when there are no files to ask.
    pub async fn query(&self, query: AuditQuery) -> Result<AuditPage, AuditError> {
        let catalog = self.0.as_ref().and_then(|shared| shared.catalog.clone()).ok_or(AuditError::NotKept)?;
        self.flush().await;
        let answered = tokio::task::spawn_blocking(move || query::answer(&catalog, &query)).await;
        Ok(answered.map_err(std::io::Error::other)??)
    }
}

impl Shared {
    fn coverage(&self) -> MutexGuard<'_, Coverage> {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, event: &Event<'_>, journal_sequence: Option<i64>) {
        let request = event.request();
        let mark = Mark {
            time_us: request.time_us,
            kind: event.kind(),
            registry: registry_mark(line::word(event.registry())),
            journal_sequence: journal_sequence.unwrap_or(0),
        };
        let put = LINE.with_borrow_mut(|line| {
            line.clear();
            line::encode(line, event, &self.origin, journal_sequence);
            self.ring.put(event, line, mark)
        });
        let counter = match put {
            Put::Kept => &self.counters.recorded,
            Put::Folded => &self.counters.folded,
            Put::Dropped => &self.counters.dropped,
        };
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
