//! Quantities as people write them: `15m`, `4MiB`.

use std::time::Duration;

use serde::Serializer;

/// Units of time, the largest first, in milliseconds.
const TIME_UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of size, the largest first, in bytes.
const SIZE_UNITS: &[(&str, u64)] = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `30s`, `15m`, `7d`, `500ms`: one whole number and one unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    amount(text, TIME_UNITS, None).map(Duration::from_millis)
}

/// Reads `4MiB`, `64KiB`, `1024`: one whole number and a unit, bytes when it has none.
pub(super) fn size(text: &str) -> Option<u64> {
    amount(text, SIZE_UNITS, Some(1))
}

fn amount(text: &str, units: &[(&str, u64)], bare: Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "" => bare?,
        _ => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn written(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, scale): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*scale);
    let (unit, scale) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", amount / scale)
}

/// Writes a duration as the file would have it.
pub(super) fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration_text(*duration))
}

/// Writes a size as the file would have it.
pub(super) fn write_size<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&written(*size, SIZE_UNITS))
}

pub(super) fn duration_text(duration: Duration) -> String {
    written(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), TIME_UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases =
            [("30s", 30_000), ("15m", 900_000), ("7d", 604_800_000), ("500ms", 500), ("0s", 0), ("2h", 7_200_000)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "30", "s", "1.5s", "-1s", "1 s", "1w", "1S", "99999999999999999d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [("0", 0), ("1024", 1024), ("64KiB", 65_536), ("4MiB", 4 << 20), ("1GiB", 1 << 30), ("7B", 7)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "MiB", "4MB", "4mib", "1.5MiB", "-1", "99999999999999TiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for ms in [0, 1, 999, 1_000, 60_000, 90_000, 86_400_000, 90_000_000] {
            let duration_in = Duration::from_millis(ms);
            assert_eq!(duration(&duration_text(duration_in)), Some(duration_in));
        }
        for bytes in [0, 1, 1023, 1024, 1025, 4 << 20, 3 << 40] {
            assert_eq!(size(&written(bytes, SIZE_UNITS)), Some(bytes));
        }
    }
}
