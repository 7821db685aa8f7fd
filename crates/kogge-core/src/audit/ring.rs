//! The bounded buffer between requests and the disk. Putting an event costs a copy under a lock that nobody holds
//! for longer than a copy takes; it never waits for the disk.
//!
//! When the disk does not follow, three bounds hold one after the other: pulls are dropped and counted once the common
//! part is full; everything else still has the reserved part; when that is full too, events are folded: counted by
//! kind, operation, reason and registry, with their first and last time. So a denial, a login or a change always leaves
//! its trace, and the memory has a bound whatever happens.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::event::{DenialReason, Event, Kind};
use super::line::word;

/// Bytes that events of any kind may take.
pub(super) const COMMON_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes that pulls may not take.
pub(super) const RESERVED_BYTES: usize = 1024 * 1024;
/// Kinds of folded events that are told apart by operation and registry; further ones only by kind and reason.
pub(super) const FOLDS_MAX: usize = 256;
/// Bytes after which events are written at once.
const BATCH_BYTES: usize = 256 * 1024;
/// How long an event waits for others to be written with.
const GATHER: Duration = Duration::from_millis(400);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Kept,
    Folded,
    Dropped,
}

/// What the index needs to know of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) time_us: i64,
    pub(super) kind: Kind,
    /// [`registry_mark`] of the registry; 0 for none.
    pub(super) registry: u64,
    /// The change that the event was made from; 0 for none.
    pub(super) journal_sequence: i64,
}

/// What folded events have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FoldKey {
    pub(super) kind: Kind,
    pub(super) operation: String,
    pub(super) reason: Option<DenialReason>,
    pub(super) registry: String,
}

/// Events that were folded into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) count: u64,
    pub(super) first_us: i64,
    pub(super) last_us: i64,
}

/// Events taken out of the ring together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) marks: Vec<Mark>,
    pub(super) folds: HashMap<FoldKey, Fold>,
    pub(super) dropped: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.folds.is_empty() && self.dropped == 0
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.marks.clear();
        self.folds.clear();
        self.dropped = 0;
    }
}

/// Why the writer was woken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wake {
    /// Everything up to this flush was taken.
    pub(super) ticket: u64,
    /// Somebody waits.
    pub(super) urgent: bool,
    pub(super) closing: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    flush_asked: u64,
    flush_seen: u64,
    closing: bool,
}

#[derive(Debug)]
pub(super) struct Ring {
    state: Mutex<State>,
    /// Something was put in, somebody waits for a flush, or the ring is closing.
    filled: Condvar,
    flushed: watch::Sender<u64>,
}

/// A number that stands for a registry's name in any case, the same in every version (FNV-1a).
pub(super) fn registry_mark(name: &str) -> u64 {
    if name.is_empty() {
        return 0;
    }
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Ring {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), flushed: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one event, whose line is `line`.
    pub(super) fn put(&self, event: &Event<'_>, line: &[u8], mark: Mark) -> Put {
        let droppable = event.may_be_dropped();
        let room = if droppable { COMMON_BYTES_MAX } else { COMMON_BYTES_MAX + RESERVED_BYTES };
        let mut state = self.lock();
        let waiting = &mut state.waiting;
        let before = waiting.lines.len();
        if before + line.len() > room {
            if droppable {
                waiting.dropped += 1;
                return Put::Dropped;
            }
            waiting.fold(event);
            return Put::Folded;
        }
        waiting.lines.extend_from_slice(line);
        waiting.marks.push(mark);
        let after = waiting.lines.len();
        drop(state);
        // The writer sleeps only while nothing waits, and gathers until there is a batch.
        if before == 0 || (before < BATCH_BYTES && after >= BATCH_BYTES) {
            self.filled.notify_one();
        }
        Put::Kept
    }

    /// Waits until there is something to write, or for as long as `idle`, and takes it all into `batch`, which is empty.
    pub(super) fn take(&self, batch: &mut Batch, idle: Duration) -> Wake {
        let urgent = |state: &State| state.closing || state.flush_asked != state.flush_seen;
        let state = self.lock();
        let sleeping = |state: &mut State| state.waiting.is_empty() && !urgent(state);
        let waited = self.filled.wait_timeout_while(state, idle, sleeping);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let end = Instant::now() + GATHER;
        while !state.waiting.is_empty() && state.waiting.lines.len() < BATCH_BYTES && !urgent(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.waiting, batch);
        let wake = Wake { ticket: state.flush_asked, urgent: urgent(&state), closing: state.closing };
        state.flush_seen = state.flush_asked;
        wake
    }

    /// Waits for as long as `time`, or until the ring is closing. Says whether it is.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let waited = self.filled.wait_timeout_while(self.lock(), time, |state| !state.closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Everything up to `ticket` lies on the disk.
    pub(super) fn settle(&self, ticket: u64) {
        self.flushed.send_replace(ticket);
    }

    /// Has what was put so far written at once, and waits until it lies on the disk, for at most `limit`. Says whether
    /// it does.
    pub(super) async fn flush(&self, limit: Duration) -> bool {
        let mut flushed = self.flushed.subscribe();
        let ticket = {
            let mut state = self.lock();
            state.flush_asked += 1;
            state.flush_asked
        };
        self.filled.notify_one();
        matches!(tokio::time::timeout(limit, flushed.wait_for(|done| *done >= ticket)).await, Ok(Ok(_)))
    }

    /// Has everything written and the writer ended.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.filled.notify_all();
    }
}

impl Batch {
    fn fold(&mut self, event: &Event<'_>) {
        let request = event.request();
        let time_us = request.time_us;
        let mut key = FoldKey {
            kind: event.kind(),
            operation: word(event.operation()).to_owned(),
            reason: event.reason(),
            registry: word(event.registry()).to_owned(),
        };
        if self.folds.len() >= FOLDS_MAX && !self.folds.contains_key(&key) {
            key.operation.clear();
            key.registry.clear();
        }
        let fold = self.folds.entry(key).or_insert(Fold { count: 0, first_us: time_us, last_us: time_us });
        fold.count += 1;
        fold.first_us = fold.first_us.min(time_us);
        fold.last_us = fold.last_us.max(time_us);
    }
}
