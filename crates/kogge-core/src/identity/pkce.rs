//! Proof Key for Code Exchange (RFC 7636), with SHA-256 only.

use aws_lc_rs::constant_time;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::identity::jwt::sha256;

/// Whether `text` is a challenge: 32 bytes in Base64url.
pub(crate) fn is_challenge(text: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether `verifier` is what `challenge` was made of.
pub(crate) fn fits(verifier: &str, challenge: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    let expected = BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    constant_time::verify_slices_are_equal(expected.as_bytes(), challenge.as_bytes()).is_ok() && well_formed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_fits_its_challenge_only() {
        // RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_challenge(challenge));
        assert!(fits(verifier, challenge));
        assert!(!fits(&verifier.to_uppercase(), challenge));
        assert!(!fits("", challenge));
        assert!(!fits(challenge, challenge));
        for bad in ["", "abc", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", &"a".repeat(44)] {
            assert!(!is_challenge(bad), "{bad}");
        }
    }
}
