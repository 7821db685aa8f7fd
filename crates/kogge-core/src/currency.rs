//! How a node keeps up with what other nodes write. The policy and the signing keys lie in memory; where several nodes
//! share the metadata, each looks for changes often, and before it answers when it has not looked for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kogge_types::{Code, limits};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::auth::keys;
use crate::core::Core;
use crate::error::{Error, Result};

/// How old what a node decides by may be.
const AGE_MAX: Duration = Duration::from_secs(1);
/// How often a node looks, told or not.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a request waits for a look.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far this node has followed the others.
#[derive(Debug)]
pub(crate) struct Currency {
    started: Instant,
    /// When the last look that succeeded began, in microseconds after `started`.
    looked_at: AtomicU64,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    /// The journal's sequence that the policy is as new as.
    seq: i64,
    /// The signing keys as they were found last, sealed.
    keys: Option<Vec<u8>>,
}

impl Currency {
    /// A node whose policy will be as new as `seq` of the journal, or newer.
    pub(crate) fn since(seq: i64) -> Self {
        let place = Mutex::new(Place { seq, keys: None });
        Self { started: Instant::now(), looked_at: AtomicU64::new(0), place }
    }

    fn looked_at(&self) -> Instant {
        self.started + Duration::from_micros(self.looked_at.load(Ordering::Acquire))
    }

    fn note_look(&self, began: Instant) {
        let micros = u64::try_from((began - self.started).as_micros()).unwrap_or(u64::MAX);
        self.looked_at.store(micros, Ordering::Release);
    }
}

/// Looks for what other nodes wrote until `stop` changes.
pub(crate) async fn follow(core: Arc<Core>, mut stop: watch::Receiver<bool>) {
    if !core.is_shared() {
        return;
    }
    let mut hint = core.meta.journal_hint();
    let mut failing = false;
    loop {
        let looked = core.catch_up().await;
        match &looked {
            Err(error) if !failing => {
                tracing::error!(error = %crate::jobs::report(error), "cannot follow what other nodes write");
            }
            Ok(()) if failing => tracing::info!("what other nodes write is followed again"),
            _ => {}
        }
        failing = looked.is_err();
        tokio::select! {
            _ = stop.changed() => return,
            _ = tokio::time::timeout(LOOK_EVERY, hint.changed()) => {}
        }
    }
}

impl Core {
    /// Whether other nodes may have the same metadata open.
    pub fn is_shared(&self) -> bool {
        self.meta.is_shared()
    }

    /// Makes sure that what this node decides by is at most a second old.
    ///
    /// # Errors
    /// The metadata cannot be read: nothing may be decided.
    pub async fn stay_current(&self) -> Result<()> {
        if !self.is_shared() || self.currency.looked_at().elapsed() <= AGE_MAX {
            return Ok(());
        }
        self.catch_up().await
    }

    /// Looks for what other nodes wrote before this call.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let looking = tokio::time::timeout(PATIENCE, self.look_at_journal(Instant::now()));
        looking.await.unwrap_or_else(|_| Err(Error::new(Code::Unavailable, "the metadata does not answer")))
    }

    async fn look_at_journal(&self, asked: Instant) -> Result<()> {
        let mut place = self.currency.place.lock().await;
        if self.currency.looked_at() >= asked {
            return Ok(());
        }
        let (began, after) = (Instant::now(), place.seq);
        let (head, entries, keys) = self
            .meta
            .read(move |snapshot| {
                let head = snapshot.journal_head()?.seq;
                let entries = snapshot.journal_after(after, limits::WORK_BATCH_ROWS)?;
                Ok::<_, Error>((head, entries, snapshot.setting(keys::SETTING)?))
            })
            .await?;
        if place.keys != keys {
            self.take_up_keys().await?;
            place.keys = keys;
        }
        // Entries are without gaps: fewer than there should be were pruned, or are too many for one look.
        if i64::try_from(entries.len()).is_ok_and(|count| count == head - after) {
            self.reload_after(&entries).await?;
        } else {
            self.reload_policy().await?;
        }
        place.seq = head;
        self.currency.note_look(began);
        Ok(())
    }
}
