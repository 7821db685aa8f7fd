//! The SQLite engine: one writer thread that groups waiting writes into one durable transaction, and read-only
//! connections that answer on the caller's thread, which costs less than any hand-over.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

use kogge_types::{Clock, Stamp};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::change::Commit;
use crate::error::{MetaError, Result};
use crate::journal;
use crate::queue::{self, AfterCommit, Committed, Job, Queue, Waiting};
use crate::sql::{Link, Snapshot, Tx};

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// An answered write survives the loss of power.
    Synced,
    /// An answered write survives the end of the process, not of the machine.
    Unsynced,
}

#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    /// `None` only while the engine ends.
    queue: Option<Queue>,
    writer: Option<JoinHandle<()>>,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
}

/// Waits for what is queued, and for the file to be whole without its log.
impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to finish.
            let _ = writer.join();
        }
    }
}

impl Sqlite {
    /// Opens the file at `path`, which `prepare` has brought to the present schema.
    pub(crate) fn open(
        path: &Path,
        durability: Durability,
        clock: Arc<dyn Clock>,
        readers: usize,
        prepare: impl FnOnce(&mut Connection) -> Result<()>,
        after_commit: AfterCommit,
    ) -> Result<Self> {
        // SQLite gives the files that it makes beside this one the same mode.
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut connection = Connection::open(path).map_err(MetaError::engine("open the metadata"))?;
        configure(&connection, durability)?;
        prepare(&mut connection)?;
        let (queue, waiting) = Queue::new();
        let readers = (0..readers).map(|_| open_reader(path).map(Mutex::new)).collect::<Result<_>>()?;
        let writer = Writer { connection, clock, journalled: durability == Durability::Synced, after_commit };
        let writer =
            std::thread::Builder::new().name("metadata-writer".to_owned()).spawn(move || writer.run(waiting))?;
        let (path, next_reader) = (path.to_owned(), AtomicUsize::new(0));
        Ok(Self { path, queue: Some(queue), writer: Some(writer), readers, next_reader })
    }

    /// Runs `read` on one state of the data, however many statements it runs.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        let connection = self.reader();
        // Ends when dropped, also by a panic.
        let _transaction = connection.unchecked_transaction().expect("a connection outside a transaction begins one");
        read(&Snapshot::new(Link::Sqlite(&connection)))
    }

    /// As [`Sqlite::read`], for a single statement, which needs no transaction around it.
    pub(crate) fn read_once<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        read(&Snapshot::new(Link::Sqlite(&self.reader())))
    }

    /// A connection that nobody else uses meanwhile.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let start = self.next_reader.fetch_add(1, Ordering::Relaxed);
        let mut order = (0..self.readers.len()).map(|i| &self.readers[(start + i) % self.readers.len()]);
        let free = order.find_map(|reader| match reader.try_lock() {
            Ok(reader) => Some(reader),
            Err(TryLockError::Poisoned(reader)) => Some(reader.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.readers[start % self.readers.len()].lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Writes a consistent copy of the whole state to `path`, while reads and writes go on.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        let reader = open_reader(&self.path)?;
        let path = path.to_str().ok_or(MetaError::Corrupt { what: "path of the copy" })?;
        reader.execute("VACUUM INTO ?1", [path]).map_err(MetaError::engine("copy the metadata"))?;
        Ok(())
    }
}

fn configure(connection: &Connection, durability: Durability) -> Result<()> {
    let synchronous = match durability {
        Durability::Synced => "FULL",
        Durability::Unsynced => "OFF",
    };
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -8192; \
         PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;"
    ))?;
    Ok(())
}

pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch("PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

struct Writer {
    connection: Connection,
    clock: Arc<dyn Clock>,
    journalled: bool,
    after_commit: AfterCommit,
}

impl Writer {
    fn run(mut self, waiting: Waiting) {
        queue::serve(waiting, &self.after_commit, |batch| {
            commit(&mut self.connection, self.clock.now_us(), self.journalled, batch)
        });
        // The log is read at the next start all the same; without it the file is whole by itself.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Runs all of `batch` in one transaction. Each write has its own savepoint, so that a refused one does not
/// undo its neighbours.
fn commit(connection: &mut Connection, now_us: i64, journalled: bool, batch: &mut [Box<dyn Job>]) -> Result<Committed> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let link = Link::Sqlite(&transaction);
    let head = if journalled { journal::head(&Snapshot::new(link))?.stamp } else { Stamp::default() };
    let mut tx = Tx::new(link, now_us, head);
    let (mut entries, mut written) = (Vec::new(), 0..0);
    for job in batch {
        let touched_before = tx.touched.len();
        tx.execute("SAVEPOINT write", &[])?;
        match job.run(&mut tx) {
            Some(changes) => entries.extend(changes),
            None => {
                // A full disk and the like make the engine give up the whole transaction.
                if transaction.is_autocommit() {
                    return Err(MetaError::Undone);
                }
                tx.execute("ROLLBACK TO write", &[])?;
                tx.touched.truncate(touched_before);
            }
        }
        tx.execute("RELEASE write", &[])?;
    }
    // A stamp that was given is never given again, also when no entry tells of it.
    if !entries.is_empty() || tx.stamp() > head {
        written = journal::append(&tx, &entries)?;
    }
    let touched = std::mem::take(&mut tx.touched);
    drop(tx);
    transaction.commit().map_err(MetaError::engine("commit"))?;
    Ok(Committed { touched, written })
}
