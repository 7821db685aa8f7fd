//! Where a request came from and how its sender addressed the registry, with proxies in between.
//!
//! `X-Forwarded-*` headers count only on connections from trusted proxies, and only as far as those vouch for them:
//! addresses are read from the right, past trusted ones; of scheme and host the last value is taken, which is the one
//! that the nearest proxy set. What is malformed is as good as absent.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderName};
use http::{HeaderValue, Uri};
use ipnet::IpNet;

use crate::config::host::Authority;
use crate::config::{Config, ExternalUrl, Scheme};
use crate::listen::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who may speak for clients, and the address that the world knows.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    pub trusted: Vec<IpNet>,
    pub external: Option<ExternalUrl>,
}

impl From<&Config> for Edge {
    fn from(config: &Config) -> Self {
        Self { trusted: config.server.trusted_proxies.clone(), external: config.server.external_url.clone() }
    }
}

/// Where a request came from and how its sender addressed the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, never in IPv6 form when it is IPv4.
    pub client: IpAddr,
    /// The scheme of URLs that the client can use.
    pub scheme: Scheme,
    /// `host[:port]` of URLs that the client can use: lower case, without the scheme's own port.
    pub host: String,
    /// Whether a trusted proxy speaks for the client.
    pub vouched: bool,
    /// Whether the host is certainly one of ours: a name that only we go by, the address that the connection came to, or
    /// whatever a trusted proxy says. Any other address is only what the client wrote.
    pub own: bool,
    /// The host that the client asked for, where the external address took its place in `host`.
    asked: Option<String>,
}

impl Origin {
    /// `host[:port]` that the client asked for: the one that picks the registry.
    pub fn asked_host(&self) -> &str {
        self.asked.as_deref().unwrap_or(&self.host)
    }

    /// `https://host[:port]`: where URLs that the client can use begin.
    pub fn base_url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.host)
    }
}

/// A request whose host is missing where it must be, given twice or malformed; worth a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's host is malformed")]
pub struct HostError;

/// Where a request came from and how its sender addressed the registry.
///
/// An external address replaces scheme and port always, and the host unless the client asked for a name below it, which
/// names a registry of its own.
///
/// # Errors
/// A `Host` that is malformed or given twice. A request of HTTP/1.0 may have none: then it is the local address.
pub fn origin(peer: &Peer, uri: &Uri, headers: &HeaderMap, edge: &Edge) -> Result<Origin, HostError> {
    let trusted = |address: IpAddr| edge.trusted.iter().any(|network| network.contains(&address));
    let own = if peer.tls { Scheme::Https } else { Scheme::Http };
    let direct = asked_directly(peer, uri, headers)?;
    let vouched = trusted(peer.addr.ip());
    let (client, scheme, asked) = if vouched {
        let scheme = last_value(headers, &FORWARDED_PROTO).and_then(Scheme::parse).unwrap_or(own);
        let asked = last_value(headers, &FORWARDED_HOST).and_then(Authority::parse).unwrap_or(direct);
        (client(peer.addr.ip(), headers, trusted), scheme, asked)
    } else {
        (peer.addr.ip(), own, direct)
    };
    let own = vouched || is_own(&asked, peer.local.ip());
    let Some(external) = &edge.external else {
        let host = written(&asked.host, asked.port, scheme);
        return Ok(Origin { client, scheme, host, vouched, own, asked: None });
    };
    let below = asked.host.strip_suffix(&external.host).is_some_and(|rest| rest.ends_with('.'));
    let host = written(if below { &asked.host } else { &external.host }, external.port, external.scheme);
    let asked = written(&asked.host, asked.port, scheme);
    let asked = (asked != host).then_some(asked);
    Ok(Origin { client, scheme: external.scheme, host, vouched, own: own || !below, asked })
}

/// Whether `asked` is a name, or the very address that a connection came to.
fn is_own(asked: &Authority, local: IpAddr) -> bool {
    match asked.host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.to_canonical() == local.to_canonical(),
        Err(_) => asked.host != "localhost" || local.to_canonical().is_loopback(),
    }
}

/// HTTP/2 and absolute targets carry the host in the target, which wins over the header (RFC 9112, 3.2.2).
fn asked_directly(peer: &Peer, uri: &Uri, headers: &HeaderMap) -> Result<Authority, HostError> {
    if let Some(authority) = uri.authority() {
        return Authority::parse(authority.as_str()).ok_or(HostError);
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(local_authority(peer.local)),
        (Some(host), None) => host.to_str().ok().and_then(Authority::parse).ok_or(HostError),
        (Some(_), Some(_)) => Err(HostError),
    }
}

fn local_authority(local: SocketAddr) -> Authority {
    let host = match local.ip() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    Authority { host, port: Some(local.port()) }
}

/// The first address from the right that is no trusted proxy; beyond a malformed one nothing is known.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut nearest = peer;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        for hop in value.to_str().unwrap_or("").rsplit(',') {
            let Some(address) = hop_address(hop.trim()) else { return nearest };
            nearest = address;
            if !trusted(address) {
                return address;
            }
        }
    }
    nearest
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn hop_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

fn last_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let last: &HeaderValue = headers.get_all(name).iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next().map(str::trim)
}

fn written(host: &str, port: Option<u16>, scheme: Scheme) -> String {
    match port {
        Some(port) if port != scheme.default_port() => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "203.0.113.9";

    type Lines<'a> = &'a [(&'a str, &'a str)];

    fn ask(from: &str, external: Option<&str>, lines: Lines<'_>) -> Result<Origin, HostError> {
        let peer = Peer {
            addr: SocketAddr::new(from.parse().expect("address"), 40_000),
            tls: false,
            local: "127.0.0.1:5000".parse().expect("address"),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("value"));
        }
        let edge = Edge {
            trusted: vec!["10.0.0.0/8".parse().expect("network"), "fd00::/8".parse().expect("network")],
            external: external.map(|url| url.parse().expect("url")),
        };
        origin(&peer, &Uri::from_static("/v2/"), &headers, &edge)
    }

    fn client_of(from: &str, lines: &[(&str, &str)]) -> String {
        let lines: Vec<_> = lines.iter().copied().chain([("host", "h")]).collect();
        ask(from, None, &lines).expect("a host").client.to_string()
    }

    #[test]
    fn the_client_is_the_first_stranger_from_the_right() {
        let name = "x-forwarded-for";
        let cases: &[(&str, &[&str], &str)] = &[
            // (peer, header lines, client)
            (STRANGER, &[], STRANGER),
            (STRANGER, &["192.0.2.1"], STRANGER),
            (PROXY, &[], PROXY),
            (PROXY, &["192.0.2.1"], "192.0.2.1"),
            (PROXY, &["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (PROXY, &["6.6.6.6, 192.0.2.1, 10.9.9.9"], "192.0.2.1"),
            (PROXY, &["6.6.6.6", "192.0.2.1", "10.9.9.9"], "192.0.2.1"),
            (PROXY, &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (PROXY, &["192.0.2.1:4711"], "192.0.2.1"),
            (PROXY, &["[2001:db8::1]:4711"], "2001:db8::1"),
            (PROXY, &["[2001:db8::1]"], "2001:db8::1"),
            (PROXY, &["2001:db8::1, fd00::2"], "2001:db8::1"),
            (PROXY, &["::ffff:192.0.2.1"], "192.0.2.1"),
            (PROXY, &["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (PROXY, &["192.0.2.1, , 10.0.0.2"], "10.0.0.2"),
            (PROXY, &["not an address"], PROXY),
            (PROXY, &[""], PROXY),
            (PROXY, &["192.0.2.1\u{e4}"], PROXY),
        ];
        for (peer, lines, expected) in cases {
            let lines: Vec<_> = lines.iter().map(|value| (name, *value)).collect();
            assert_eq!(client_of(peer, &lines), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn scheme_and_host_are_believed_from_proxies_only() {
        let cases: &[(&str, Lines<'_>, &str)] = &[
            (STRANGER, &[("host", "Reg.Example.com:5000")], "http://reg.example.com:5000"),
            (STRANGER, &[("host", "reg.example.com:80")], "http://reg.example.com"),
            (STRANGER, &[("host", "a"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")], "http://a"),
            (PROXY, &[("host", "a"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "B:443")], "https://b"),
            (
                PROXY,
                &[("host", "a"), ("x-forwarded-proto", "http, https"), ("x-forwarded-host", "evil, b")],
                "https://b",
            ),
            (PROXY, &[("host", "a"), ("x-forwarded-proto", "gopher"), ("x-forwarded-host", "b/c")], "http://a"),
            (PROXY, &[("host", "a"), ("x-forwarded-host", "")], "http://a"),
            (PROXY, &[("host", "a"), ("x-forwarded-host", "user@b")], "http://a"),
            (STRANGER, &[], "http://127.0.0.1:5000"),
        ];
        for (peer, lines, expected) in cases {
            let origin = ask(peer, None, lines).expect("a host");
            assert_eq!(format!("{}://{}", origin.scheme, origin.host), *expected, "{peer} {lines:?}");
            assert_eq!(origin.asked_host(), origin.host);
        }
    }

    #[test]
    fn an_address_is_ours_only_if_the_connection_came_to_it() {
        let cases: &[(&str, Option<&str>, &str, bool)] = &[
            (STRANGER, None, "example.com", true),
            (STRANGER, None, "127.0.0.1:5000", true),
            (STRANGER, None, "[::ffff:127.0.0.1]:5000", true),
            (STRANGER, None, "localhost:5000", true),
            (STRANGER, None, "192.0.2.7:5000", false),
            (STRANGER, None, "[::1]", false),
            (PROXY, None, "192.0.2.7:5000", true),
            (STRANGER, Some("https://example.com"), "192.0.2.7", true),
        ];
        for (peer, external, host, expected) in cases {
            assert_eq!(ask(peer, *external, &[("host", host)]).expect("a host").own, *expected, "{peer} {host}");
        }
    }

    #[test]
    fn the_external_address_wins_but_registries_below_it_keep_their_names() {
        let cases = [
            ("backend:5000", "https://example.com:8443", "backend:5000"),
            ("example.com:8443", "https://example.com:8443", "example.com:8443"),
            ("myreg.example.com", "https://myreg.example.com:8443", "myreg.example.com"),
            ("badexample.com", "https://example.com:8443", "badexample.com"),
        ];
        for (host, url, asked) in cases {
            let origin = ask(STRANGER, Some("https://example.com:8443"), &[("host", host)]).expect("a host");
            assert_eq!(format!("{}://{}", origin.scheme, origin.host), url, "{host}");
            assert_eq!(origin.asked_host(), asked);
        }
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for host in ["", "a b", "a/b", "a:b", "a:99999", "user@a", "[::1", "a..b", "\u{e4}"] {
            assert_eq!(ask(STRANGER, None, &[("host", host)]), Err(HostError), "{host}");
        }
        assert_eq!(ask(STRANGER, None, &[("host", "a"), ("host", "b")]), Err(HostError));
    }

    #[test]
    fn the_target_wins_over_the_header() {
        let peer = Peer {
            addr: SocketAddr::new(STRANGER.parse().expect("address"), 1),
            tls: true,
            local: "127.0.0.1:5000".parse().expect("address"),
        };
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("header"))]);
        let uri = Uri::from_static("https://target:5443/v2/");
        let origin = origin(&peer, &uri, &headers, &Edge::default()).expect("a host");
        assert_eq!((origin.scheme, origin.host.as_str()), (Scheme::Https, "target:5443"));
    }
}
