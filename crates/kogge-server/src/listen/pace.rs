//! What one connection owes and is owed: counters that its stream and its requests keep, and the verdict on them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// The counters of one connection. They are hints between parts of one connection, so their order does not matter.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Requests that are not answered whole.
    active: AtomicU32,
    /// Requests ever begun.
    begun: AtomicU64,
    /// Whether bytes came in since the last request began, while none was running.
    head_begun: AtomicBool,
    /// Whether any byte came in.
    greeted: AtomicBool,
    /// Whether the connection speaks HTTP/2, where bytes between requests are no head.
    multiplexed: AtomicBool,
    /// Bytes that the socket took.
    written: AtomicU64,
    /// Whether the socket refused the last write.
    write_refused: AtomicBool,
    /// HTTP/2 only: answers whose next part is ready while the client takes none, and since when.
    untaken: Mutex<Vec<Option<Instant>>>,
}

impl Pace {
    pub(super) fn received(&self, bytes: &[u8]) {
        if !self.greeted.swap(true, Relaxed) && bytes.starts_with(b"PRI") {
            self.multiplexed.store(true, Relaxed);
        }
        if self.active.load(Relaxed) == 0 {
            self.head_begun.store(true, Relaxed);
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.write_refused.store(false, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.write_refused.store(true, Relaxed);
    }

    pub(super) fn flushed(&self) {
        self.write_refused.store(false, Relaxed);
    }

    pub(super) fn begin(&self, multiplexed: bool) {
        self.active.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Relaxed);
        }
    }

    pub(super) fn end(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// A place to note since when the client has taken nothing of one answer.
    pub(super) fn watch_answer(&self) -> usize {
        let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        // A place in use always holds a time; see `answer_taken`.
        let free = untaken.iter().position(Option::is_none);
        let place = free.unwrap_or(untaken.len());
        if free.is_none() {
            untaken.push(None);
        }
        untaken[place] = Some(far_future());
        place
    }

    /// Notes that the registry itself is working on the next part of the answer, or that a part is ready from now on.
    pub(super) fn answer_moved(&self, place: usize, ready_since: Option<Instant>) {
        let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = untaken.get_mut(place) {
            *since = Some(ready_since.unwrap_or_else(far_future));
        }
    }

    pub(super) fn answer_done(&self, place: usize) {
        let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = untaken.get_mut(place) {
            *since = None;
        }
    }

    fn oldest_untaken(&self) -> Option<Instant> {
        let untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
        untaken.iter().flatten().min().copied()
    }
}

/// A moment that no deadline is measured from.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365)
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    Handshake,
    Head,
    Answer,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// It is idle: say goodbye.
    Idle,
    Cut(Slow),
}

/// Judges a connection from time to time by what changed since it last looked.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    limits: &'a Limits,
    opened: Instant,
    begun: u64,
    idle_since: Instant,
    head_since: Option<Instant>,
    written: u64,
    refused_since: Option<Instant>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(limits: &'a Limits, now: Instant) -> Self {
        Self { limits, opened: now, begun: 0, idle_since: now, head_since: None, written: 0, refused_since: None }
    }

    /// How often to look: often enough that no limit is overrun by more than a quarter.
    pub(super) fn interval(limits: &Limits) -> Duration {
        let shortest = limits
            .handshake_timeout
            .min(limits.header_timeout)
            .min(limits.idle_timeout)
            .min(limits.write_stall_timeout);
        (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5))
    }

    pub(super) fn look(&mut self, pace: &Pace, now: Instant) -> Verdict {
        let begun = pace.begun.load(Relaxed);
        let busy = pace.active.load(Relaxed) > 0;
        if busy || begun != self.begun {
            self.begun = begun;
            self.idle_since = now;
            self.head_since = None;
        }
        if self.answer_is_stuck(pace, now) {
            return Verdict::Cut(Slow::Answer);
        }
        if busy {
            return Verdict::Fine;
        }
        if begun == 0 && !pace.greeted.load(Relaxed) {
            let late = now - self.opened >= self.limits.handshake_timeout;
            return if late { Verdict::Cut(Slow::Handshake) } else { Verdict::Fine };
        }
        if !pace.multiplexed.load(Relaxed) && pace.head_begun.load(Relaxed) {
            let since = *self.head_since.get_or_insert(now);
            let late = now - since >= self.limits.header_timeout;
            return if late { Verdict::Cut(Slow::Head) } else { Verdict::Fine };
        }
        if now - self.idle_since >= self.limits.idle_timeout { Verdict::Idle } else { Verdict::Fine }
    }

    fn answer_is_stuck(&mut self, pace: &Pace, now: Instant) -> bool {
        let limit = self.limits.write_stall_timeout;
        let written = pace.written.load(Relaxed);
        if pace.write_refused.load(Relaxed) && written == self.written {
            if now - *self.refused_since.get_or_insert(now) >= limit {
                return true;
            }
        } else {
            self.refused_since = None;
        }
        self.written = written;
        pace.oldest_untaken().is_some_and(|since| now.saturating_duration_since(since) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            write_stall_timeout: Duration::from_secs(30),
            ..Limits::default()
        }
    }

    /// At which second what happens.
    type Act = (u64, fn(&Pace));

    /// Runs `acts` (seconds, what happens) and gives the first verdict that is not `Fine`, with its second.
    fn check(acts: &[Act]) -> Option<(u64, Verdict)> {
        let (limits, pace, start) = (limits(), Pace::default(), Instant::now());
        let mut judge = Judge::new(&limits, start);
        (0..200).find_map(|second| {
            acts.iter().filter(|(at, _)| *at == second).for_each(|(_, act)| act(&pace));
            let verdict = judge.look(&pace, start + Duration::from_secs(second));
            (verdict != Verdict::Fine).then_some((second, verdict))
        })
    }

    #[test]
    fn silence_is_cut() {
        assert_eq!(check(&[]), Some((10, Verdict::Cut(Slow::Handshake))));
    }

    #[test]
    fn a_head_that_drips_is_cut() {
        let drip: fn(&Pace) = |pace| pace.received(b"G");
        assert_eq!(check(&[(1, drip), (9, drip), (14, drip)]), Some((16, Verdict::Cut(Slow::Head))));
    }

    #[test]
    fn a_request_may_take_its_time_and_the_connection_is_idle_after_it() {
        let acts: &[Act] = &[(1, |p| p.received(b"GET")), (2, |p| p.begin(false)), (90, Pace::end)];
        assert_eq!(check(acts), Some((149, Verdict::Idle)));
    }

    #[test]
    fn bytes_between_requests_of_http2_are_no_head() {
        let acts: &[Act] = &[(0, |p| p.received(b"PRI * HTTP/2.0")), (20, |p| p.received(b"ping"))];
        assert_eq!(check(acts), Some((60, Verdict::Idle)));
    }

    #[test]
    fn an_answer_that_is_not_taken_is_cut() {
        let refuse: fn(&Pace) = Pace::refused;
        let acts: &[Act] =
            &[(0, |p| p.begin(false)), (1, refuse), (20, |p| p.sent(1)), (20, refuse), (60, Pace::flushed)];
        assert_eq!(check(acts), Some((51, Verdict::Cut(Slow::Answer))));
        let taken: &[Act] =
            &[(0, |p| p.begin(false)), (1, refuse), (20, Pace::flushed), (25, refuse), (50, Pace::flushed)];
        assert_eq!(check(taken), None);
    }

    #[test]
    fn one_stuck_stream_of_many_is_seen() {
        let pace = Pace::default();
        let start = Instant::now();
        let (a, b) = (pace.watch_answer(), pace.watch_answer());
        assert_eq!((a, b), (0, 1));
        pace.answer_moved(a, Some(start));
        pace.answer_moved(b, None);
        assert_eq!(pace.oldest_untaken(), Some(start));
        pace.answer_moved(a, None);
        assert_ne!(pace.oldest_untaken(), Some(start));
        pace.answer_done(a);
        assert_eq!(pace.watch_answer(), 0);
    }
}
