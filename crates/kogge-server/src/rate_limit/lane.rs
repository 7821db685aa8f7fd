//! The requests of one category to one registry: a bucket for all of them, one for each identity, and those who wait.
//! It does nothing by itself and has no clock: whoever owns it says what time it is.
//!
//! Identities take turns, so that one who asks a lot does not keep the others out; those of one identity are served
//! in the order in which they came.

use std::collections::{HashMap, VecDeque};

use super::Identity;
use super::bucket::{Bucket, Rate};

/// What holds for a lane at the moment; `None` where nothing is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) registry: Option<Rate>,
    pub(super) identity: Option<Rate>,
}

/// One who waits; unique within the lane.
pub(super) type Ticket = u64;

/// `T` is how a waiter is told that it is his turn.
#[derive(Debug)]
pub(super) struct Lane<T> {
    bucket: Bucket,
    accounts: HashMap<Identity, Account<T>>,
    /// Identities with waiters, the one whose turn is next first.
    turns: VecDeque<Identity>,
    waiting: u64,
    next_ticket: Ticket,
    /// Nobody can be served before.
    next_at: u64,
}

#[derive(Debug)]
struct Account<T> {
    bucket: Bucket,
    queue: VecDeque<(Ticket, T)>,
}

impl<T> Default for Account<T> {
    fn default() -> Self {
        Self { bucket: Bucket::default(), queue: VecDeque::new() }
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            bucket: Bucket::default(),
            accounts: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            next_ticket: 0,
            next_at: 0,
        }
    }
}

/// When `bucket` will have `tokens`; now where nothing is limited.
fn ready_at(bucket: Bucket, rate: Option<Rate>, now: u64, tokens: u64) -> u64 {
    rate.map_or(now, |rate| bucket.ready_at(rate, now, tokens))
}

impl<T> Lane<T> {
    /// Gives every waiter whose turn has come its token, by `hand`.
    pub(super) fn serve(&mut self, rates: Rates, now: u64, mut hand: impl FnMut(T)) {
        while !self.turns.is_empty() && self.next_at <= now {
            self.next_at = ready_at(self.bucket, rates.registry, now, 1);
            if self.next_at > now {
                return;
            }
            let mut soonest = u64::MAX;
            let served = self.turns.iter().position(|identity| {
                let own = self.accounts.get(identity).map(|account| account.bucket).unwrap_or_default();
                let at = ready_at(own, rates.identity, now, 1);
                soonest = soonest.min(at);
                at <= now
            });
            let Some(identity) = served.and_then(|position| self.turns.remove(position)) else {
                self.next_at = soonest;
                return;
            };
            let Some(account) = self.accounts.get_mut(&identity) else { continue };
            if let Some((_, waiter)) = account.queue.pop_front() {
                self.waiting -= 1;
                if !account.queue.is_empty() {
                    self.turns.push_back(identity);
                }
                self.take(rates, identity, now);
                hand(waiter);
            }
        }
    }

    fn take(&mut self, rates: Rates, identity: Identity, now: u64) {
        if let Some(rate) = rates.registry {
            self.bucket.take(rate, now);
        }
        if let Some(rate) = rates.identity {
            self.accounts.entry(identity).or_default().bucket.take(rate, now);
        }
        self.forget_if_idle(identity, now);
    }

    /// Takes a token for one who has just come, when there is one that no waiter could have. To be called after
    /// [`Lane::serve`].
    pub(super) fn try_take(&mut self, rates: Rates, identity: Identity, now: u64) -> bool {
        let taken = self.queued(identity) == 0 && self.soonest(rates, identity, now) <= now;
        if taken {
            self.take(rates, identity, now);
        }
        taken
    }

    /// Puts a token back that was taken at `taken_at` and not used.
    pub(super) fn give_back(&mut self, rates: Rates, identity: Identity, taken_at: u64, now: u64) {
        if let Some(rate) = rates.registry {
            self.bucket.give_back(rate, taken_at);
        }
        if let (Some(rate), Some(account)) = (rates.identity, self.accounts.get_mut(&identity)) {
            account.bucket.give_back(rate, taken_at);
        }
        self.next_at = 0;
        self.forget_if_idle(identity, now);
    }

    /// Puts a waiter at the end of its identity's queue.
    pub(super) fn enqueue(&mut self, rates: Rates, identity: Identity, waiter: T, now: u64) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let account = self.accounts.entry(identity).or_default();
        if account.queue.is_empty() {
            self.turns.push_back(identity);
        }
        account.queue.push_back((ticket, waiter));
        let own = ready_at(account.bucket, rates.identity, now, 1);
        let at = own.max(ready_at(self.bucket, rates.registry, now, 1));
        self.next_at = if self.waiting == 0 { at } else { self.next_at.min(at) };
        self.waiting += 1;
        ticket
    }

    /// Takes a waiter out of the queue, unless it was served already.
    pub(super) fn leave(&mut self, identity: Identity, ticket: Ticket, now: u64) {
        let Some(account) = self.accounts.get_mut(&identity) else { return };
        let Some(position) = account.queue.iter().position(|(queued, _)| *queued == ticket) else { return };
        account.queue.remove(position);
        self.waiting -= 1;
        if account.queue.is_empty() {
            self.turns.retain(|queued| *queued != identity);
        }
        self.forget_if_idle(identity, now);
    }

    /// When the next waiter may be served; `None` when nobody waits.
    pub(super) fn next_at(&self) -> Option<u64> {
        (self.waiting > 0).then_some(self.next_at)
    }

    /// How many of an identity wait.
    pub(super) fn queued(&self, identity: Identity) -> usize {
        self.accounts.get(&identity).map_or(0, |account| account.queue.len())
    }

    /// When one who comes now is served at the earliest, whoever else waits.
    pub(super) fn soonest(&self, rates: Rates, identity: Identity, now: u64) -> u64 {
        let tokens = self.queued(identity) as u64 + 1;
        self.own_ready_at(rates, identity, now, tokens).max(ready_at(self.bucket, rates.registry, now, tokens))
    }

    /// When there is a token for one who does not wait, after all who do, if nobody else comes.
    pub(super) fn retry_at(&self, rates: Rates, identity: Identity, now: u64) -> u64 {
        let own = self.own_ready_at(rates, identity, now, self.queued(identity) as u64 + 1);
        own.max(ready_at(self.bucket, rates.registry, now, self.waiting + 1))
    }

    fn own_ready_at(&self, rates: Rates, identity: Identity, now: u64, tokens: u64) -> u64 {
        let own = self.accounts.get(&identity).map(|account| account.bucket).unwrap_or_default();
        ready_at(own, rates.identity, now, tokens)
    }

    fn forget_if_idle(&mut self, identity: Identity, now: u64) {
        let idle = |account: &Account<T>| account.queue.is_empty() && account.bucket.is_full(now);
        if self.accounts.get(&identity).is_some_and(idle) {
            self.accounts.remove(&identity);
        }
    }

    /// Forgets identities whose buckets are full and who do not wait: they are as if they had never come.
    pub(super) fn sweep(&mut self, now: u64) {
        self.accounts.retain(|_, account| !(account.queue.is_empty() && account.bucket.is_full(now)));
    }

    /// Whether the lane is as a new one.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        self.accounts.is_empty() && self.bucket.is_full(now)
    }

    /// Identities that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.accounts.len()
    }
}

#[cfg(test)]
mod tests;
