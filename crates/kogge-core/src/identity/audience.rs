//! What a token is wanted for: scopes and resources of a token request.

use serde::{Deserialize, Serialize};

use crate::identity::refusal::{Refusal, Word};

/// What the scopes of a request ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// For whom the access token is to be, as asked but without the final slash. `None` when the request does not say.
    pub audience: Option<String>,
    /// Whether the client wants to know who logged in (`openid`).
    pub openid: bool,
}

impl Wanted {
    /// Reads a request's `scope` (`<audience>/.default openid offline_access`) and `resource` (RFC 8707, and the way
    /// of older clients).
    ///
    /// # Errors
    /// Scopes of two audiences.
    pub fn parse(scope: &str, resource: Option<&str>) -> Result<Self, Refusal> {
        let mut wanted =
            Self { audience: resource.filter(|text| !text.is_empty()).map(trimmed).map(str::to_owned), openid: false };
        for word in scope.split_ascii_whitespace() {
            match word {
                "openid" => wanted.openid = true,
                "offline_access" | "profile" | "email" => {}
                scope => wanted.add(scope)?,
            }
        }
        Ok(wanted)
    }

    fn add(&mut self, scope: &str) -> Result<(), Refusal> {
        let audience = match scope.rsplit_once('/') {
            Some((audience, _)) if !audience.is_empty() => trimmed(audience),
            _ => return Err(Refusal::new(Word::InvalidScope, "a scope is an audience followed by /.default")),
        };
        match &self.audience {
            Some(known) if known != audience => {
                Err(Refusal::new(Word::InvalidScope, "one token is for one audience; ask for each in turn"))
            }
            _ => {
                self.audience = Some(audience.to_owned());
                Ok(())
            }
        }
    }

    /// The audience of `allowed` that is asked for; the first of them when the request does not say.
    pub(crate) fn resolve<'a>(&self, allowed: &'a [String]) -> Result<&'a str, Refusal> {
        let found = match &self.audience {
            None => allowed.first(),
            Some(wanted) => allowed.iter().find(|audience| trimmed(audience) == wanted),
        };
        found.map(String::as_str).ok_or_else(|| {
            Refusal::new(Word::InvalidTarget, "this authority gives no tokens for the audience that the scope names")
        })
    }
}

/// An audience without its final slashes: clients write it with and without.
pub(crate) fn trimmed(audience: &str) -> &str {
    audience.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: &str = "https://management.example.com";

    #[test]
    fn audiences_are_read_as_clients_write_them() {
        let allowed = [ARM.to_owned(), "https://containerregistry.azure.net".to_owned()];
        let cases = [
            ("https://management.example.com/.default", None, Some(ARM)),
            ("https://management.example.com//.default openid offline_access profile", None, Some(ARM)),
            ("https://management.example.com/user_impersonation", None, Some(ARM)),
            ("https://containerregistry.azure.net/.default", None, Some("https://containerregistry.azure.net")),
            ("", Some("https://management.example.com/"), Some(ARM)),
            ("openid", None, Some(ARM)),
            ("", None, Some(ARM)),
            ("https://graph.example.com/.default", None, None),
            ("https://management.example.com.evil/.default", None, None),
        ];
        for (scope, resource, expected) in cases {
            let wanted = Wanted::parse(scope, resource).expect(scope);
            assert_eq!(wanted.resolve(&allowed).ok(), expected, "{scope}");
            assert_eq!(wanted.openid, scope.contains("openid"));
        }
        for bad in [".default", "/x", "https://a/.default https://b/.default"] {
            assert_eq!(Wanted::parse(bad, None).map_err(|refusal| refusal.word), Err(Word::InvalidScope), "{bad}");
        }
        let both = Wanted::parse("https://a/.default", Some("https://b"));
        assert_eq!(both.map_err(|refusal| refusal.word), Err(Word::InvalidScope));
    }
}
