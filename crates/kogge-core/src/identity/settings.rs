//! What an operator may set of the authority.

use std::time::Duration;

use kogge_types::{ResourceId, limits};

/// Whom the authority serves and trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Audiences of the management API; the first is what clients are told.
    pub management_audiences: Vec<String>,
    /// Audiences of the registries' login.
    pub registry_audiences: Vec<String>,
    /// Audiences of the directory API.
    pub directory_audiences: Vec<String>,
    /// Programs that people log in with.
    pub clients: Vec<PublicClient>,
    /// Other issuers whose tokens are taken.
    pub issuers: Vec<OutsideIssuer>,
    /// Whether issuers may be reached over plain HTTP on this machine.
    pub loopback_issuers: bool,
    /// How long a key signs.
    pub key_life: Duration,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            management_audiences: Vec::new(),
            registry_audiences: Vec::new(),
            directory_audiences: Vec::new(),
            clients: Vec::new(),
            issuers: Vec::new(),
            loopback_issuers: false,
            key_life: limits::SIGNING_KEY_LIFE_DEFAULT,
        }
    }
}

/// A program that people log in with. It runs on their machines, so that it has no secret (RFC 8252).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicClient {
    pub id: ResourceId,
    /// What the sign-in page calls it.
    pub name: String,
    /// Whether the browser may be sent back to any port of the machine itself.
    pub loopback: bool,
    /// Where else the browser may be sent back to: exactly these.
    pub redirect_uris: Vec<String>,
}

/// Another issuer whose access tokens are taken for logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideIssuer {
    /// As its tokens write it.
    pub issuer: String,
    /// What its tokens must be for.
    pub audiences: Vec<String>,
    /// The claim that holds the principal's id, a UUID. Where a token has none, the id is derived from issuer and
    /// subject.
    pub principal_claim: String,
    /// The claim that holds the ids of the principal's groups.
    pub groups_claim: String,
}

impl IdentitySettings {
    pub(crate) fn client(&self, id: &str) -> Option<&PublicClient> {
        let id: ResourceId = id.parse().ok()?;
        self.clients.iter().find(|client| client.id == id)
    }

    pub(crate) fn issuer(&self, issuer: &str) -> Option<&OutsideIssuer> {
        self.issuers.iter().find(|known| known.issuer == issuer)
    }

    /// Every audience that tokens are given for, the default first.
    pub fn audiences(&self) -> Vec<String> {
        [&self.management_audiences, &self.registry_audiences, &self.directory_audiences]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

impl PublicClient {
    /// Whether the browser may be sent to `uri` after the login.
    pub fn may_return_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri) || (self.loopback && is_loopback(uri))
    }
}

/// Whether `uri` is plain HTTP to this machine itself, at any port (RFC 8252, 7.3), by a name that no DNS answers for.
fn is_loopback(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let port = ["localhost", "127.0.0.1", "[::1]"].iter().find_map(|host| authority.strip_prefix(host));
    let port_fits = match port {
        Some("") => true,
        Some(port) => port
            .strip_prefix(':')
            .is_some_and(|digits| (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    };
    port_fits && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_return_to_the_machine_itself_or_to_what_is_registered() {
        let client = |loopback| PublicClient {
            id: ResourceId::from_bytes([1; 16]),
            name: "portal".into(),
            loopback,
            redirect_uris: vec!["https://portal.example.com/back".into()],
        };
        for good in ["http://localhost:8400/", "http://localhost", "http://127.0.0.1:1/a?b=c", "http://[::1]:65535"] {
            assert!(client(true).may_return_to(good), "{good}");
            assert!(!client(false).may_return_to(good), "{good}");
        }
        assert!(client(false).may_return_to("https://portal.example.com/back"));
        for bad in [
            "https://portal.example.com/back/",
            "https://portal.example.com/back?x",
            "https://localhost:1/",
            "http://localhost.evil.com/",
            "http://localhost:1@evil.com/",
            "http://localhost:/",
            "http://localhost:123456/",
            "http://127.0.0.1.evil.com",
            "http://evil.com/http://localhost",
            "http://localhost/\r\nx: y",
            "http://localhost/#x",
            "http://localhost\\@evil.com",
            "javascript:alert(1)",
            "",
        ] {
            assert!(!client(true).may_return_to(bad), "{bad}");
        }
    }
}
