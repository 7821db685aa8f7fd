//! Times as people type them.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::Error;

/// Seconds of the longest period: ten thousand years are not needed, and times have an end.
const SECONDS_MAX: i64 = 100 * 366 * 86_400;

/// A length of time: `90s`, `30m`, `1h`, `30d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(SignedDuration);

/// A point in time: a period before now, a day, or a time with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Period),
    At(Timestamp),
}

impl Period {
    /// The time so long after `now`.
    pub(crate) fn after(self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.0).expect("a duration is of seconds")
    }
}

impl Moment {
    pub(crate) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(period) => now.saturating_sub(period.0).expect("a duration is of seconds"),
            Self::At(time) => time,
        }
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let seconds = || {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let factor = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                "w" => 7 * 86_400,
                _ => return None,
            };
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            let count = number.parse::<i64>().ok().filter(|_| digits)?;
            count.checked_mul(factor).filter(|seconds| (1..=SECONDS_MAX).contains(seconds))
        };
        seconds().map(|seconds| Self(SignedDuration::from_secs(seconds))).ok_or_else(|| {
            Error::usage(format!("`{text}` is no length of time"))
                .hint("write a number with s, m, h, d or w, such as `30d`")
        })
    }
}

impl FromStr for Moment {
    type Err = Error;

    /// A day without a time begins at midnight UTC.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(period) = text.parse() {
            return Ok(Self::Ago(period));
        }
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-24".len())?;
            day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        });
        time.map(Self::At).ok_or_else(|| {
            Error::usage(format!("`{text}` is no time"))
                .hint("write `1h` or `2d` for so long ago, `2026-11-24`, or `2026-11-24T08:00:00Z`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a time");
        let check = |text: &str, expected: &str| {
            let moment: Moment = text.parse().expect(text);
            assert_eq!(moment.seen_from(now).to_string(), expected, "{text}");
        };
        check("1h", "2026-11-24T11:00:00Z");
        check("90s", "2026-11-24T11:58:30Z");
        check("2d", "2026-11-22T12:00:00Z");
        check("1w", "2026-11-17T12:00:00Z");
        check("2026-11-01", "2026-11-01T00:00:00Z");
        check("2026-11-24T08:00:00+01:00", "2026-11-24T07:00:00Z");
        let period: Period = "30d".parse().expect("a period");
        assert_eq!(period.after(now).to_string(), "2026-12-24T12:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "h", "1", "1y", "-1h", "0s", "1.5h", "+1h", "99999999999w", "1é", "2026-13-01", "2026-11-24T08:00:00"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
