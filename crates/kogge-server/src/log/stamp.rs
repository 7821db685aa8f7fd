//! Times as text, without a calendar library: one is written for every request.

/// `2026-11-23T21:08:00.123Z` for microseconds since the Unix epoch; times before it are written as it.
pub(crate) fn rfc3339_ms(unix_us: i64) -> [u8; 24] {
    let ms = u64::try_from(unix_us / 1_000).unwrap_or(0);
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    digits(&mut out[0..4], year);
    digits(&mut out[5..7], month);
    digits(&mut out[8..10], day);
    digits(&mut out[11..13], ms_of_day / 3_600_000);
    digits(&mut out[14..16], ms_of_day / 60_000 % 60);
    digits(&mut out[17..19], ms_of_day / 1_000 % 60);
    digits(&mut out[20..23], ms_of_day % 1_000);
    out
}

fn digits(out: &mut [u8], mut value: u64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day since 1970-01-01. Years are counted from March, so that the leap day is the last, and
/// in eras of 400 years, which all have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_calendar() {
        let mut unix_us: i64 = 0;
        while unix_us < 7_258_118_400_000_000 {
            let expected = jiff::Timestamp::from_microsecond(unix_us).expect("in range");
            let expected = format!("{expected:.3}");
            assert_eq!(std::str::from_utf8(&rfc3339_ms(unix_us)), Ok(expected.as_str()));
            // A little over a day and a half, so that all times of day and all days of a month come by.
            unix_us += 133_333_337_000;
        }
        assert_eq!(&rfc3339_ms(-5), b"1970-01-01T00:00:00.000Z");
        assert_eq!(&rfc3339_ms(951_782_399_999_999), b"2000-02-28T23:59:59.999Z");
        assert_eq!(&rfc3339_ms(951_782_400_000_000), b"2000-02-29T00:00:00.000Z");
    }
}
