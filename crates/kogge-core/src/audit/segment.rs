//! Segments: files of lines that only grow, and what is known of each without reading it.
//!
//! A segment is called after the time when it was begun, `2026-11-24T00-05-13.123456Z.jsonl`, so that the order of names
//! is that of time. Once it is finished an index lies beside it, `….index`; one without an index, as a crash leaves it,
//! is read once at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::event::Kind;
use super::lines::LinesAfter;
use super::ring::{Mark, registry_mark};

const SEGMENT_SUFFIX: &str = ".jsonl";
const INDEX_SUFFIX: &str = ".index";
/// Registries that an index tells apart; with more, every registry may be in the segment.
const REGISTRIES_MAX: usize = 256;

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// The earliest and the latest `TimeGenerated`.
    pub(super) first_us: i64,
    pub(super) last_us: i64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The kinds that occur, a bit each.
    kinds: u8,
    /// The registries that occur; none when there are too many.
    registries: Option<BTreeSet<u64>>,
    /// The last change of the journal that is in it.
    pub(super) journal_sequence: i64,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            first_us: i64::MAX,
            last_us: i64::MIN,
            events: 0,
            bytes: 0,
            kinds: 0,
            registries: Some(BTreeSet::new()),
            journal_sequence: 0,
        }
    }

    pub(super) fn note(&mut self, mark: Mark) {
        self.events += 1;
        self.first_us = self.first_us.min(mark.time_us);
        self.last_us = self.last_us.max(mark.time_us);
        self.kinds |= mark.kind.bit();
        self.journal_sequence = self.journal_sequence.max(mark.journal_sequence);
        if let Some(registries) = self.registries.as_mut().filter(|_| mark.registry != 0) {
            registries.insert(mark.registry);
            if registries.len() > REGISTRIES_MAX {
                self.registries = None;
            }
        }
    }

    /// Whether events of one of `kinds`, of `registry` if one is named, between two times, may be in the segment.
    pub(super) fn may_hold(&self, kinds: u8, registry: Option<&str>, from_us: i64, to_us: i64) -> bool {
        let registry = registry.map(registry_mark);
        self.kinds & kinds != 0
            && self.first_us < to_us
            && self.last_us >= from_us
            && registry.is_none_or(|mark| self.registries.as_ref().is_none_or(|known| known.contains(&mark)))
    }
}

/// The columns that an index is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head<'a> {
    #[serde(borrow)]
    time_generated: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    category: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    registry: std::borrow::Cow<'a, str>,
    #[serde(default)]
    journal_sequence: i64,
}

/// What the index needs to know of a line; nothing when it is not a whole one.
pub(super) fn mark_of(line: &[u8]) -> Option<Mark> {
    let head: Head<'_> = serde_json::from_slice(line).ok()?;
    let time: jiff::Timestamp = head.time_generated.parse().ok()?;
    Some(Mark {
        time_us: time.as_microsecond(),
        kind: Kind::of_category(&head.category)?,
        registry: registry_mark(&head.registry),
        journal_sequence: head.journal_sequence,
    })
}

/// The name of the segment that was begun at this time.
fn stem(begun_us: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(begun_us).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.6}").replace(':', "-")
}

fn begun_us(stem: &str) -> Option<i64> {
    let (date, time) = stem.split_once('T')?;
    let time: jiff::Timestamp = format!("{date}T{}", time.replace('-', ":")).parse().ok()?;
    Some(time.as_microsecond())
}

pub(super) fn segment_path(folder: &Path, begun_us: i64) -> PathBuf {
    folder.join(stem(begun_us) + SEGMENT_SUFFIX)
}

fn index_path(folder: &Path, begun_us: i64) -> PathBuf {
    folder.join(stem(begun_us) + INDEX_SUFFIX)
}

/// The segments of a folder. The last one may be growing: readers see as much of it as was written whole.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) folder: PathBuf,
    segments: Mutex<BTreeMap<i64, Arc<Index>>>,
}

impl Catalog {
    /// Finds the segments of `folder`, which is made when there is none.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mut segments = BTreeMap::new();
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let begun = name.to_str().and_then(|name| name.strip_suffix(SEGMENT_SUFFIX)).and_then(begun_us);
            let Some(begun) = begun else { continue };
            let index = match read_index(&folder, begun) {
                Some(index) => index,
                None => rebuild(&folder, begun)?,
            };
            segments.insert(begun, Arc::new(index));
        }
        Ok(Self { folder, segments: Mutex::new(segments) })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<Index>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every segment, the oldest first: the time when it was begun, and what is known of it.
    pub(super) fn segments(&self) -> Vec<(i64, Arc<Index>)> {
        self.lock().iter().map(|(begun, index)| (*begun, Arc::clone(index))).collect()
    }

    pub(super) fn update(&self, begun_us: i64, index: Index) {
        self.lock().insert(begun_us, Arc::new(index));
    }

    /// Begins a segment, later than all others whatever the clock says.
    pub(super) fn begin(&self, now_us: i64) -> io::Result<(i64, File)> {
        let last = self.lock().last_key_value().map_or(i64::MIN, |(begun, _)| *begun);
        let begun = now_us.max(last.saturating_add(1));
        let file = File::options().write(true).create_new(true).open(segment_path(&self.folder, begun))?;
        File::open(&self.folder)?.sync_all()?;
        Ok((begun, file))
    }

    /// Puts the index beside a segment that is finished.
    pub(super) fn seal(&self, begun_us: i64, index: &Index) -> io::Result<()> {
        let path = index_path(&self.folder, begun_us);
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(index)?)?;
        file.sync_all()?;
        std::fs::rename(part, path)
    }

    /// Removes the oldest segments but `active` that end before `before_us`, and as many more as it takes to have at most
    /// `bytes_max`. Says how many.
    pub(super) fn prune(&self, before_us: i64, bytes_max: u64, active: Option<i64>) -> io::Result<usize> {
        let segments = self.segments();
        let mut bytes: u64 = segments.iter().map(|(_, index)| index.bytes).sum();
        let mut removed = 0;
        for (begun, index) in segments {
            if Some(begun) == active || (bytes <= bytes_max && index.last_us >= before_us) {
                continue;
            }
            for path in [segment_path(&self.folder, begun), index_path(&self.folder, begun)] {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.lock().remove(&begun);
            bytes -= index.bytes;
            removed += 1;
        }
        Ok(removed)
    }
}

/// The index beside a segment, if there is one that fits it.
fn read_index(folder: &Path, begun_us: i64) -> Option<Index> {
    let index: Index = serde_json::from_slice(&std::fs::read(index_path(folder, begun_us)).ok()?).ok()?;
    let length = std::fs::metadata(segment_path(folder, begun_us)).ok()?.len();
    (index.bytes <= length).then_some(index)
}

/// Reads a segment that was not finished, up to its last whole line.
fn rebuild(folder: &Path, begun_us: i64) -> io::Result<Index> {
    let file = File::open(segment_path(folder, begun_us))?;
    let mut lines = LinesAfter::new(&file, 0, u64::MAX)?;
    let mut index = Index::new();
    while let Some((_, line)) = lines.next()? {
        if let Some(mark) = mark_of(line) {
            index.note(mark);
        }
    }
    index.bytes = lines.position();
    Ok(index)
}
