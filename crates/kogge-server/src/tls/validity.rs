//! When a certificate ends.

use jiff::Timestamp;
use kogge_core::identity::certificate;

/// The end of the validity of a DER certificate, `None` when it is not understood.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    Timestamp::from_microsecond(certificate::not_after_us(certificate)?).ok()
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
