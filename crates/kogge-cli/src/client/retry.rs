//! When a request is sent again, and how long to wait before.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Attempts of one request, the first included.
const ATTEMPTS_MAX: u32 = 6;
/// The wait before the second attempt; each further one doubles it.
const DELAY_FIRST: Duration = Duration::from_millis(250);
const DELAY_MAX: Duration = Duration::from_secs(15);
/// The longest wait that a registry may ask for. One that asks for more gets no further attempt.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// Counts the attempts of one request and spaces them.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// How long to wait before the next attempt, after one failed. `None` when it was the last one.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= ATTEMPTS_MAX {
            return None;
        }
        match asked {
            Some(asked) => (asked <= RETRY_AFTER_MAX).then_some(asked),
            None => {
                let doubled = DELAY_FIRST.saturating_mul(1 << (self.failed - 1).min(16)).min(DELAY_MAX);
                Some(doubled.mul_f64(0.5 + 0.5 * unit_fraction()))
            }
        }
    }

    /// Forgets the failures: something got through.
    pub(crate) fn progressed(&mut self) {
        self.failed = 0;
    }
}

/// A number from 0 to 1 that differs between processes and calls, so that clients do not come back all at once.
fn unit_fraction() -> f64 {
    let random = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Whether the same request may succeed later, by the status of its answer.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The wait that a `Retry-After` header asks for: seconds, or a date seen from `now`.
pub(crate) fn asked_delay(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = http_date(value)?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// A date as HTTP headers write it.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded_and_grow_apart() {
        let mut backoff = Backoff::default();
        let delays: Vec<Duration> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert_eq!(delays.len(), 5);
        for (position, delay) in delays.iter().enumerate() {
            let full = DELAY_FIRST * (1 << position);
            assert!((full / 2..=full).contains(delay), "{position}: {delay:?}");
        }
    }

    #[test]
    fn what_the_registry_asks_for_is_obeyed_within_the_bound() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(backoff.next(Some(RETRY_AFTER_MAX)), Some(RETRY_AFTER_MAX));
        assert_eq!(backoff.next(Some(RETRY_AFTER_MAX + Duration::from_secs(1))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = http_date("Mon, 23 Nov 2026 21:00:00 GMT").expect("a date");
        let check = |value: &str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header value"))]);
            assert_eq!(asked_delay(&headers, now), expected.map(Duration::from_secs), "{value}");
        };
        check("5", Some(5));
        check("Mon, 23 Nov 2026 21:00:30 GMT", Some(30));
        check("Mon, 23 Nov 2026 20:00:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
        assert_eq!(asked_delay(&HeaderMap::new(), now), None);
    }
}
