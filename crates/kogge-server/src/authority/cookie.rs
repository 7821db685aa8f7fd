//! The cookie that ties a form to the browser that was given it. It is for this host alone, never sent along from
//! elsewhere, and no script sees it.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use kogge_core::SystemEntropy;
use kogge_types::digest::hex;
use kogge_types::{Digest, clock};

use crate::config::Scheme;

/// Over TLS the browser itself holds the name to this host (RFC 6265bis, 4.1.3.2).
fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Https => "__Host-kogge-form",
        Scheme::Http => "kogge-form",
    }
}

/// A form's token: in the cookie and in the form.
pub(super) struct FormToken(String);

impl FormToken {
    /// The token that the browser has already, or a new one.
    pub(super) fn of(headers: &HeaderMap, scheme: Scheme) -> Self {
        Self(presented(headers, scheme).unwrap_or_else(|| hex(&clock::random::<16>(&SystemEntropy))))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The header that gives the browser the token.
    pub(super) fn header(&self, scheme: Scheme) -> HeaderValue {
        let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
        let text = format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}", name(scheme), self.0);
        HeaderValue::from_str(&text).expect("hexadecimal digits can stand in a header")
    }
}

/// The header that takes the token away.
pub(super) fn forget(scheme: Scheme) -> HeaderValue {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let text = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}", name(scheme));
    HeaderValue::from_str(&text).expect("plain text can stand in a header")
}

fn presented(headers: &HeaderMap, scheme: Scheme) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(key, _)| *key == name(scheme))?.1;
    let well_formed = value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
    well_formed.then(|| value.to_owned())
}

/// Whether a form comes from the browser that was given it.
pub(super) fn fits(headers: &HeaderMap, scheme: Scheme, token: Option<&str>) -> bool {
    let (Some(cookie), Some(token)) = (presented(headers, scheme), token) else { return false };
    // Of hashes the time of a comparison tells nothing.
    Digest::sha256(cookie.as_bytes()) == Digest::sha256(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_fits_its_cookie_only() {
        let token = FormToken::of(&HeaderMap::new(), Scheme::Https);
        let header = token.header(Scheme::Https);
        let header = header.to_str().expect("text");
        assert!(header.starts_with("__Host-kogge-form="), "{header}");
        for word in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(header.contains(word), "{header}");
        }
        assert!(!header.contains("Domain"), "{header}");
        let cookie = |text: &str| HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(text).expect("text"))]);
        let own = cookie(&format!("a=b; __Host-kogge-form={}", token.as_str()));
        assert!(fits(&own, Scheme::Https, Some(token.as_str())));
        assert_eq!(FormToken::of(&own, Scheme::Https).as_str(), token.as_str());
        assert!(!fits(&own, Scheme::Http, Some(token.as_str())));
        assert!(!fits(&own, Scheme::Https, Some("00000000000000000000000000000000")));
        assert!(!fits(&own, Scheme::Https, None));
        assert!(!fits(&HeaderMap::new(), Scheme::Https, Some(token.as_str())));
        assert!(!fits(&cookie("__Host-kogge-form="), Scheme::Https, Some("")));
    }
}
