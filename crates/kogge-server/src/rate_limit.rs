//! How many requests a minute one registry and one identity may make, by category as ACR has them.
//!
//! What is over the limit waits for its turn, for a few seconds and in a queue of bounded length, before it is refused:
//! container clients take a refusal as final. Each node holds buckets of its own, sized by its share of the limit.

mod bucket;
mod lane;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use kogge_core::auth::subject::PrincipalId;
use kogge_types::{RegistryId, limits};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use self::bucket::Rate;
use self::lane::{Lane, Rates, Ticket};
use crate::config::RateLimit;
use crate::metrics::RateLimitMetrics;
use crate::route::Operation;

/// Nanoseconds after which what is idle is forgotten: a bucket is full again after a minute.
const SWEEP_NS: u64 = 60_000_000_000;

/// A kind of request with a limit of its own (ACR: "Service tier features and limits", rate limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    Read,
    Write,
    Delete,
    /// Counts as a read too.
    Referrers,
    /// Requests for tokens: limited for the registry only.
    Login,
}

impl Category {
    /// The label of each, in the order of the enum.
    pub(crate) const NAMES: [&'static str; 5] = ["read", "write", "delete", "referrers", "login"];

    /// What a request to a registry counts as; `None` for what is never limited.
    pub(crate) fn of(operation: Operation, method: &Method) -> Option<Self> {
        match operation {
            Operation::Health | Operation::Ready | Operation::Metrics => None,
            Operation::GetToken | Operation::PostToken | Operation::Exchange => Some(Self::Login),
            Operation::ListReferrers => Some(Self::Referrers),
            _ => Some(match *method {
                Method::PUT | Method::PATCH | Method::POST => Self::Write,
                Method::DELETE => Self::Delete,
                _ => Self::Read,
            }),
        }
    }

    /// All that one request of this category counts as.
    fn counted(self) -> &'static [Self] {
        match self {
            Self::Read => &[Self::Read],
            Self::Write => &[Self::Write],
            Self::Delete => &[Self::Delete],
            Self::Referrers => &[Self::Referrers, Self::Read],
            Self::Login => &[Self::Login],
        }
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// A principal, a repository-scoped token, a registry's admin user, or everybody who is not logged in.
    Caller(PrincipalId),
    /// Who asks for a token: it is not known yet who that is, but each address takes its turn.
    Address(IpAddr),
}

impl Identity {
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                // An IPv6 network of 64 bits is one customer's.
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Too many requests: come again after this many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) retry_after_seconds: u64,
}

/// Requests a minute; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Allowance {
    registry: Option<NonZeroU32>,
    identity: Option<NonZeroU32>,
}

/// The limits of one node. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct RateLimits(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    allowances: [Allowance; 5],
    /// Nodes that share the limits.
    nodes: NonZeroU32,
    started: Instant,
    lanes: [Mutex<Lanes>; 5],
    waiting: AtomicUsize,
    metrics: RateLimitMetrics,
}

#[derive(Debug, Default)]
struct Lanes {
    by_registry: HashMap<RegistryId, Served>,
    sweep_at: u64,
}

/// When a token was taken, in nanoseconds since the start.
type TakenAt = u64;

/// A lane, and what wakes the task that serves it while somebody waits.
#[derive(Debug, Default)]
struct Served {
    lane: Lane<oneshot::Sender<TakenAt>>,
    alarm: Option<Arc<Notify>>,
}

/// What became of a request at the door.
enum Entry<'a> {
    Taken(TakenAt),
    Refused,
    Waiting(Place<'a>),
}

/// A place in a queue. Dropping it leaves the queue, and gives back a token that came at the last moment.
struct Place<'a> {
    inner: &'a Inner,
    category: Category,
    registry: RegistryId,
    identity: Identity,
    ticket: Ticket,
    turn: oneshot::Receiver<TakenAt>,
    /// The token was taken, or the queue left.
    done: bool,
}

/// Tokens of a request that is not let in yet. Dropping it gives them back.
struct Taken<'a> {
    inner: &'a Inner,
    registry: RegistryId,
    identity: Identity,
    tokens: Vec<(Category, TakenAt)>,
}

impl RateLimits {
    /// The share of `config` that one of `nodes` has.
    pub(crate) fn new(config: &RateLimit, nodes: NonZeroU32, metrics: RateLimitMetrics) -> Self {
        let allow =
            |registry, identity| Allowance { registry: NonZeroU32::new(registry), identity: NonZeroU32::new(identity) };
        let allowances = [
            allow(config.registry_reads, config.identity_reads),
            allow(config.registry_writes, config.identity_writes),
            allow(config.registry_deletes, config.identity_deletes),
            allow(config.registry_referrers, config.identity_referrers),
            allow(config.registry_logins, 0),
        ];
        let limited = allowances.iter().any(|allowance| *allowance != Allowance::default());
        let started = Instant::now();
        let (lanes, waiting) = (Default::default(), AtomicUsize::new(0));
        Self(limited.then(|| Arc::new(Inner { allowances, nodes, started, lanes, waiting, metrics })))
    }

    /// Lets a request in, at once or when its turn comes. Whoever stops waiting leaves nothing behind.
    ///
    /// # Errors
    /// The limit is reached, and the turn would not come or did not come within [`limits::RATE_WAIT_MAX`].
    pub(crate) async fn admit(
        &self,
        category: Category,
        registry: RegistryId,
        identity: Identity,
    ) -> Result<(), TooMany> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let deadline = Instant::now() + limits::RATE_WAIT_MAX;
        let mut taken = Taken { inner, registry, identity, tokens: Vec::new() };
        for counted in category.counted() {
            match inner.take(*counted, registry, identity, deadline).await {
                Some(taken_at) => taken.tokens.push((*counted, taken_at)),
                None => {
                    drop(taken);
                    inner.metrics.refused(category);
                    return Err(inner.too_many(category, registry, identity));
                }
            }
        }
        taken.tokens.clear();
        Ok(())
    }
}

impl Inner {
    fn lanes(&self, category: Category) -> MutexGuard<'_, Lanes> {
        self.lanes[category as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn rates(&self, category: Category) -> Rates {
        let allowance = self.allowances[category as usize];
        let share = |limit: Option<NonZeroU32>| limit.map(|limit| Rate::share(limit, self.nodes));
        Rates { registry: share(allowance.registry), identity: share(allowance.identity) }
    }

    /// Takes a token, now or before `deadline`. `None` when there is none.
    async fn take(
        self: &Arc<Self>,
        category: Category,
        registry: RegistryId,
        identity: Identity,
        deadline: Instant,
    ) -> Option<TakenAt> {
        match self.enter(category, registry, identity, deadline) {
            Entry::Taken(taken_at) => Some(taken_at),
            Entry::Refused => None,
            Entry::Waiting(mut place) => {
                self.metrics.waited(category);
                let turn = tokio::time::timeout_at(deadline, &mut place.turn).await;
                match turn {
                    Ok(Ok(taken_at)) => {
                        place.depart();
                        Some(taken_at)
                    }
                    Ok(Err(_)) | Err(_) => place.leave(),
                }
            }
        }
    }

    fn enter(
        self: &Arc<Self>,
        category: Category,
        registry: RegistryId,
        identity: Identity,
        deadline: Instant,
    ) -> Entry<'_> {
        let (rates, now) = (self.rates(category), self.now());
        if rates == (Rates { registry: None, identity: None }) {
            return Entry::Taken(now);
        }
        let mut lanes = self.lanes(category);
        lanes.sweep(now);
        let Served { lane, alarm } = lanes.by_registry.entry(registry).or_default();
        lane.serve(rates, now, |waiter| hand(waiter, now));
        if lane.try_take(rates, identity, now) {
            return Entry::Taken(now);
        }
        let left = u64::try_from((deadline - Instant::now()).as_nanos()).unwrap_or(u64::MAX);
        if lane.queued(identity) >= limits::RATE_WAITERS_PER_IDENTITY_MAX
            || lane.soonest(rates, identity, now) > now.saturating_add(left)
            || !self.count_in()
        {
            return Entry::Refused;
        }
        let (waiter, turn) = oneshot::channel();
        let ticket = lane.enqueue(rates, identity, waiter, now);
        match alarm {
            Some(alarm) => alarm.notify_one(),
            None => {
                let bell = Arc::new(Notify::new());
                *alarm = Some(Arc::clone(&bell));
                tokio::spawn(Arc::clone(self).drive(category, registry, bell));
            }
        }
        Entry::Waiting(Place { inner: self, category, registry, identity, ticket, turn, done: false })
    }

    /// Counts one more who waits, unless there are as many as there may be.
    fn count_in(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= limits::RATE_WAITERS_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.metrics.waiting.inc();
        true
    }

    /// Serves those who wait in a lane, until nobody does.
    async fn drive(self: Arc<Self>, category: Category, registry: RegistryId, alarm: Arc<Notify>) {
        loop {
            let next_at = {
                let (rates, now) = (self.rates(category), self.now());
                let mut lanes = self.lanes(category);
                let Some(served) = lanes.by_registry.get_mut(&registry) else { return };
                served.lane.serve(rates, now, |waiter| hand(waiter, now));
                match served.lane.next_at() {
                    Some(at) => at,
                    None => {
                        served.alarm = None;
                        return;
                    }
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(self.started + Duration::from_nanos(next_at)) => {}
                () = alarm.notified() => {}
            }
        }
    }

    fn give_back(&self, category: Category, registry: RegistryId, identity: Identity, taken_at: TakenAt) {
        let (rates, now) = (self.rates(category), self.now());
        if let Some(served) = self.lanes(category).by_registry.get_mut(&registry) {
            served.lane.give_back(rates, identity, taken_at, now);
            if let Some(alarm) = &served.alarm {
                alarm.notify_one();
            }
        }
    }

    /// When one who is refused now will find a token, rounded up to whole seconds.
    fn too_many(&self, category: Category, registry: RegistryId, identity: Identity) -> TooMany {
        let now = self.now();
        let waits = category.counted().iter().map(|counted| {
            let (rates, lanes) = (self.rates(*counted), self.lanes(*counted));
            let served = lanes.by_registry.get(&registry);
            served.map_or(now, |served| served.lane.retry_at(rates, identity, now)) - now
        });
        let nanoseconds = waits.max().unwrap_or(0);
        TooMany { retry_after_seconds: nanoseconds.div_ceil(1_000_000_000).max(1) }
    }
}

/// Tells a waiter that it has its token. One who has just gone gives it back by itself.
fn hand(waiter: oneshot::Sender<TakenAt>, now: TakenAt) {
    let _ = waiter.send(now);
}

impl Lanes {
    fn sweep(&mut self, now: u64) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now.saturating_add(SWEEP_NS);
        self.by_registry.retain(|_, served| {
            served.lane.sweep(now);
            served.alarm.is_some() || !served.lane.is_idle(now)
        });
    }
}

impl Place<'_> {
    /// Leaves the queue. The token, when it came in the meantime.
    fn leave(&mut self) -> Option<TakenAt> {
        let (rates, now) = (self.inner.rates(self.category), self.inner.now());
        let mut lanes = self.inner.lanes(self.category);
        if let Some(served) = lanes.by_registry.get_mut(&self.registry) {
            // A turn that comes at the last moment is a turn.
            served.lane.serve(rates, now, |waiter| hand(waiter, now));
            served.lane.leave(self.identity, self.ticket, now);
        }
        drop(lanes);
        self.depart();
        self.turn.try_recv().ok()
    }

    fn depart(&mut self) {
        self.done = true;
        self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
        self.inner.metrics.waiting.dec();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(taken_at) = self.leave() {
            self.inner.give_back(self.category, self.registry, self.identity, taken_at);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (category, taken_at) in &self.tokens {
            self.inner.give_back(*category, self.registry, self.identity, *taken_at);
        }
    }
}

#[cfg(test)]
mod tests;
