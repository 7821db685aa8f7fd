//! Signed tokens (RFC 7519) that somebody presents: read, then verified with a key that the reader chooses.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, Validation};
use kogge_types::{clock, limits};
use serde_json::{Map, Value};

/// Microseconds of a second.
pub(crate) const SECOND_US: i64 = 1_000_000;

/// The ways to sign that are accepted of others.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256];

/// A token that has been read but not verified: nothing that it says is known to be true.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    text: &'a str,
    pub(crate) header: Header,
    claims: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// Reads a token. `None` when it is too long or malformed, signed in a way that is not accepted, not signed, or
    /// has headers that must be understood and are not.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        if text.len() > limits::SIGNED_TOKEN_BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(text).ok()?;
        let accepted = ALGORITHMS.contains(&header.alg) && header.crit.is_none();
        let claims = jsonwebtoken::dangerous::insecure_decode_claims(text).ok()?;
        accepted.then_some(Self { text, header, claims })
    }

    /// The claims, when `key` has signed them.
    pub(crate) fn verify(&self, key: &VerifyingKey) -> Option<Claims> {
        if !key.signs(self.header.alg) {
            return None;
        }
        let mut validation = Validation::new(self.header.alg);
        // Who issued it, for whom and for how long is judged by the reader, by its own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let verified = jsonwebtoken::decode::<Map<String, Value>>(self.text, &key.key, &validation).ok()?;
        Some(Claims(verified.claims))
    }

    /// A claim that is not known to be true: good for finding the key that proves it.
    pub(crate) fn claimed(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

/// Claims whose signature has been verified.
#[derive(Debug, Clone)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A time, in microseconds since the Unix epoch. Fractions of a second are cut off.
    pub(crate) fn time_us(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        let seconds = value.as_i64().or_else(|| value.as_f64().filter(|s| s.abs() < 1e12).map(|s| s as i64))?;
        seconds.checked_mul(SECOND_US)
    }

    /// Whether one of the audiences is `accepted`.
    pub(crate) fn is_for(&self, accepted: impl Fn(&str) -> bool) -> bool {
        match self.0.get("aud") {
            Some(Value::String(audience)) => accepted(audience),
            Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).any(accepted),
            _ => false,
        }
    }

    /// When the claims end, if they hold now by a clock that may be off by `skew_us`. A token without an end is none.
    pub(crate) fn alive_until_us(&self, now_us: i64, skew_us: i64) -> Option<i64> {
        let expires_at_us = self.time_us("exp")?;
        let begun = match self.get("nbf") {
            None => true,
            Some(_) => self.time_us("nbf")? <= now_us.saturating_add(skew_us),
        };
        (begun && now_us < expires_at_us.saturating_add(skew_us)).then_some(expires_at_us)
    }
}

/// A public key and the one family of algorithms that it is good for.
#[derive(Debug, Clone)]
pub(crate) struct VerifyingKey {
    pub(crate) key: DecodingKey,
    /// The only algorithm, where the key's owner names one.
    pub(crate) algorithm: Option<Algorithm>,
}

impl VerifyingKey {
    fn signs(&self, algorithm: Algorithm) -> bool {
        let fits = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => self.key.family() == AlgorithmFamily::Rsa,
            Algorithm::ES256 => self.key.family() == AlgorithmFamily::Ec,
            _ => false,
        };
        fits && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// SHA-1 of `bytes`: names a certificate in older clients' assertions, and proves nothing.
pub(crate) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    hash
}

/// How far the clock of whoever signs an assertion may be off.
pub(crate) fn assertion_skew_us() -> i64 {
    clock::micros(limits::ASSERTION_SKEW)
}
