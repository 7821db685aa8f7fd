//! What a node knows of what is held: the last measurement, what it has added since, and what it is about to add.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kogge_types::{Digest, RegistryId, RepositoryPattern};

/// How long a measurement is good for, at least and at most.
const INTERVAL_MIN: Duration = Duration::from_secs(60);
const INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
/// Measuring takes at most one part in this many of the time.
const INTERVAL_PER_COST: u32 = 20;

/// The repositories of one registry that a pattern names.
pub(super) type Scope = (RegistryId, RepositoryPattern);

/// The node's book of what is held.
#[derive(Debug)]
pub(crate) struct UsageBook {
    state: Mutex<State>,
    /// Held by whoever measures.
    pub(super) measuring: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    held: HashMap<Scope, Held>,
    pass: Option<Pass>,
    interval: Duration,
}

/// Bytes of one scope.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    measured: u64,
    measured_at_us: Option<i64>,
    /// Added by this node after the measurement looked.
    added: u64,
    /// About to be added.
    reserved: u64,
}

/// A measurement under way.
#[derive(Debug)]
struct Pass {
    /// The page that is being read.
    page: Page,
    /// Added where the measurement has looked already.
    missed: HashMap<Scope, u64>,
    /// Added while the present page is read, beyond where it begins.
    unsettled: Vec<(Content, Vec<(Scope, u64)>)>,
}

/// Where a page of a measurement begins. Blobs are read first, by digest, then manifests, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Blobs { after: Option<Digest> },
    Manifests,
}

/// What is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Blob(Digest),
    Manifest,
}

/// How far a page came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageEnd {
    /// The last blob of the page; there may be more.
    Blob(Digest),
    /// Nothing is left of what the page is about.
    Last,
    /// More manifests are left.
    More,
}

/// A quota that has no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) scope: Scope,
    pub(super) used: u64,
    pub(super) limit: u64,
}

/// Bytes that a push is about to add to scopes. Dropping it takes them back; [`Charge::settle`] keeps them.
#[derive(Debug)]
#[must_use = "a charge that is dropped is taken back"]
pub(crate) struct Charge<'b> {
    book: Option<&'b UsageBook>,
    content: Content,
    bytes: Vec<(Scope, u64)>,
}

impl Default for UsageBook {
    fn default() -> Self {
        let state = State { held: HashMap::new(), pass: None, interval: INTERVAL_MIN };
        Self { state: Mutex::new(state), measuring: tokio::sync::Mutex::new(()) }
    }
}

impl UsageBook {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a measurement is good for: the longer, the more it costs.
    pub(crate) fn interval(&self) -> Duration {
        self.state().interval
    }

    /// The patterns of a registry that are in the book, bounded by a quota at present or not.
    pub(super) fn patterns(&self, registry: RegistryId) -> Vec<RepositoryPattern> {
        let state = self.state();
        let here = state.held.keys().filter(|(of, _)| *of == registry);
        here.map(|(_, pattern)| pattern.clone()).collect()
    }

    /// Whether a scope was measured.
    pub(super) fn knows(&self, scope: &Scope) -> bool {
        self.state().held.get(scope).is_some_and(|held| held.measured_at_us.is_some())
    }

    /// Bytes that a scope holds, and when they were measured.
    pub(super) fn used(&self, scope: &Scope) -> Option<(u64, i64)> {
        let held = self.state().held.get(scope).copied()?;
        Some((held.measured.saturating_add(held.added), held.measured_at_us?))
    }

    /// Sets `bytes` aside in scopes that have room for them, each with its limit: in all or in none. A scope that was
    /// never measured counts as empty.
    pub(super) fn charge(&self, content: Content, wanted: Vec<(Scope, u64, u64)>) -> Result<Charge<'_>, Full> {
        let mut state = self.state();
        for (scope, bytes, limit) in &wanted {
            let held = state.held.get(scope).copied().unwrap_or_default();
            let used = held.measured.saturating_add(held.added).saturating_add(held.reserved);
            if used.saturating_add(*bytes) > *limit {
                return Err(Full { scope: scope.clone(), used, limit: *limit });
            }
        }
        let bytes: Vec<_> = wanted.into_iter().map(|(scope, bytes, _)| (scope, bytes)).collect();
        for (scope, bytes) in &bytes {
            state.held.entry(scope.clone()).or_default().reserved += bytes;
        }
        Ok(Charge { book: Some(self), content, bytes })
    }

    /// A measurement begins.
    pub(super) fn begin(&self) {
        let page = Page::Blobs { after: None };
        self.state().pass = Some(Pass { page, missed: HashMap::new(), unsettled: Vec::new() });
    }

    /// The measurement goes on to read this page.
    pub(super) fn turn(&self, page: Page) {
        if let Some(pass) = &mut self.state().pass {
            pass.page = page;
        }
    }

    /// The page has been read.
    pub(super) fn end_page(&self, end: PageEnd) {
        if let Some(pass) = &mut self.state().pass {
            for (content, bytes) in std::mem::take(&mut pass.unsettled) {
                let perhaps_missed = match (content, end) {
                    (Content::Blob(digest), PageEnd::Blob(last)) => digest <= last,
                    (_, PageEnd::Last) => true,
                    (_, PageEnd::More) | (Content::Manifest, PageEnd::Blob(_)) => false,
                };
                if perhaps_missed {
                    pass.miss(bytes);
                }
            }
        }
    }

    /// The measurement is done: `measured` are all scopes there are.
    pub(super) fn finish(&self, measured: HashMap<Scope, u64>, at_us: i64, cost: Duration) {
        let mut state = self.state();
        let missed = state.pass.take().map(|pass| pass.missed).unwrap_or_default();
        state.interval = (cost * INTERVAL_PER_COST).clamp(INTERVAL_MIN, INTERVAL_MAX);
        state.held.retain(|scope, held| held.reserved > 0 || measured.contains_key(scope));
        for (scope, measured) in measured {
            let added = missed.get(&scope).copied().unwrap_or(0);
            let held = state.held.entry(scope).or_default();
            *held = Held { measured, measured_at_us: Some(at_us), added, reserved: held.reserved };
        }
    }
}

impl Pass {
    fn miss(&mut self, bytes: Vec<(Scope, u64)>) {
        for (scope, bytes) in bytes {
            *self.missed.entry(scope).or_default() += bytes;
        }
    }

    /// Notes what was added just now: the measurement has looked there, will look there, or looks there at the moment.
    fn note(&mut self, content: Content, bytes: &[(Scope, u64)]) {
        match (self.page, content) {
            (Page::Blobs { after }, Content::Blob(digest)) if Some(digest) > after => {
                self.unsettled.push((content, bytes.to_vec()));
            }
            (Page::Blobs { .. } | Page::Manifests, Content::Blob(_)) => self.miss(bytes.to_vec()),
            (Page::Blobs { .. }, Content::Manifest) => {}
            (Page::Manifests, Content::Manifest) => self.unsettled.push((content, bytes.to_vec())),
        }
    }
}

impl Charge<'_> {
    /// A charge of nothing.
    pub(super) fn none() -> Self {
        Self { book: None, content: Content::Manifest, bytes: Vec::new() }
    }

    /// What was charged is there now.
    pub(crate) fn settle(mut self) {
        let Some(book) = self.book.take() else { return };
        let mut state = book.state();
        for (scope, bytes) in &self.bytes {
            if let Some(held) = state.held.get_mut(scope) {
                held.reserved = held.reserved.saturating_sub(*bytes);
                held.added += bytes;
            }
        }
        if let Some(pass) = &mut state.pass {
            pass.note(self.content, &self.bytes);
        }
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        let Some(book) = self.book else { return };
        let mut state = book.state();
        for (scope, bytes) in &self.bytes {
            if let Some(held) = state.held.get_mut(scope) {
                held.reserved = held.reserved.saturating_sub(*bytes);
            }
        }
    }
}
