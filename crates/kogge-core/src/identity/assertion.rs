//! Assertions of clients (RFC 7523, 2.2): a token that the client signed with its certificate's key.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Header;
use kogge_types::digest::hex;
use kogge_types::{clock, limits};

use crate::identity::certificate::Certificate;
use crate::identity::jwt::{Claims, Unverified, assertion_skew_us, sha256};

/// What a client's own assertion must say.
pub(crate) struct Expected<'a> {
    /// The client, which is issuer and subject.
    pub(crate) client: &'a str,
    /// The authority, as the client wrote it.
    pub(crate) issuer: &'a str,
    pub(crate) now_us: i64,
}

/// An assertion that holds, if it has not been used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Under what its use is noted.
    pub(crate) hash: [u8; 32],
    /// Until when it could be used again.
    pub(crate) until_us: i64,
}

/// Whether `header` names `certificate`: by its SHA-1 or SHA-256 in Base64url, or in hexadecimal digits.
fn names(header: &Header, certificate: &Certificate) -> bool {
    let encoded = |named: Option<&String>, hash: &[u8]| {
        named.is_some_and(|named| named.trim_end_matches('=') == BASE64_URL_SAFE_NO_PAD.encode(hash))
    };
    let by_key = header.kid.as_ref().is_some_and(|id| {
        id.eq_ignore_ascii_case(&hex(&certificate.sha1)) || id.eq_ignore_ascii_case(&hex(&certificate.sha256))
    });
    encoded(header.x5t.as_ref(), &certificate.sha1)
        || encoded(header.x5t_s256.as_ref(), &certificate.sha256)
        || encoded(header.kid.as_ref(), &certificate.sha1)
        || encoded(header.kid.as_ref(), &certificate.sha256)
        || by_key
}

/// Checks a client's own assertion against the certificates that are registered for it.
pub(crate) fn check(assertion: &Unverified<'_>, certificates: &[Certificate], expected: &Expected<'_>) -> Option<Held> {
    let now_us = expected.now_us;
    let valid = |certificate: &&Certificate| {
        names(&assertion.header, certificate)
            && now_us >= certificate.not_before_us
            && now_us < certificate.not_after_us
    };
    let claims = certificates.iter().filter(valid).find_map(|certificate| assertion.verify(&certificate.key))?;
    let by_client = |name| claims.text(name).is_some_and(|text| text.eq_ignore_ascii_case(expected.client));
    let expires_at_us = claims.alive_until_us(now_us, assertion_skew_us())?;
    let longest_us = clock::micros(limits::ASSERTION_LIFE_MAX).saturating_add(assertion_skew_us());
    let short = expires_at_us <= now_us.saturating_add(longest_us);
    let id = claims.text("jti").filter(|id| !id.is_empty())?;
    let holds = by_client("iss") && by_client("sub") && is_for(&claims, expected.issuer) && short;
    holds.then(|| Held {
        hash: sha256(format!("assertion {} {id}", expected.client).as_bytes()),
        until_us: expires_at_us.saturating_add(assertion_skew_us()),
    })
}

/// Whether the claims are for the authority `issuer` or for its token end point, whichever scheme the client believes
/// in: a proxy may do TLS for us.
fn is_for(claims: &Claims, issuer: &str) -> bool {
    let bare = |url: &str| url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned();
    let issuer = bare(issuer);
    claims.is_for(|audience| {
        let audience = bare(audience);
        audience == issuer || audience.strip_prefix(&issuer) == Some("/oauth2/token")
    })
}
