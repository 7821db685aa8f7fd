//! The PostgreSQL engine: for regions of several nodes.
//!
//! Writes of the state are one at a time in a whole region: each transaction first locks the one row of `journal_head`.
//! That is what makes the journal's order the order of commits; it also gives the verbs the same world as on SQLite, in
//! which nobody else writes meanwhile, so that no transaction ever fails because of another. Each node gathers what
//! waits into one transaction, which makes one lock and one sync carry many. Reads take no lock.

mod connection;
mod listener;
mod schema;
mod session;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kogge_types::{Clock, OriginId, Stamp};
use tokio::sync::{mpsc, oneshot};

pub(crate) use connection::{Connection, int};
pub(crate) use listener::Listener;
use session::Session;
pub(crate) use session::Target;

use crate::change::Commit;
use crate::error::{MetaError, Result};
use crate::journal;
use crate::queue::{self, AfterCommit, Committed, Job, Queue, Waiting};
use crate::sql::{Link, Snapshot, Tx};

/// What a set of connections writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The state: journalled, synced, one writer at a time.
    State,
    /// Upload sessions: neither journalled nor synced; each is held by its own epoch.
    Sessions,
}

/// Reads that wait for a free connection; further ones wait to be queued.
const READERS_QUEUE: usize = 256;

type Read = Box<dyn FnOnce(&mut Session) + Send>;

#[derive(Debug)]
pub(crate) struct Postgres {
    /// `None` only while the engine ends.
    queue: Option<Queue>,
    reads: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

/// Waits for what is queued.
impl Drop for Postgres {
    fn drop(&mut self) {
        self.queue = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // One that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

impl Postgres {
    /// Brings the database at `target` to the present schema, whoever else starts at the same time; a new one gets the
    /// identity `origin`.
    pub(crate) fn prepare(target: &Target, origin: &OriginId, now_us: i64) -> Result<()> {
        schema::prepare(&Session::new(target.clone()).connect()?, origin, now_us)
    }

    pub(crate) fn open(
        target: &Target,
        purpose: Purpose,
        clock: Arc<dyn Clock>,
        readers: usize,
        after_commit: AfterCommit,
    ) -> Result<Self> {
        let (queue, waiting) = Queue::new();
        let (reads, asked) = mpsc::channel::<Read>(READERS_QUEUE);
        let asked = Arc::new(Mutex::new(asked));
        let mut threads = Vec::new();
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> Result<()> {
            threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(work)?);
            Ok(())
        };
        let writer = Writer { session: Session::new(target.clone()), clock, purpose };
        spawn("metadata-writer", Box::new(move || writer.run(waiting, &after_commit)))?;
        for _ in 0..readers {
            let (asked, mut session) = (Arc::clone(&asked), Session::new(target.clone()));
            let work = move || {
                loop {
                    let next = asked.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    match next {
                        Some(read) => read(&mut session),
                        None => return,
                    }
                }
            };
            spawn("metadata-reader", Box::new(work))?;
        }
        Ok(Self { queue: Some(queue), reads: Some(reads), threads })
    }

    /// Runs `read` on one state of the data, or, when it is a single statement (`once`), on the present one.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        once: bool,
        read: impl FnOnce(&Snapshot<'_>) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = oneshot::channel();
        let work: Read = Box::new(move |session| {
            let outcome = catch_unwind(AssertUnwindSafe(|| session.read(once, read)));
            // Nobody waits any more when the client left.
            let _ = answer.send(outcome);
        });
        let reads = self.reads.as_ref().expect("an engine that is used has not ended");
        reads.send(work).await.expect("readers end with the engine only");
        match answered.await.expect("a reader answers or hands its panic on") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs `write` within the next transaction, and answers when that is durable.
    pub(crate) async fn write<T, E, F>(&self, write: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
    {
        self.queue.as_ref().ok_or(MetaError::Stopped)?.write(write).await
    }
}

struct Writer {
    session: Session,
    clock: Arc<dyn Clock>,
    purpose: Purpose,
}

impl Writer {
    fn run(mut self, waiting: Waiting, after_commit: &AfterCommit) {
        queue::serve(waiting, after_commit, |batch| self.commit(batch));
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Committed> {
        let begin = match self.purpose {
            Purpose::State => "BEGIN; SELECT seq FROM journal_head WHERE id = 1 FOR UPDATE",
            Purpose::Sessions => "BEGIN; SET LOCAL synchronous_commit = off",
        };
        // Nothing has run yet: a connection that was lost meanwhile is made anew.
        let connection = self.session.begin(begin)?;
        let committed = self.run_batch(&connection, batch);
        if committed.is_err() {
            // Whatever is wrong with it ends with it.
            self.session.close();
        } else {
            self.session.put_back(connection);
        }
        committed
    }

    fn run_batch(&self, connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<Committed> {
        let link = Link::Postgres(connection);
        let journalled = self.purpose == Purpose::State;
        let head = if journalled { journal::head(&Snapshot::new(link))?.stamp } else { Stamp::default() };
        let mut tx = Tx::new(link, self.clock.now_us(), head);
        let (mut entries, mut written) = (Vec::new(), 0..0);
        for job in batch {
            let touched_before = tx.touched.len();
            connection.batch("SAVEPOINT write")?;
            match job.run(&mut tx) {
                Some(changes) => entries.extend(changes),
                None => {
                    connection.batch("ROLLBACK TO SAVEPOINT write")?;
                    tx.touched.truncate(touched_before);
                }
            }
            connection.batch("RELEASE SAVEPOINT write")?;
        }
        // A stamp that was given is never given again, also when no entry tells of it.
        if !entries.is_empty() || tx.stamp() > head {
            written = journal::append(&tx, &entries)?;
        }
        let touched = std::mem::take(&mut tx.touched);
        drop(tx);
        connection.batch("COMMIT")?;
        if !entries.is_empty() {
            // A hint for other nodes, outside the transaction: without it they look by themselves a little later.
            let _ = connection.batch(listener::NOTIFY);
        }
        Ok(Committed { touched, written })
    }
}

/// How long a statement, a wait for a lock and an idle transaction may take: whoever holds the one lock must not hold up
/// the region.
const STATEMENT_TIME: Duration = Duration::from_secs(60);
const LOCK_TIME: Duration = Duration::from_secs(20);
const IDLE_TIME: Duration = Duration::from_secs(20);
