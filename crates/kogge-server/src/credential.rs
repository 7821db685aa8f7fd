//! The `Authorization` header.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kogge_core::auth::Credential;

/// What a request shows of its sender, taken out of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    None,
    Bearer(&'a str),
    Basic {
        name: String,
        password: String,
    },
    /// Something that is neither, or not well formed.
    Malformed,
}

impl<'a> Presented<'a> {
    /// Reads the header; a second one makes it malformed.
    pub(crate) fn read(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::None,
            (Some(value), None) => value,
            (Some(_), Some(_)) => return Self::Malformed,
        };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return Self::Malformed;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.trim());
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest.trim()).unwrap_or(Self::Malformed);
        }
        Self::Malformed
    }

    /// The user name that is shown; empty without one.
    pub(crate) fn account(&self) -> &str {
        match self {
            Self::Basic { name, .. } => name,
            Self::None | Self::Bearer(_) | Self::Malformed => "",
        }
    }

    /// The same for the rules; `None` when it is malformed.
    pub(crate) fn credential(&self) -> Option<Credential<'_>> {
        match self {
            Self::None => Some(Credential::None),
            Self::Bearer(token) => Some(Credential::Bearer { token }),
            Self::Basic { name, password } => Some(Credential::Basic { name, password }),
            Self::Malformed => None,
        }
    }
}

fn basic<'a>(text: &str) -> Option<Presented<'a>> {
    let pair = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
    let (name, password) = pair.split_once(':')?;
    Some(Presented::Basic { name: name.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let check = |value: &str, expected: Presented<'_>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("a header"));
            assert_eq!(Presented::read(&headers), expected, "{value}");
        };
        let alice = |password: &str| Presented::Basic { name: "alice".into(), password: password.into() };
        check("Bearer a.b.c", Presented::Bearer("a.b.c"));
        check("bearer a.b.c", Presented::Bearer("a.b.c"));
        check("Basic YWxpY2U6cGFzczp3b3Jk", alice("pass:word"));
        check("Basic YWxpY2U6", alice(""));
        check("Basic YWxpY2U=", Presented::Malformed);
        check("Basic ***", Presented::Malformed);
        check("Digest x", Presented::Malformed);
        check("Bearer", Presented::Malformed);
        assert_eq!(Presented::read(&HeaderMap::new()), Presented::None);
    }
}
