//! Who tells this node that another one wrote: PostgreSQL's notifications, and a look now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Connection;
use super::session::{Session, Target};
use crate::error::Result;

pub(crate) const NOTIFY: &str = "NOTIFY kogge_journal";
const LISTEN: &str = "LISTEN kogge_journal";
/// How often the listener looks by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it waits for a notice before it sees whether it shall stop.
const NOTICE_TIME: Duration = Duration::from_millis(25);

/// A thread that follows the end of the journal, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

impl Listener {
    /// Calls `grew` whenever the journal has grown, whoever wrote.
    pub(crate) fn start(target: &Target, grew: impl Fn() + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, session) = (Arc::clone(&stop), Session::new(target.clone()));
        let work = move || {
            let mut seen = None;
            while !stopped.load(Ordering::Relaxed) {
                // What came while there was no connection is found by the first look of the next one.
                if follow(&session, &stopped, &mut seen, &grew).is_err() {
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal-listener".to_owned()).spawn(work)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn follow(session: &Session, stopped: &AtomicBool, seen: &mut Option<i64>, grew: &impl Fn()) -> Result<()> {
    let connection = session.connect()?;
    connection.batch(LISTEN)?;
    while !stopped.load(Ordering::Relaxed) {
        let end = end_of_journal(&connection)?;
        if *seen != end {
            *seen = end;
            grew();
        }
        let looked = Instant::now();
        while !connection.await_notice(NOTICE_TIME)? && looked.elapsed() < LOOK_EVERY {
            if stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn end_of_journal(connection: &Connection) -> Result<Option<i64>> {
    let rows = connection.query("SELECT seq FROM journal_head WHERE id = 1", &[])?;
    rows.first().map_or(Ok(None), |row| super::int(row, 0))
}
