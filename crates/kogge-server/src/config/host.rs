//! Host names and the external address, checked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Characters of a host name (RFC 1035, 2.3.4).
const HOST_CHARS_MAX: usize = 253;

/// Whether `text` is a DNS name in lower case: labels of letters, digits and hyphens (RFC 1123, 2.1). Underscores are
/// let through, as container networks use them.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= HOST_CHARS_MAX && text.split('.').all(label)
}

/// How a client speaks to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme means when it names none.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("http") => Some(Self::Http),
            _ if text.eq_ignore_ascii_case("https") => Some(Self::Https),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address that clients use when a proxy hides it: a scheme, a host and maybe a port, no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    pub scheme: Scheme,
    /// Lower-case name or address, an IPv6 one in brackets.
    pub host: String,
    /// The port, unless it is the scheme's own.
    pub port: Option<u16>,
}

/// A text that is not an external address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write http://HOST[:PORT] or https://HOST[:PORT], with no path")]
pub struct ExternalUrlError;

impl FromStr for ExternalUrl {
    type Err = ExternalUrlError;

    fn from_str(text: &str) -> Result<Self, ExternalUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ExternalUrlError)?;
        let scheme = Scheme::parse(scheme).ok_or(ExternalUrlError)?;
        let authority = Authority::parse(rest.strip_suffix('/').unwrap_or(rest)).ok_or(ExternalUrlError)?;
        let port = authority.port.filter(|port| *port != scheme.default_port());
        Ok(Self { scheme, host: authority.host, port })
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for ExternalUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `host[:port]`, the host in lower case and without a final dot; an IPv6 address keeps its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: std::net::Ipv6Addr = address.parse().ok()?;
                (format!("[{address}]"), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                (is_name(&name).then_some(name)?, port)
            }
        };
        let port = match port {
            "" => None,
            _ => Some(port_number(port.strip_prefix(':')?)?),
        };
        Some(Self { host, port })
    }
}

fn port_number(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

/// Whether `text` is an IP address, which is no name.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_urls() {
        let cases = [
            ("https://registry.example.com", "https://registry.example.com"),
            ("HTTPS://Registry.Example.com:443/", "https://registry.example.com"),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ];
        for (text, canonical) in cases {
            assert_eq!(text.parse::<ExternalUrl>().map(|url| url.to_string()), Ok(canonical.to_owned()), "{text}");
        }
        for bad in [
            "",
            "registry.example.com",
            "ftp://a",
            "https://",
            "https://a/path",
            "https://a:0",
            "https://a:x",
            "https://u@a",
            "https://a?b",
        ] {
            assert_eq!(bad.parse::<ExternalUrl>(), Err(ExternalUrlError), "{bad}");
        }
    }

    #[test]
    fn authorities() {
        let parsed = |text| Authority::parse(text).map(|a| (a.host, a.port));
        assert_eq!(parsed("A.b.:5000"), Some(("a.b".into(), Some(5000))));
        assert_eq!(parsed("[::1]"), Some(("[::1]".into(), None)));
        for bad in ["", ":5000", "a:", "a:+1", "a:70000", "a b", "a/b", "::1", "[::1", "[::1]x", "a..b", "-a", "a@b"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        assert_eq!(parsed(&"a".repeat(64)), None);
    }
}
