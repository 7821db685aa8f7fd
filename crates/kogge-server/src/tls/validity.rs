//! When a certificate ends (RFC 5280, 4.1.2.5). Of its structure only the way to that field is read.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The end of the validity of a DER certificate, `None` when it is not understood.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let fields = element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    let (_, fields) = element(fields, INTEGER)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, end) = time(validity)?;
    time(end)?.0
}

/// The contents of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = length(rest)?;
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

fn length(der: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    let (bytes, rest) = rest.split_at_checked(count)?;
    let fits = (1..=4).contains(&count);
    fits.then(|| (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
}

fn time(der: &[u8]) -> Option<(Option<Timestamp>, &[u8])> {
    if let Some((text, rest)) = element(der, UTC_TIME) {
        // Two digits of a year below 50 are this century's (RFC 5280, 4.1.2.5.1).
        let century = if text.first()? < &b'5' { "20" } else { "19" };
        return Some((parse(&format!("{century}{}", std::str::from_utf8(text).ok()?)), rest));
    }
    let (text, rest) = element(der, GENERALIZED_TIME)?;
    Some((parse(std::str::from_utf8(text).ok()?), rest))
}

fn parse(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("key");
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("params");
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        params.self_signed(&key).expect("certificate").der().to_vec()
    }

    #[test]
    fn the_end_is_found_in_both_forms_of_time() {
        for year in [2031, 2049, 2050, 2099] {
            let end = not_after(&certificate(year)).expect("readable");
            assert_eq!(end.to_string(), format!("{year}-02-03T00:00:00Z"));
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_is_not_understood() {
        let whole = certificate(2031);
        for end in 0..whole.len().min(120) {
            not_after(&whole[..end]);
        }
        assert_eq!(not_after(&[]), None);
        assert_eq!(not_after(b"-----BEGIN"), None);
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
