//! The thread that brings events to the disk. What cannot be written stays where it is and is tried again; the ring
//! bounds what gathers meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kogge_types::{Clock, clock};

use super::event::Kind;
use super::line::{Origin, encode_dropped, encode_fold};
use super::ring::{Batch, Mark, Ring, registry_mark};
use super::segment::{Catalog, Index};

/// How often segments are synced at most; with the time that the ring gathers, a crash loses less than a second.
const SYNC_INTERVAL: Duration = Duration::from_millis(400);
/// How long the writer waits before it tries again what failed.
const RETRY: Duration = Duration::from_millis(500);
/// How often old segments are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How long a segment grows at most.
const SEGMENT_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What the audit did and could not do since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    pub recorded: AtomicU64,
    /// Pulls that there was no room for.
    pub dropped: AtomicU64,
    /// Events that were folded with others of their kind, as there was no room for each.
    pub folded: AtomicU64,
    pub write_failures: AtomicU64,
}

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub time: Duration,
    /// Bytes of all segments together.
    pub bytes_max: u64,
    /// Bytes after which a segment is finished.
    pub segment_bytes_max: u64,
}

/// A segment that grows.
#[derive(Debug)]
struct Active {
    begun_us: i64,
    file: File,
    index: Index,
}

/// Where lines go beside the segments, such as standard output.
pub type Copy = Box<dyn Write + Send>;

pub(super) struct Writer {
    pub(super) ring: Arc<Ring>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
    pub(super) origin: Arc<Origin>,
    pub(super) retention: Retention,
    /// No segments are written without one.
    pub(super) catalog: Option<Arc<Catalog>>,
    pub(super) copy: Option<Copy>,
    batch: Batch,
    active: Option<Active>,
    unsynced: bool,
    synced: Instant,
    pruned: Option<Instant>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(
        ring: Arc<Ring>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        origin: Arc<Origin>,
        retention: Retention,
    ) -> Self {
        Self {
            ring,
            clock,
            counters,
            origin,
            retention,
            catalog: None,
            copy: None,
            batch: Batch::default(),
            active: None,
            unsynced: false,
            synced: Instant::now(),
            pruned: None,
            failing: false,
        }
    }

    /// Writes until the ring is closed.
    pub(super) fn run(mut self) {
        loop {
            self.prune();
            let idle = if self.unsynced { SYNC_INTERVAL } else { PRUNE_INTERVAL };
            let wake = self.ring.take(&mut self.batch, idle);
            self.spell_out();
            let urgent = wake.urgent || wake.closing;
            let written = loop {
                match self.write(urgent) {
                    Ok(()) => break true,
                    Err(error) => self.note_failure(&error),
                }
                // A disk that is still full when the process ends must not keep it.
                if self.ring.pause(RETRY) {
                    break false;
                }
            };
            if written {
                self.note_success();
                self.ring.settle(wake.ticket);
            } else {
                tracing::error!(events = self.batch.marks.len(), "the last audit events could not be written");
            }
            self.batch.clear();
            if wake.closing || !written {
                self.seal();
                return;
            }
        }
    }

    /// Makes lines of what was folded and dropped.
    fn spell_out(&mut self) {
        let now_us = self.clock.now_us();
        for (key, fold) in std::mem::take(&mut self.batch.folds) {
            encode_fold(&mut self.batch.lines, &key, &fold, &self.origin);
            let registry = registry_mark(&key.registry);
            self.batch.marks.push(Mark { time_us: fold.first_us, kind: key.kind, registry, journal_sequence: 0 });
        }
        if self.batch.dropped > 0 {
            encode_dropped(&mut self.batch.lines, self.batch.dropped, now_us, &self.origin);
            let mark = Mark { time_us: now_us, kind: Kind::Notice, registry: 0, journal_sequence: 0 };
            self.batch.marks.push(mark);
            self.batch.dropped = 0;
        }
    }

    fn write(&mut self, urgent: bool) -> io::Result<()> {
        self.append()?;
        if self.unsynced
            && (urgent || self.synced.elapsed() >= SYNC_INTERVAL)
            && let Some(active) = &self.active
        {
            active.file.sync_data()?;
            self.unsynced = false;
            self.synced = Instant::now();
        }
        self.write_copy()
    }

    /// Writes the batch to where else it goes. With segments, a reader that is gone must not hold these up.
    fn write_copy(&mut self) -> io::Result<()> {
        let Some(copy) = self.copy.as_mut().filter(|_| !self.batch.lines.is_empty()) else { return Ok(()) };
        let written = copy.write_all(&self.batch.lines).and_then(|()| copy.flush());
        if let Err(error) = &written
            && self.catalog.is_some()
        {
            tracing::error!(%error, "audit events are written to their files only: nobody takes the copy");
            self.copy = None;
            return Ok(());
        }
        written
    }

    /// Writes the batch at the end of the active segment. What a failed try left there is written over by the next.
    fn append(&mut self) -> io::Result<()> {
        let Some(catalog) = self.catalog.clone().filter(|_| !self.batch.marks.is_empty()) else { return Ok(()) };
        let now_us = self.clock.now_us();
        if self.active.as_ref().is_some_and(|active| {
            active.index.bytes >= self.retention.segment_bytes_max
                || now_us.saturating_sub(active.begun_us) >= clock::micros(SEGMENT_TIME_MAX)
        }) {
            self.seal();
        }
        let active = match &mut self.active {
            Some(active) => active,
            none => {
                let (begun_us, file) = catalog.begin(now_us)?;
                none.insert(Active { begun_us, file, index: Index::new() })
            }
        };
        active.file.write_all_at(&self.batch.lines, active.index.bytes)?;
        active.index.bytes += self.batch.lines.len() as u64;
        for mark in self.batch.marks.drain(..) {
            active.index.note(mark);
        }
        catalog.update(active.begun_us, active.index.clone());
        self.unsynced = true;
        Ok(())
    }

    /// Finishes the active segment.
    fn seal(&mut self) {
        let (Some(active), Some(catalog)) = (self.active.take(), &self.catalog) else { return };
        self.unsynced = false;
        let sealed = active.file.sync_data().and_then(|()| catalog.seal(active.begun_us, &active.index));
        // Without its index the segment is read once at the next start.
        if let Err(error) = sealed {
            self.note_failure(&error);
        }
        self.pruned = None;
    }

    fn prune(&mut self) {
        let Some(catalog) = &self.catalog else { return };
        if self.pruned.is_some_and(|pruned| pruned.elapsed() < PRUNE_INTERVAL) {
            return;
        }
        self.pruned = Some(Instant::now());
        let before_us = self.clock.now_us().saturating_sub(clock::micros(self.retention.time));
        let active = self.active.as_ref().map(|active| active.begun_us);
        match catalog.prune(before_us, self.retention.bytes_max, active) {
            Ok(0) => {}
            Ok(segments) => tracing::info!(segments, "old audit segments were removed"),
            Err(error) => self.note_failure(&error),
        }
    }

    /// Counts a failure, and tells of the first one.
    fn note_failure(&mut self, error: &io::Error) {
        self.counters.write_failures.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, "audit events cannot be written; they are kept as far as there is room");
        }
    }

    fn note_success(&mut self) {
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!("audit events are written again");
        }
    }
}
