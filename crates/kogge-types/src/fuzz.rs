//! Fuzz targets for everything here that reads bytes from outside: whatever comes, no parser panics, and what it takes
//! is well formed.
//!
//! By default each target runs a bounded number of cases from a fixed seed; `KOGGE_TEST_LONG=1` runs many more from a
//! new seed, which a failure prints.

use std::collections::HashSet;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::{Config, RngSeed};
use proptest::{prop_assert, prop_assert_eq};
use serde::de::IgnoredAny;

use crate::access::AccessEntry;
use crate::media_type::{self, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::{
    Algorithm, Digest, Hasher, Manifest, ManifestKind, Reference, RegistryName, RepositoryName, RepositoryPattern,
    Scope, Tag, UploadId, limits,
};

const CASES: u32 = 1_000;
const CASES_LONG: u32 = 100_000;

fn config() -> Config {
    let is_long = std::env::var_os("KOGGE_TEST_LONG").is_some_and(|value| value == "1");
    let (cases, rng_seed) = if is_long { (CASES_LONG, RngSeed::Random) } else { (CASES, RngSeed::Fixed(1)) };
    Config { cases, rng_seed, failure_persistence: None, ..Config::default() }
}

/// One change to a text that was well formed.
#[derive(Debug, Clone)]
enum Edit {
    Put(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
}

/// Pieces that parsers look for, and some that they should not meet.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let tokens: &[&[u8]] = &[
        b":",
        b"/",
        b"//",
        b"..",
        b".",
        b"-",
        b"_",
        b"__",
        b"___",
        b"*",
        b"/*",
        b",",
        b"sha256:",
        b"sha512:",
        b"a",
        b"Z",
        b"0",
        b"\0",
        b" ",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"true",
        b"-1",
        b"1e999",
        b"18446744073709551616",
        b"\\u0000",
        b"\\ud800",
        b"\xff",
        b"\xc3\xa4",
        b"\xef\xbb\xbf",
        b"repository:",
        b"registry:catalog:*",
        b"pull",
        b"push",
        b"\"schemaVersion\":2",
        b"\"layers\":[]",
        b"\"manifests\":[]",
        b"\"size\":",
        b"\"digest\":",
        b"\"mediaType\":",
        b"\"subject\":{}",
    ];
    prop::sample::select(tokens).prop_map(<[u8]>::to_vec)
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>().prop_map(|index| index.index(usize::MAX >> 16));
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        (place.clone(), token()).prop_map(|(at, token)| Edit::Insert(at, token)),
        (place.clone(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (place, 1..40_usize, 1..20_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let at = |at: usize| at % (bytes.len() + 1);
    match edit {
        Edit::Put(place, byte) => {
            let place = at(*place);
            if let Some(there) = bytes.get_mut(place) {
                *there = *byte;
            }
        }
        Edit::Insert(place, token) => {
            let place = at(*place);
            bytes.splice(place..place, token.iter().copied());
        }
        Edit::Remove(place, length) => {
            let place = at(*place);
            bytes.drain(place..bytes.len().min(place + length));
        }
        Edit::Repeat(place, length, times) => {
            let place = at(*place);
            let piece = bytes[place..bytes.len().min(place + length)].repeat(*times);
            bytes.splice(place..place, piece);
        }
    }
}

/// Bytes of any kind, pieces in any order, and well-formed texts that were changed here and there.
fn input(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edited = (prop::sample::select(seeds), prop::collection::vec(edit(), 0..6)).prop_map(|(seed, edits)| {
        let mut bytes = seed.as_bytes().to_vec();
        edits.iter().for_each(|edit| apply(&mut bytes, edit));
        bytes
    });
    let pieces = prop::collection::vec(token(), 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..300), 1 => pieces, 4 => edited]
}

fn text(seeds: &'static [&'static str]) -> impl Strategy<Value = String> {
    input(seeds).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

const NAMES: &[&str] = &[
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    "library/alpine",
    "a.b_c__d-e---f/0/1",
    "latest",
    "v1.0-rc_1",
    "myregistry01",
    "team/*",
    "*",
    "000102030405060708090a0b0c0d0e0f",
];

const SCOPES: &[&str] = &[
    "repository:team/app:pull,push",
    "repository(plugin):a:*",
    "registry:catalog:*",
    "repository:a:pull,metadata_read,delete repository:b/c:push registry:catalog:*",
];

const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"urls":["https://layers.example.com"]}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":18446744073709551615},"annotations":{"a":"\u00e4"}}"#;
const INDEX: &str = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"platform":{"architecture":"arm64","os":"linux","variant":"v8"},"annotations":{}}],"unknown":[[[1.5e3,null]]]}"#;

/// `text` written again is the same text: there is one way to write each value.
fn check_canonical<T: std::str::FromStr + std::fmt::Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn names_and_digests_are_taken_in_one_form_only(text in text(NAMES)) {
        check_canonical::<Digest>(&text);
        check_canonical::<RepositoryName>(&text);
        check_canonical::<Tag>(&text);
        check_canonical::<Reference>(&text);
        check_canonical::<RepositoryPattern>(&text);
        check_canonical::<UploadId>(&text);
        check_canonical::<Algorithm>(&text);
        if let Ok(name) = text.parse::<RepositoryName>() {
            prop_assert!(text.len() <= limits::REPOSITORY_NAME_CHARS_MAX);
            prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b)));
            prop_assert!(!text.contains("..") && !text.contains("//") && !text.starts_with('/') && !text.ends_with('/'));
            prop_assert!(RepositoryPattern::All.matches(&name) && text.parse::<RepositoryPattern>().is_ok());
        }
        if let Ok(tag) = text.parse::<Tag>() {
            prop_assert!(!tag.as_str().contains([':', '/']) && tag.as_str().len() <= limits::TAG_CHARS_MAX);
        }
        if let Ok(name) = text.parse::<RegistryName>() {
            prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
        }
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(Digest::from_bytes(&digest.to_bytes()), Ok(digest));
        }
    }

    #[test]
    fn what_json_says_is_checked_as_what_text_says(text in text(NAMES)) {
        let json = serde_json::to_string(&text).expect("a text is JSON");
        prop_assert_eq!(serde_json::from_str::<Digest>(&json).ok(), text.parse().ok());
        prop_assert_eq!(serde_json::from_str::<RepositoryName>(&json).ok(), text.parse().ok());
        prop_assert_eq!(serde_json::from_str::<Tag>(&json).ok(), text.parse().ok());
        prop_assert_eq!(serde_json::from_str::<RepositoryPattern>(&json).ok(), text.parse().ok());
        prop_assert_eq!(serde_json::from_str::<UploadId>(&json).ok(), text.parse().ok());
    }

    #[test]
    fn a_pattern_is_its_range(pattern in text(NAMES), name in text(NAMES)) {
        if let (Ok(pattern), Ok(name)) = (pattern.parse::<RepositoryPattern>(), name.parse::<RepositoryName>()) {
            let (from, to) = pattern.range();
            let inside = name.as_str() >= from.as_str() && to.is_none_or(|to| name.as_str() < to.as_str());
            prop_assert_eq!(pattern.matches(&name), inside);
        }
    }

    #[test]
    fn a_scope_says_the_same_when_it_is_written_again(text in text(SCOPES)) {
        if let Ok(scope) = text.parse::<Scope>() {
            prop_assert_eq!(scope.to_string().parse(), Ok(scope.clone()));
            prop_assert_eq!(Scope::try_from(&AccessEntry::from(&scope)), Ok(scope));
        }
        prop_assert!(Scope::parse_all([text.as_str(), text.as_str()]).len() <= limits::TOKEN_SCOPES_MAX);
    }

    #[test]
    fn a_manifest_is_what_its_bytes_say_or_nothing(
        body in input(&[IMAGE, INDEX]),
        content_type in prop_oneof![
            prop::sample::select(&[OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST][..]).prop_map(str::to_owned),
            text(&[OCI_MANIFEST, "application/vnd.oci.image.index.v1+json; charset=utf-8"]),
        ],
    ) {
        let Ok(manifest) = Manifest::parse(&content_type, &body) else { return Ok(()) };
        prop_assert_eq!(Some(manifest.kind), ManifestKind::of(media_type::essence(&content_type)));
        prop_assert!(std::str::from_utf8(&body).is_ok() && serde_json::from_slice::<IgnoredAny>(&body).is_ok());
        let digests: HashSet<_> = manifest.blobs.iter().map(|blob| blob.digest).collect();
        prop_assert_eq!(digests.len(), manifest.blobs.len());
        match manifest.kind {
            ManifestKind::Image => prop_assert!(!manifest.blobs.is_empty() && manifest.children.is_empty()),
            ManifestKind::Index => prop_assert!(manifest.blobs.is_empty() && manifest.config_media_type.is_none()),
        }
        // Sizes of any client are summed up without harm.
        let most = manifest.blobs.iter().map(|blob| blob.size).max().unwrap_or(0);
        prop_assert!(manifest.content_bytes() >= most);
    }

    #[test]
    fn a_hash_that_was_saved_goes_on_where_it_was(
        content in prop::collection::vec(any::<u8>(), 0..1000),
        cut in any::<prop::sample::Index>(),
        sha512 in any::<bool>(),
        state in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..300)],
    ) {
        let algorithm = if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let (before, after) = content.split_at(cut.index(content.len() + 1));
        let mut hasher = Hasher::new(algorithm);
        hasher.update(before);
        let mut hasher = Hasher::restore(algorithm, &hasher.save()).expect("what was saved can be read");
        hasher.update(after);
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &content));
        // A state that is none is refused, never a panic.
        let _ = Hasher::restore(algorithm, &state);
    }
}
