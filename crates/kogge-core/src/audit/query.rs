//! Questions to the segments: filtered, in pages, at the cost of a block of memory and of a bounded number of bytes read.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;

use kogge_types::{RepositoryPattern, limits};
use serde_json::{Map, Value};

use super::event::Kind;
use super::lines::{LinesAfter, LinesBefore};
use super::segment::{Catalog, Index, segment_path};

/// In which order events are answered: that in which they were written, or its reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// A place between two events; written `1764000000123456-4711`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    segment: i64,
    offset: u64,
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is what a page ended with")]
pub struct PositionError;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.offset)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (segment, offset) = text.split_once('-').ok_or(PositionError)?;
        let (segment, offset) = (segment.parse().map_err(|_| PositionError)?, offset.parse());
        Ok(Self { segment, offset: offset.map_err(|_| PositionError)? })
    }
}

/// Which events are asked for. Texts are compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// The earliest time, microseconds since the Unix epoch.
    pub from_us: Option<i64>,
    /// The earliest time at which a request may have ended: what a registry has seen since it was made.
    pub ended_from_us: Option<i64>,
    /// The time that all are before.
    pub to_us: Option<i64>,
    /// A registry's name.
    pub registry: Option<String>,
    /// Kinds of events; all when none is named.
    pub kinds: Vec<Kind>,
    pub identity: Option<String>,
    pub repository: Option<RepositoryPattern>,
    pub operation: Option<String>,
    /// The status of the answer, such as `403`, the word of a management operation's, or a denial's reason.
    pub result: Option<String>,
    pub correlation_id: Option<String>,
    /// A resource's path: events of it, and of what is beneath it.
    pub resource: Option<String>,
    pub order: Order,
    /// Events in a page; at most [`limits::AUDIT_PAGE_EVENTS_MAX`].
    pub limit: usize,
    /// Where the last page ended.
    pub after: Option<Position>,
}

/// An event as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it begins: its id.
    pub position: Position,
    pub columns: Map<String, Value>,
}

impl Record {
    /// A column that is a text; empty when it is not there.
    pub fn text(&self, column: &str) -> &str {
        text(&self.columns, column)
    }
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuditPage {
    pub records: Vec<Record>,
    /// Where the page ended: from here the next one goes on, with oldest-first order also after new events have come.
    pub position: Option<Position>,
    /// Whether there may be more. A page may be empty all the same: so much had to be read without a match.
    pub more: bool,
}

fn text<'a>(columns: &'a Map<String, Value>, column: &str) -> &'a str {
    columns.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// Whether `path` is that of `resource` or of something beneath it.
fn lies_within(path: &str, resource: &str) -> bool {
    let resource = resource.trim_end_matches('/');
    match path.split_at_checked(resource.len()) {
        Some((head, rest)) => head.eq_ignore_ascii_case(resource) && (rest.is_empty() || rest.starts_with('/')),
        None => false,
    }
}

impl AuditQuery {
    fn kind_bits(&self) -> u8 {
        let kinds = if self.kinds.is_empty() { &Kind::ALL[..] } else { &self.kinds[..] };
        kinds.iter().fold(0, |bits, kind| bits | kind.bit())
    }

    fn may_be_in(&self, index: &Index) -> bool {
        let (from_us, to_us) = (self.from_us.unwrap_or(i64::MIN), self.to_us.unwrap_or(i64::MAX));
        index.may_hold(self.kind_bits(), self.registry.as_deref(), from_us, to_us)
    }

    fn matches(&self, columns: &Map<String, Value>) -> bool {
        let same = |column: &str, asked: &Option<String>| {
            asked.as_ref().is_none_or(|asked| text(columns, column).eq_ignore_ascii_case(asked))
        };
        let kind = Kind::of_category(text(columns, "Category"));
        kind.is_some_and(|kind| self.kind_bits() & kind.bit() != 0)
            && same("Registry", &self.registry)
            && same("Identity", &self.identity)
            && same("OperationName", &self.operation)
            && same("CorrelationId", &self.correlation_id)
            && (same("ResultDescription", &self.result) || same("Status", &self.result) || same("Reason", &self.result))
            && self.resource.as_ref().is_none_or(|path| lies_within(text(columns, "ResourceId"), path))
            && self
                .repository
                .as_ref()
                .is_none_or(|pattern| text(columns, "Repository").parse().is_ok_and(|name| pattern.matches(&name)))
            && self.in_time(columns)
    }

    fn in_time(&self, columns: &Map<String, Value>) -> bool {
        if self.from_us.is_none() && self.to_us.is_none() && self.ended_from_us.is_none() {
            return true;
        }
        let Ok(time) = text(columns, "TimeGenerated").parse::<jiff::Timestamp>() else { return false };
        let time_us = time.as_microsecond();
        // Rounded up when it was written.
        let lasted_us = text(columns, "DurationMs").parse::<i64>().unwrap_or(0).saturating_mul(1_000);
        self.from_us.is_none_or(|from| time_us >= from)
            && self.ended_from_us.is_none_or(|from| time_us.saturating_add(lasted_us) >= from)
            && self.to_us.is_none_or(|to| time_us < to)
    }
}

/// A page that is being filled.
struct Filling<'q> {
    query: &'q AuditQuery,
    page: AuditPage,
    limit: usize,
    bytes_left: u64,
}

impl Filling<'_> {
    /// Takes a line. Says whether the page is full.
    fn take(&mut self, position: Position, line: &[u8]) -> bool {
        self.bytes_left = self.bytes_left.saturating_sub(line.len() as u64);
        if let Ok(columns) = serde_json::from_slice::<Map<String, Value>>(line)
            && self.query.matches(&columns)
        {
            self.page.records.push(Record { position, columns });
        }
        self.page.records.len() >= self.limit || self.bytes_left == 0
    }
}

/// Answers `query` from what is written.
pub(super) fn answer(catalog: &Catalog, query: &AuditQuery) -> io::Result<AuditPage> {
    answer_within(catalog, query, limits::AUDIT_QUERY_BYTES_MAX)
}

/// Answers `query` with a page for which at most about `bytes_max` bytes are read.
pub(super) fn answer_within(catalog: &Catalog, query: &AuditQuery, bytes_max: u64) -> io::Result<AuditPage> {
    let limit = query.limit.clamp(1, limits::AUDIT_PAGE_EVENTS_MAX);
    let page = AuditPage { position: query.after, ..AuditPage::default() };
    let mut filling = Filling { query, page, limit, bytes_left: bytes_max };
    let mut segments = catalog.segments();
    if query.order == Order::NewestFirst {
        segments.reverse();
    }
    for (begun_us, index) in segments {
        if let Some(after) = query.after
            && match query.order {
                Order::NewestFirst => begun_us > after.segment,
                Order::OldestFirst => begun_us < after.segment,
            }
        {
            continue;
        }
        if filling.page.more {
            break;
        }
        let full = query.may_be_in(&index) && read_segment(catalog, begun_us, &index, &mut filling)?;
        filling.page.more = full;
        if !full {
            let offset = if query.order == Order::NewestFirst { 0 } else { index.bytes };
            filling.page.position = Some(Position { segment: begun_us, offset });
        }
    }
    Ok(filling.page)
}

/// Reads one segment from where the query stands. Says whether the page is full.
fn read_segment(catalog: &Catalog, begun_us: i64, index: &Index, filling: &mut Filling<'_>) -> io::Result<bool> {
    let file = match File::open(segment_path(&catalog.folder, begun_us)) {
        Ok(file) => file,
        // It has been removed since: it was too old.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = filling.query.after.filter(|after| after.segment == begun_us).map(|after| after.offset);
    let at = |offset| Position { segment: begun_us, offset };
    match filling.query.order {
        Order::NewestFirst => {
            let mut lines = LinesBefore::new(&file, here.unwrap_or(index.bytes).min(index.bytes));
            while let Some((start, line)) = lines.next()? {
                if filling.take(at(start), line) {
                    filling.page.position = Some(at(start));
                    return Ok(true);
                }
            }
        }
        Order::OldestFirst => {
            let mut lines = LinesAfter::new(&file, here.unwrap_or(0).min(index.bytes), index.bytes)?;
            while let Some((start, line)) = lines.next()? {
                if filling.take(at(start), line) {
                    filling.page.position = Some(at(lines.position()));
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
