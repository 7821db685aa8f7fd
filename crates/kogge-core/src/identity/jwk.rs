//! Keys of issuers (RFC 7517): those of others as they publish them, and our own as we do.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use kogge_types::limits;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::keys::KeyRing;
use crate::core::Core;
use crate::identity::jwt::VerifyingKey;

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// A key as it is published. What is not understood is left out by whoever reads it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key of another issuer.
#[derive(Debug, Clone)]
pub(crate) struct IssuerKey {
    pub(crate) id: Option<String>,
    pub(crate) key: VerifyingKey,
}

/// Reads a set of keys; those that are for something else or not understood are left out.
pub(crate) fn read(document: &[u8]) -> Option<Vec<IssuerKey>> {
    let published: Published = serde_json::from_slice(document).ok()?;
    let keys = published.keys.into_iter().take(limits::ISSUER_KEYS_MAX);
    Some(keys.filter_map(|key| serde_json::from_value(key).ok().and_then(key_of)).collect())
}

fn key_of(jwk: Jwk) -> Option<IssuerKey> {
    if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let algorithm = match jwk.alg.as_deref() {
        None => None,
        Some("RS256") => Some(Algorithm::RS256),
        Some("PS256") => Some(Algorithm::PS256),
        Some("ES256") => Some(Algorithm::ES256),
        Some(_) => return None,
    };
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?).ok()?,
        ("EC", Some("P-256")) => DecodingKey::from_ec_components(&jwk.x?, &jwk.y?).ok()?,
        _ => return None,
    };
    Some(IssuerKey { id: jwk.kid, key: VerifyingKey { key, algorithm } })
}

fn publish(ring: &KeyRing) -> Value {
    let keys = ring.keys().iter().map(|key| {
        let (x, y) = key.public[1..].split_at(32);
        json!({
            "kty": "EC",
            "use": "sig",
            "alg": "ES256",
            "crv": "P-256",
            "kid": key.id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(x),
            "y": BASE64_URL_SAFE_NO_PAD.encode(y),
        })
    });
    json!({ "keys": keys.collect::<Vec<_>>() })
}

impl Core {
    /// The public keys that this authority's tokens are verified with.
    pub fn published_keys(&self) -> Value {
        publish(&self.keys.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_understood_are_left_out() {
        let point = BASE64_URL_SAFE_NO_PAD.encode([1; 32]);
        let document = json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": "good", "x": point, "y": point },
            { "kty": "EC", "crv": "P-384", "kid": "curve", "x": point, "y": point },
            { "kty": "EC", "crv": "P-256", "kid": "encryption", "use": "enc", "x": point, "y": point },
            { "kty": "EC", "crv": "P-256", "kid": "algorithm", "alg": "HS256", "x": point, "y": point },
            { "kty": "oct", "kid": "secret", "k": "AAAA" },
            { "kty": "RSA", "kid": "half", "n": "AQAB" },
            "nonsense",
        ] });
        let keys = read(document.to_string().as_bytes()).expect("a set");
        assert_eq!(keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("good")]);
        assert!(read(b"{}").is_none());
        assert!(read(b"[]").is_none());
    }
}
