//! Failed logins are held back: by the address that they come from, and by the account that they are aimed at. Nobody
//! waits here; who comes too early is told when to come again.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::LruCache;
use kogge_types::{Clock, clock, limits};

/// Failures are forgotten after this long without another.
const FAILURE_MEMORY: Duration = Duration::from_secs(15 * 60);
/// Addresses and accounts whose failures are remembered, each.
const FAILURES_MAX: usize = 10_000;
/// Checks that one address may have under way.
const CHECKS_PER_ADDRESS_MAX: u32 = 4;
/// Checks that all addresses together may have under way.
const CHECKS_MAX: u32 = 64;
/// How long the first failure over the free ones holds the next attempt back; each further one doubles it.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// Where logins fail and how many are under way.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by_address: LruCache<IpAddr, Failures>,
    by_account: LruCache<String, Failures>,
    under_way: HashMap<IpAddr, u32>,
    under_way_in_all: u32,
    /// Makes the marks of accounts.
    marks: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_us: i64,
    /// The mark of the account that all of them were aimed at; `None` when they were aimed at several.
    only: Option<u64>,
}

/// The leave to check one password; ends when dropped.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    throttle: &'a Throttle,
    address: IpAddr,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            by_address: LruCache::new(FAILURES_MAX),
            by_account: LruCache::new(FAILURES_MAX),
            under_way: HashMap::new(),
            under_way_in_all: 0,
            marks: RandomState::new(),
        };
        Self { clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a check of `account`'s password begin, or says how long `client` is to wait.
    pub(crate) fn admit(&self, account: &str, client: IpAddr) -> Result<Admission<'_>, Duration> {
        let (address, now_us) = (site(client), self.clock.now_us());
        let mut state = self.state();
        let here = recent(&mut state.by_address, &address, now_us);
        // Failures elsewhere hold nobody back who has not failed himself: else anyone could lock an account.
        let there = here.and_then(|_| recent(&mut state.by_account, account, now_us));
        let held_until_us = [here, there].into_iter().flatten().filter_map(Failures::holds_until_us).max();
        if let Some(until_us) = held_until_us.filter(|until_us| *until_us > now_us) {
            return Err(Duration::from_micros(until_us.abs_diff(now_us)));
        }
        let under_way = state.under_way.get(&address).copied().unwrap_or(0);
        if under_way >= CHECKS_PER_ADDRESS_MAX || state.under_way_in_all >= CHECKS_MAX {
            return Err(Duration::from_secs(1));
        }
        state.under_way.insert(address, under_way + 1);
        state.under_way_in_all += 1;
        Ok(Admission { throttle: self, address })
    }

    pub(crate) fn note_failure(&self, account: &str, client: IpAddr) {
        let now_us = self.clock.now_us();
        let mut state = self.state();
        let mark = state.marks.hash_one(account);
        add(&mut state.by_address, site(client), mark, now_us);
        add(&mut state.by_account, account.to_owned(), mark, now_us);
    }

    /// Forgives the failures of `account`. Those of others that came from the same address stay: a login of one's own
    /// buys no further guesses at somebody else's password.
    pub(crate) fn note_success(&self, account: &str, client: IpAddr) {
        let address = site(client);
        let mut state = self.state();
        let mark = state.marks.hash_one(account);
        if state.by_address.get(&address).is_some_and(|failures| failures.only == Some(mark)) {
            state.by_address.remove(&address);
        }
        state.by_account.remove(account);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        let mut state = self.throttle.state();
        state.under_way_in_all -= 1;
        if let Some(under_way) = state.under_way.get_mut(&self.address) {
            *under_way -= 1;
            if *under_way == 0 {
                state.under_way.remove(&self.address);
            }
        }
    }
}

impl Failures {
    /// Until when the next attempt is held back; `None` while failures are free.
    fn holds_until_us(self) -> Option<i64> {
        let over = self.count.checked_sub(limits::LOGIN_FAILURES_FREE)?;
        let delay = limits::LOGIN_DELAY_MAX.min(DELAY_MIN * 2_u32.saturating_pow(over.min(10)));
        Some(self.last_us.saturating_add(clock::micros(delay)))
    }
}

fn recent<K, Q>(failures: &mut LruCache<K, Failures>, key: &Q, now_us: i64) -> Option<Failures>
where
    K: Hash + Eq + std::borrow::Borrow<Q>,
    Q: Hash + Eq + ?Sized,
{
    let found = failures.get(key).copied()?;
    (now_us - found.last_us < clock::micros(FAILURE_MEMORY)).then_some(found)
}

fn add<K: Hash + Eq>(failures: &mut LruCache<K, Failures>, key: K, mark: u64, now_us: i64) {
    let before = recent(failures, &key, now_us);
    let only = before.map_or(Some(mark), |before| before.only).filter(|only| *only == mark);
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    failures.insert(key, Failures { count, last_us: now_us, only });
}

/// What counts as one address: an IPv6 network of 64 bits is one customer's.
pub(crate) fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use kogge_types::ManualClock;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn throttle() -> (Arc<ManualClock>, Throttle) {
        let clock = Arc::new(ManualClock::at(1_000_000_000));
        (Arc::clone(&clock), Throttle::new(clock))
    }

    #[test]
    fn failures_hold_the_next_attempt_back_ever_longer_and_are_forgotten() {
        let (clock, throttle) = throttle();
        let wait = || throttle.admit("admin", HERE).err().unwrap_or_default();
        for _ in 0..limits::LOGIN_FAILURES_FREE {
            assert_eq!(wait(), Duration::ZERO);
            throttle.note_failure("admin", HERE);
        }
        assert_eq!(wait(), DELAY_MIN);
        throttle.note_failure("admin", HERE);
        assert_eq!(wait(), 2 * DELAY_MIN);
        clock.advance(2 * DELAY_MIN);
        assert_eq!(wait(), Duration::ZERO);
        for _ in 0..100 {
            throttle.note_failure("admin", HERE);
        }
        assert_eq!(wait(), limits::LOGIN_DELAY_MAX);
        clock.advance(FAILURE_MEMORY);
        assert_eq!(wait(), Duration::ZERO);
    }

    #[test]
    fn nobody_can_lock_an_account_for_others() {
        let (_clock, throttle) = throttle();
        for _ in 0..100 {
            throttle.note_failure("admin", HERE);
        }
        assert!(throttle.admit("admin", HERE).is_err());
        assert!(throttle.admit("admin", THERE).is_ok());
        throttle.note_failure("admin", THERE);
        assert!(throttle.admit("admin", THERE).is_err(), "the account is under attack and this address failed too");
        assert!(throttle.admit("other", THERE).is_ok());
        throttle.note_success("admin", THERE);
        assert!(throttle.admit("admin", THERE).is_ok());
    }

    #[test]
    fn a_login_of_ones_own_buys_no_further_guesses_at_others() {
        let (_clock, throttle) = throttle();
        for _ in 0..=limits::LOGIN_FAILURES_FREE {
            throttle.note_failure("victim", HERE);
        }
        throttle.note_success("attacker", HERE);
        assert!(throttle.admit("victim", HERE).is_err());
        throttle.note_failure("attacker", HERE);
        throttle.note_success("attacker", HERE);
        assert!(throttle.admit("victim", HERE).is_err(), "the address failed at several accounts");
        throttle.note_success("victim", HERE);
        assert!(throttle.admit("other", HERE).is_err());
        for _ in 0..=limits::LOGIN_FAILURES_FREE {
            throttle.note_failure("clumsy", THERE);
        }
        throttle.note_success("clumsy", THERE);
        assert!(throttle.admit("clumsy", THERE).is_ok(), "one's own failures are forgiven");
    }

    #[test]
    fn one_address_never_takes_all_places() {
        let (_clock, throttle) = throttle();
        let mut held: Vec<_> = (0..CHECKS_PER_ADDRESS_MAX).map(|_| throttle.admit("a", HERE).expect("room")).collect();
        assert!(throttle.admit("a", HERE).is_err());
        assert!(throttle.admit("a", THERE).is_ok());
        held.pop();
        assert!(throttle.admit("a", HERE).is_ok());
        let near = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        assert_eq!(site(near(1)), site(near(2)));
    }
}
