//! Fuzz targets for everything here that reads bytes from outside: paths, ranges, credentials, proxies' headers, hosts,
//! the configuration. Whatever comes, no parser panics, and what it takes is well formed.
//!
//! By default each target runs a bounded number of cases from a fixed seed; `KOGGE_TEST_LONG=1` runs many more from a
//! new seed, which a failure prints.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use kogge_types::{Algorithm, Digest, Reference, RepositoryName, Tag, UploadId, limits};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::{Config as Cases, RngSeed};
use proptest::{prop_assert, prop_assert_eq};

use crate::authority::{self, Endpoint};
use crate::config::host::Authority;
use crate::config::{Config, Environment, ExternalUrl, ServeArgs};
use crate::credential::Presented;
use crate::forwarded::{Edge, origin};
use crate::listen::Peer;
use crate::range::{Ranges, parse_ranges, parse_window};
use crate::route::{NAMES, Route};

const CASES: u32 = 1_000;
const CASES_LONG: u32 = 100_000;

fn cases() -> Cases {
    let is_long = std::env::var_os("KOGGE_TEST_LONG").is_some_and(|value| value == "1");
    let (cases, rng_seed) = if is_long { (CASES_LONG, RngSeed::Random) } else { (CASES, RngSeed::Fixed(1)) };
    Cases { cases, rng_seed, failure_persistence: None, ..Cases::default() }
}

/// Any text, pieces in any order, and well-formed texts with pieces put in and characters taken out.
fn text(seeds: &'static [&'static str], pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = || prop::sample::select(pieces);
    let edit =
        (any::<prop::sample::Index>(), 0..4_usize, prop_oneof![2 => piece().prop_map(str::to_owned), 1 => ".{0,3}"]);
    let edited = (prop::sample::select(seeds), prop::collection::vec(edit, 0..4)).prop_map(|(seed, edits)| {
        let mut text: Vec<char> = seed.chars().collect();
        for (at, taken, put) in edits {
            let at = at.index(text.len() + 1);
            text.splice(at..text.len().min(at + taken), put.chars());
        }
        text.into_iter().collect()
    });
    let joined = prop::collection::vec(piece(), 0..10).prop_map(|pieces| pieces.concat());
    prop_oneof![1 => ".{0,60}", 1 => joined, 3 => edited]
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const PATHS: &[&str] = &[
    "/v2/",
    "/v2/_catalog",
    "/v2/team/app/tags/list",
    "/v2/team/app/manifests/latest",
    "/v2/a/manifests/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/a/blobs/uploads/",
    "/v2/a/blobs/uploads/000102030405060708090a0b0c0d0e0f",
    "/v2/a/referrers/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/acr/v1/team/app",
    "/acr/v1/team/app/_manifests",
    "/acr/v1/team/app/_tags/latest",
    "/oauth2/token",
    "/healthz",
];
const PATH_PIECES: &[&str] = &[
    "/",
    "//",
    "..",
    "/../",
    ".",
    "%2e",
    "%2F",
    "%2f",
    "%00",
    "%",
    "%zz",
    "%ff",
    "%C3%A4",
    "v2",
    "/v2/",
    "blobs",
    "/blobs/uploads/",
    "uploads",
    "manifests",
    "tags",
    "/tags/list",
    "referrers",
    "_catalog",
    "_manifests",
    "_tags",
    "/acr/v1/",
    "a",
    "A",
    ":",
    "sha256:",
    DIGEST,
    "@",
    "?",
    "#",
    ";",
    "\0",
    "ä",
];

fn name() -> impl Strategy<Value = RepositoryName> {
    let word = prop_oneof![
        "[a-z0-9]{1,8}",
        Just("tags".to_owned()),
        Just("blobs".to_owned()),
        Just("uploads".to_owned()),
        Just("manifests".to_owned())
    ];
    let component = (word, prop::collection::vec(("(\\.|_|__|-{1,3})", "[a-z0-9]{1,5}"), 0..3))
        .prop_map(|(first, rest)| rest.into_iter().fold(first, |name, (separator, word)| name + &separator + &word));
    prop::collection::vec(component, 1..6).prop_filter_map("a name has its limit", |parts| parts.join("/").parse().ok())
}

fn digest() -> impl Strategy<Value = Digest> {
    (any::<u64>(), any::<bool>()).prop_map(|(content, sha512)| {
        Digest::of(if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 }, &content.to_le_bytes())
    })
}

fn route() -> impl Strategy<Value = Route> {
    let tag = || "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}".prop_map(|tag| tag.parse::<Tag>().expect("of a tag's form"));
    let reference = prop_oneof![tag().prop_map(Reference::Tag), digest().prop_map(Reference::Digest)];
    prop_oneof![
        prop::sample::select(vec![
            Route::Health,
            Route::Ready,
            Route::Metrics,
            Route::Token,
            Route::Exchange,
            Route::Base,
            Route::Catalog
        ]),
        prop::sample::select(ENDPOINTS.map(|(_, endpoint)| Route::Authority(endpoint)).to_vec()),
        name().prop_map(Route::Tags),
        (name(), reference).prop_map(|(name, reference)| Route::Manifest(name, reference)),
        (name(), digest()).prop_map(|(name, digest)| Route::Blob(name, digest)),
        name().prop_map(Route::Uploads),
        (name(), any::<[u8; 16]>()).prop_map(|(name, id)| Route::Upload(name, UploadId::from_bytes(id))),
        (name(), digest()).prop_map(|(name, digest)| Route::Referrers(name, digest)),
        name().prop_map(Route::AcrRepository),
        name().prop_map(Route::AcrTags),
        (name(), tag()).prop_map(|(name, tag)| Route::AcrTag(name, tag)),
        name().prop_map(Route::AcrManifests),
        (name(), digest()).prop_map(|(name, digest)| Route::AcrManifest(name, digest)),
    ]
}

const ENDPOINTS: [(&str, Endpoint); 8] = [
    ("/.well-known/openid-configuration", Endpoint::Discovery),
    ("/discovery/keys", Endpoint::Keys),
    ("/oauth2/token", Endpoint::Token),
    ("/oauth2/devicecode", Endpoint::DeviceCode),
    ("/userinfo", Endpoint::UserInfo),
    ("/oauth2/authorize", Endpoint::Authorize),
    ("/oauth2/deviceauth", Endpoint::DevicePage),
    ("/oauth2/logout", Endpoint::Logout),
];

/// The path that clients send for a route.
fn path(route: &Route) -> String {
    match route {
        Route::Health => "/healthz".to_owned(),
        Route::Ready => "/readyz".to_owned(),
        Route::Metrics => "/metrics".to_owned(),
        Route::Token => "/oauth2/token".to_owned(),
        Route::Exchange => "/oauth2/exchange".to_owned(),
        Route::Base => "/v2/".to_owned(),
        // Its own table reads what follows.
        Route::Management => "/subscriptions".to_owned(),
        Route::Authority(endpoint) => {
            let found = ENDPOINTS.iter().find(|(_, known)| known == endpoint);
            format!("{}{}", authority::PATH, found.expect("a path for each end point").0)
        }
        Route::Catalog => "/v2/_catalog".to_owned(),
        Route::Tags(name) => format!("/v2/{name}/tags/list"),
        Route::Manifest(name, reference) => format!("/v2/{name}/manifests/{reference}"),
        Route::Blob(name, digest) => format!("/v2/{name}/blobs/{digest}"),
        Route::Uploads(name) => format!("/v2/{name}/blobs/uploads/"),
        Route::Upload(name, id) => format!("/v2/{name}/blobs/uploads/{id}"),
        Route::Referrers(name, digest) => format!("/v2/{name}/referrers/{digest}"),
        Route::AcrRepository(name) => format!("/acr/v1/{name}"),
        Route::AcrTags(name) => format!("/acr/v1/{name}/_tags"),
        Route::AcrTag(name, tag) => format!("/acr/v1/{name}/_tags/{tag}"),
        Route::AcrManifests(name) => format!("/acr/v1/{name}/_manifests"),
        Route::AcrManifest(name, digest) => format!("/acr/v1/{name}/_manifests/{digest}"),
    }
}

const BUT_SLASH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');
const METHODS: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_route_is_read_from_its_own_path_however_it_is_escaped(route in route()) {
        let path = path(&route);
        prop_assert_eq!(Route::parse(&path), Ok(route.clone()));
        prop_assert_eq!(Route::parse(&utf8_percent_encode(&path, BUT_SLASH).to_string()), Ok(route.clone()));
        prop_assert_eq!(Route::parse(&utf8_percent_encode(&path, NON_ALPHANUMERIC).to_string()), Ok(route));
    }

    #[test]
    fn any_path_is_a_route_or_an_error(text in text(PATHS, PATH_PIECES), method in prop::sample::select(METHODS)) {
        match Route::parse(&text) {
            Ok(route) => {
                // What was read is all that there was.
                prop_assert_eq!(Route::parse(&path(&route)), Ok(route.clone()));
                match route.operation(&method) {
                    Ok(operation) => {
                        prop_assert!(NAMES.contains(&operation.name()));
                        // Whatever concerns a repository takes a right.
                        prop_assert!(route.repository().is_none() || operation.action().is_some());
                    }
                    Err(error) => prop_assert!(error.allow.is_some()),
                }
            }
            Err(error) => prop_assert!((400..500).contains(&error.code.info().status)),
        }
    }

    #[test]
    fn ranges_lie_within_the_content_and_are_never_more_than_it(
        header in text(&["bytes=0-9", "bytes=0-0,-1,5-", "bytes=-500", "bytes=9223372036854775808-"], &[
            "bytes=", "-", ",", "0", "9", "18446744073709551615", "99999999999999999999", " ", "\t", "0-", "-1", "=", "a", "bytes",
        ]),
        size in prop_oneof![0..20_u64, 0..=limits::BLOB_BYTES_MAX],
    ) {
        if let Ranges::Parts(parts) = parse_ranges(&header, size) {
            prop_assert!((1..=limits::BYTE_RANGES_MAX).contains(&parts.len()));
            prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= size), "{:?}", parts);
            prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= size);
        }
    }

    #[test]
    fn any_range_can_be_asked_for(first in 0..1_000_u64, length in 1..1_000_u64, more in 0..1_000_u64) {
        let size = first + length + more;
        let part = Ranges::Parts(std::iter::once(first..first + length).collect());
        prop_assert_eq!(parse_ranges(&format!("bytes={first}-{}", first + length - 1), size), part);
        let tail = Ranges::Parts(std::iter::once(size - length..size).collect());
        prop_assert_eq!(parse_ranges(&format!("bytes=-{length}"), size), tail);
    }

    #[test]
    fn a_chunk_s_window_is_in_order(header in text(&["0-9", "bytes 0-9/10", "bytes=5-5/*"], &[
        "bytes", " ", "=", "-", "/", "*", "0", "7", "18446744073709551615", "99999999999999999999", ",", "\t", "+",
    ])) {
        if let Some(window) = parse_window(&header) {
            prop_assert!(window.first <= window.last && window.last < limits::BLOB_BYTES_MAX);
        }
    }

    #[test]
    fn any_credential_is_read_or_malformed(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            text(&["Basic YWxpY2U6cGFzczp3b3Jk", "Bearer a.b.c"], &["Basic ", "Bearer ", " ", "=", "==", ":", "YQ", "Og==", ",", "\t"]).prop_map(String::into_bytes),
        ],
        twice in any::<bool>(),
    ) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, value.clone())]);
        if twice {
            headers.append(AUTHORIZATION, value);
        }
        let presented = Presented::read(&headers);
        prop_assert!(presented != Presented::None);
        prop_assert!(!twice || presented == Presented::Malformed);
    }

    #[test]
    fn any_name_and_password_pass_through_basic(name in "[^:]{0,20}", password in ".{0,20}") {
        let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&value).expect("base64 is a header"))]);
        prop_assert_eq!(Presented::read(&headers), Presented::Basic { name, password });
    }

    #[test]
    fn what_proxies_say_never_gets_into_an_address(
        host in text(HOSTS, HOST_PIECES),
        forwarded in prop::collection::vec((0..3_usize, text(HOSTS, HOST_PIECES)), 0..5),
        trusted in any::<bool>(),
        external in prop::sample::select(&[None, Some("https://example.com:8443")][..]),
    ) {
        let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"].map(HeaderName::from_static);
        let mut headers = HeaderMap::new();
        let lines = forwarded.iter().map(|(name, value)| (&names[*name], value)).chain([(&HOST, &host)]);
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name, value);
            }
        }
        let edge = Edge {
            trusted: trusted.then(|| "127.0.0.0/8".parse().expect("a network")).into_iter().collect(),
            external: external.map(|url| url.parse().expect("an address")),
        };
        let local: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let peer = Peer { addr: local, tls: false, local };
        let Ok(origin) = origin(&peer, &Uri::from_static("/"), &headers, &edge) else { return Ok(()) };
        prop_assert!(trusted || origin.client.is_loopback());
        for host in [origin.host.as_str(), origin.asked_host()] {
            let authority = Authority::parse(host);
            prop_assert!(authority.is_some(), "{host:?}");
            prop_assert!(!host.contains(['"', ' ', '/', '@', '\\', ',', '\r', '\n']) && host == host.to_lowercase());
        }
    }

    #[test]
    fn an_external_address_is_read_as_it_is_written(text in text(
        &["https://registry.example.com", "HTTP://Example.Com:8080/", "http://[::1]:80"],
        &["http://", "https://", ":", "/", "[", "]", "::1", "65536", "0", "@", "?", "#", "a", ".", "-", "ä"],
    )) {
        if let Ok(url) = text.parse::<ExternalUrl>() {
            prop_assert_eq!(url.to_string().parse(), Ok(url));
        }
    }
}

const HOSTS: &[&str] =
    &["registry.example.com:5000", "127.0.0.1", "[2001:db8::1]:443", "10.0.0.1, 192.0.2.7", "https", "a, b"];
const HOST_PIECES: &[&str] = &[
    ",",
    ", ",
    ":",
    "[",
    "]",
    "::",
    "127.0.0.1",
    "192.0.2.1:80",
    "unknown",
    "\"",
    "/",
    "@",
    "\\",
    "%",
    "..",
    ".",
    "a",
    "A",
    "-",
    "https",
    "http",
    "65535",
    "99999",
    "ä",
    "\t",
];

const SETTINGS: &[&str] = &[
    "[server]\ndomain = 'example.com'\nlisten = ['127.0.0.1:0', '[::1]:0']\nexternal-url = 'https://r.example.com'\n",
    "[server]\ntls = 'auto'\ntrusted-proxies = ['10.0.0.0/8']\ndefault-hosts = ['a']\ninsecure-http = true\n",
    "[limits]\nmax-connections = 100\nidle-timeout = '1m'\nbody-rate-min = '1KiB'\n[gc]\ngrace = '1d'\n[log]\nformat = 'json'\n",
    "[login]\nanonymous-pull = true\nadmin-password = 'a very long password'\n[uploads]\nlife = '1d'\n[trace]\n",
];
const SETTING_PIECES: &[&str] = &[
    "\n",
    "[",
    "]",
    "[[",
    "=",
    "'",
    "\"",
    "'''",
    ",",
    "{",
    "}",
    "true",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "'1d'",
    "'1'",
    "'4MiB'",
    "server",
    "[server]",
    "[login]",
    "[unknown]",
    "grace",
    "listen",
    "#",
    "\\",
    "\0",
    "1979-05-27",
    "a.b",
    "'18446744073709551615d'",
    "inf",
    "ä",
];

proptest! {
    #![proptest_config(Cases { cases: cases().cases / 4, ..cases() })]

    #[test]
    fn any_configuration_is_taken_or_told_what_is_wrong_with_it(settings in text(SETTINGS, SETTING_PIECES)) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let file = folder.path().join("kogge.toml");
        std::fs::write(&file, &settings).expect("written");
        let args = ServeArgs { config: Some(file.clone()), ..ServeArgs::default() };
        match Config::load(&args, &Environment::default()) {
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
            Ok(config) => {
                // What is shown can be read again and means the same, but for the secrets.
                let shown = config.render();
                prop_assert!(!shown.contains("a very long password"));
                std::fs::write(&file, &shown).expect("written");
                let again = Config::load(&args, &Environment::default());
                prop_assert_eq!(again.map(|config| config.render()).map_err(|errors| errors.to_string()), Ok(shown));
            }
        }
    }
}
