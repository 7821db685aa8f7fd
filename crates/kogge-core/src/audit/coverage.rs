//! Which changes of the journal are told of already, by the event of the request that made them.
//!
//! A request that changed something leaves a window: what it touched, from its beginning to its answer. A change of the
//! journal that was committed within a window of the same thing is that request's, and is not told again. Changes
//! without a window were made by background work, or their request's event was lost with the process.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use kogge_types::clock;
use serde_json::{Map, Value};

use super::event::{Event, Outcome, RepositoryOperation};

/// How far a request's times and the journal's may differ.
pub(super) const MARGIN: Duration = Duration::from_secs(1);
/// Windows that are remembered; with more, a change may be told twice.
const WINDOWS_MAX: usize = 65_536;

/// What a change touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Touched<'a> {
    /// A manifest and its tags came. By digest, so that two pushes are told apart.
    Pushed {
        registry: &'a str,
        repository: &'a str,
        digest: &'a str,
    },
    /// Something went. By repository: what is removed takes its tags and referrers with it.
    Removed {
        registry: &'a str,
        repository: &'a str,
    },
    Updated {
        registry: &'a str,
        repository: &'a str,
    },
    /// Something that is managed: one operation may touch many resources.
    Managed,
}

impl<'a> Touched<'a> {
    /// What an event's request changed, if it did.
    pub(super) fn by_event(event: &Event<'a>) -> Option<Self> {
        let request = event.request();
        if request.status >= 400 {
            return None;
        }
        match event {
            Event::Repository(change) => {
                Self::by_operation(change.operation, request.registry, change.repository, change.digest)
            }
            Event::Management(change) => (change.outcome != Outcome::Failed).then_some(Self::Managed),
            Event::Login(_) | Event::Denial(_) => None,
        }
    }

    fn by_operation(
        operation: RepositoryOperation,
        registry: &'a str,
        repository: &'a str,
        digest: &'a str,
    ) -> Option<Self> {
        match operation {
            RepositoryOperation::Pull => None,
            RepositoryOperation::Push => Some(Self::Pushed { registry, repository, digest }),
            RepositoryOperation::Untag
            | RepositoryOperation::Delete
            | RepositoryOperation::PurgeTag
            | RepositoryOperation::PurgeManifest => Some(Self::Removed { registry, repository }),
            RepositoryOperation::Update => Some(Self::Updated { registry, repository }),
        }
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// The windows of late requests.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    windows: HashMap<u64, Vec<(i64, i64)>>,
    count: usize,
}

impl Coverage {
    /// Notes what a request changed.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        if let Some(touched) = Touched::by_event(event) {
            let request = event.request();
            self.note_window(&touched, request.time_us, request.duration);
        }
    }

    fn note_window(&mut self, touched: &Touched<'_>, from_us: i64, duration: Duration) {
        if self.count >= WINDOWS_MAX {
            self.windows.clear();
            self.count = 0;
        }
        let margin = clock::micros(MARGIN);
        let window = (from_us - margin, from_us.saturating_add(clock::micros(duration)) + margin);
        self.windows.entry(touched.mark()).or_default().push(window);
        self.count += 1;
    }

    /// Notes what the request of a written event changed.
    pub(super) fn note_columns(&mut self, columns: &Map<String, Value>) {
        let text = |column: &str| columns.get(column).and_then(Value::as_str).unwrap_or_default();
        let status: u16 = text("ResultDescription").parse().unwrap_or(0);
        if status >= 400 || columns.contains_key("JournalSequence") {
            return;
        }
        let touched = match columns.contains_key("Status") {
            true => (text("Status") != Outcome::Failed.as_str()).then_some(Touched::Managed),
            false => RepositoryOperation::of_word(text("OperationName")).and_then(|operation| {
                Touched::by_operation(operation, text("Registry"), text("Repository"), text("Digest"))
            }),
        };
        let time = text("TimeGenerated").parse::<jiff::Timestamp>();
        if let (Some(touched), Ok(time)) = (touched, time) {
            let duration = Duration::from_millis(text("DurationMs").parse().unwrap_or(0));
            self.note_window(&touched, time.as_microsecond(), duration);
        }
    }

    /// Whether a change that was committed at this time is a known request's.
    pub(super) fn covers(&self, touched: &Touched<'_>, at_us: i64) -> bool {
        let windows = self.windows.get(&touched.mark());
        windows.is_some_and(|windows| windows.iter().any(|(from, to)| (*from..=*to).contains(&at_us)))
    }

    /// Forgets windows that end before this time.
    pub(super) fn forget(&mut self, before_us: i64) {
        self.windows.retain(|_, windows| {
            windows.retain(|(_, to)| *to >= before_us);
            !windows.is_empty()
        });
        self.count = self.windows.values().map(Vec::len).sum();
    }
}
