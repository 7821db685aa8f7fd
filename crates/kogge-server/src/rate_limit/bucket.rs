//! A token bucket as one number: the time at which it is full again. Times are nanoseconds on a clock that never goes
//! back.

use std::num::{NonZeroU32, NonZeroU64};

const MINUTE_NS: u64 = 60_000_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Nanoseconds until the next token.
    pub(super) interval: u64,
    /// Tokens of a full bucket.
    pub(super) capacity: u64,
}

impl Rate {
    /// One node's share of `per_minute` requests. All that a minute allows may come at once.
    pub(super) fn share(per_minute: NonZeroU32, nodes: NonZeroU32) -> Self {
        let interval = (MINUTE_NS * u64::from(nodes.get())).div_ceil(NonZeroU64::from(per_minute).get());
        Self { interval, capacity: u64::from(per_minute.get() / nodes).max(1) }
    }
}

/// The tokens of one bucket. A new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bucket {
    full_at: u64,
    /// When it was full last, and a token was taken.
    since: u64,
}

impl Bucket {
    /// When there will be `tokens` for one after the other, if nobody else takes any; never before `now`.
    pub(super) fn ready_at(self, rate: Rate, now: u64, tokens: u64) -> u64 {
        let wanted = self.full_at.max(now).saturating_add(rate.interval.saturating_mul(tokens));
        wanted.saturating_sub(rate.interval.saturating_mul(rate.capacity)).max(now)
    }

    /// Takes one token, which must be there.
    pub(super) fn take(&mut self, rate: Rate, now: u64) {
        if self.is_full(now) {
            self.since = now;
        }
        self.full_at = self.full_at.max(now).saturating_add(rate.interval);
    }

    /// Puts a token back that was taken at `taken_at` and not used. It is spilt when the bucket has been full since.
    pub(super) fn give_back(&mut self, rate: Rate, taken_at: u64) {
        if self.since <= taken_at {
            self.full_at = self.full_at.saturating_sub(rate.interval);
        }
    }

    /// Whether it is as a new one.
    pub(super) fn is_full(self, now: u64) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_minute: u32, nodes: u32) -> Rate {
        Rate::share(NonZeroU32::new(per_minute).unwrap(), NonZeroU32::new(nodes).unwrap())
    }

    #[test]
    fn a_node_gets_its_share() {
        assert_eq!(rate(60, 1), Rate { interval: 1_000_000_000, capacity: 60 });
        assert_eq!(rate(60, 3), Rate { interval: 3_000_000_000, capacity: 20 });
        // Three nodes of a limit of one make one request in three minutes each.
        assert_eq!(rate(1, 3), Rate { interval: 180_000_000_000, capacity: 1 });
        // Never faster than the limit.
        assert!(rate(7_000, 1).interval * 7_000 >= MINUTE_NS);
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let (rate, mut bucket, now) = (rate(2, 1), Bucket::default(), 1_000);
        assert!(bucket.is_full(now));
        for _ in 0..2 {
            assert_eq!(bucket.ready_at(rate, now, 1), now);
            bucket.take(rate, now);
        }
        assert_eq!(bucket.ready_at(rate, now, 1), now + rate.interval);
        assert_eq!(bucket.ready_at(rate, now, 3), now + 3 * rate.interval);
        bucket.give_back(rate, now);
        assert_eq!(bucket.ready_at(rate, now, 1), now);
        let later = now + rate.interval;
        assert!(bucket.is_full(later) && bucket.ready_at(rate, later, 2) == later);
        // What comes back after the bucket was full is spilt.
        bucket.take(rate, later);
        bucket.give_back(rate, now);
        assert_eq!(bucket.ready_at(rate, later, 2), later + rate.interval);
        bucket.give_back(rate, later);
        assert!(bucket.ready_at(rate, later, 2) == later);
    }
}
