//! Image references as people type them: `[host[:port]/]repository[:tag][@digest]`, read as Docker reads them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use kogge_types::{Digest, Reference, RepositoryName, Tag};

use crate::error::{Error, Result};

/// The host that a reference without one means.
const DEFAULT_HOST: &str = "docker.io";
/// The tag that a reference without tag and digest means.
const DEFAULT_TAG: &str = "latest";

/// A registry's host name with its port, in lower case: `registry.example.com`, `localhost:5000`, `[::1]:5000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RegistryHost(String);

impl RegistryHost {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The host and port that requests go to. Docker Hub's API has another name than its references.
    pub(crate) fn authority(&self) -> &str {
        if self.0 == DEFAULT_HOST { "registry-1.docker.io" } else { &self.0 }
    }

    /// The host without its port, and without the brackets of an IPv6 address.
    pub(crate) fn name(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or(authority),
        }
    }

    /// The port, if one is given.
    pub(crate) fn port(&self) -> Option<u16> {
        let authority = self.authority();
        let after = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
        after.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }

    /// The addresses of a name below `localhost`. Every such name is this machine (RFC 6761 section 6.3), but not every
    /// system's resolver knows it.
    pub(crate) fn known_addresses(&self, port: u16) -> Option<[SocketAddr; 2]> {
        let known = self.name().ends_with(".localhost");
        known.then(|| [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()])
    }

    /// Whether the host is this machine, so that plain HTTP leaks nothing.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.name();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RegistryHost {
    type Err = Error;

    /// Takes `http://` and `https://` off, since people paste addresses; a path is an error.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::usage(format!("`{text}` is not a registry: {why}")).hint("write a host and a port, `localhost:5000`")
        };
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let host = host.strip_suffix('/').unwrap_or(host).to_ascii_lowercase();
        if host.contains('/') {
            return Err(bad("it has a path"));
        }
        let (name, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(|| bad("a bracket is not closed"))?;
                address.parse::<Ipv6Addr>().map_err(|_| bad("no IPv6 address is in the brackets"))?;
                ("", port)
            }
            None => host.find(':').map_or((host.as_str(), ""), |colon| host.split_at(colon)),
        };
        let name_fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if !host.starts_with('[') && (name.is_empty() || !name.bytes().all(name_fits)) {
            return Err(bad("the host name has characters that none may have"));
        }
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0)) {
            return Err(bad("the port is not a number from 1 to 65535"));
        }
        let host = if matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io") {
            DEFAULT_HOST.to_owned()
        } else {
            host
        };
        Ok(Self(host))
    }
}

/// A repository on a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryReference {
    pub(crate) host: RegistryHost,
    pub(crate) repository: RepositoryName,
}

impl fmt::Display for RepositoryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

impl FromStr for RepositoryReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, rest) = split_host(text)?;
        let has_tag = rest.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if rest.contains('@') || has_tag {
            return Err(Error::usage(format!(
                "`{text}` names an image; a repository without tag and digest is wanted"
            )));
        }
        Ok(Self { repository: parse_repository(text, &host, rest)?, host })
    }
}

/// An image: a repository with a tag, a digest, or both (the digest then decides).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageReference {
    pub(crate) host: RegistryHost,
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Option<Digest>,
}

impl ImageReference {
    /// What is asked of the registry: the digest if there is one, else the tag, else `latest`.
    pub(crate) fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::Digest(*digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(DEFAULT_TAG.parse().expect("the default tag is a tag")),
        }
    }

    pub(crate) fn in_repository(&self) -> RepositoryReference {
        RepositoryReference { host: self.host.clone(), repository: self.repository.clone() }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        if self.tag.is_none() && self.digest.is_none() {
            write!(f, ":{DEFAULT_TAG}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |error: &dyn fmt::Display| Error::usage(format!("`{text}` is not an image reference: {error}"));
        let (host, rest) = split_host(text)?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| bad(&error))?)),
            None => (rest, None),
        };
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].find(':') {
            Some(colon) => {
                let (name, tag) = rest.split_at(name_start + colon);
                (name, Some(tag[1..].parse::<Tag>().map_err(|error| bad(&error))?))
            }
            None => (rest, None),
        };
        Ok(Self { repository: parse_repository(text, &host, name)?, host, tag, digest })
    }
}

/// Takes the host off. The first part is a host when it holds a dot or a colon, is `localhost`, or has upper-case
/// letters, which no repository name may have.
fn split_host(text: &str) -> Result<(RegistryHost, &str)> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    if text.contains("://") {
        return Err(Error::usage(format!("`{text}` is not an image reference: it has a scheme"))
            .hint("write `host/repository:tag`; use --plain-http for a registry without TLS"));
    }
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            Ok((first.parse()?, rest))
        }
        _ => Ok((RegistryHost(DEFAULT_HOST.to_owned()), text)),
    }
}

/// On Docker Hub a name of one part is in `library/`.
fn parse_repository(text: &str, host: &RegistryHost, name: &str) -> Result<RepositoryName> {
    let full = if host.as_str() == DEFAULT_HOST && !name.contains('/') && !name.is_empty() {
        format!("library/{name}")
    } else {
        name.to_owned()
    };
    full.parse().map_err(|error| {
        let mut error = Error::usage(format!("`{text}` does not name a repository: {error}"));
        if name.is_empty() {
            error = error.hint("write `host/repository`, for example `localhost:5000/team/app`");
        }
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<ImageReference>().expect(text).to_string(), expected, "{text}");
        };
        check("alpine", "docker.io/library/alpine:latest");
        check("alpine:3.20", "docker.io/library/alpine:3.20");
        check("team/app", "docker.io/team/app:latest");
        check("docker.io/alpine", "docker.io/library/alpine:latest");
        check("index.docker.io/alpine", "docker.io/library/alpine:latest");
        check("localhost/x", "localhost/x:latest");
        check("localhost:5000/x", "localhost:5000/x:latest");
        check("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1");
        check("127.0.0.1:5000/x:v1", "127.0.0.1:5000/x:v1");
        check("[::1]:5000/x:v1", "[::1]:5000/x:v1");
        check("REG.example.com/x", "reg.example.com/x:latest");
        check("Reg/x", "reg/x:latest");
        check("docker://reg.io/x:1", "reg.io/x:1");
        check(&format!("reg.io/x@{DIGEST}"), &format!("reg.io/x@{DIGEST}"));
        check(&format!("reg.io:443/x:v1@{DIGEST}"), &format!("reg.io:443/x:v1@{DIGEST}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            ":",
            "@",
            "/",
            "reg.io/",
            "reg.io/x:",
            "reg.io/x@",
            "reg.io/x@sha256:00",
            "reg.io/X",
            "reg.io/x y",
            "http://reg.io/x",
            "reg.io:port/x",
            "reg.io:0/x",
            "reg.io:99999/x",
            "reg.io/../x",
            "[::1/x",
            "[x]:5/x",
            "reg.io/x:.tag",
            "a..b.io:/x",
            "reg.io//x",
        ] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let check = |text: &str, host: &str, name: &str, port: Option<u16>, loopback: bool| {
            let read: RegistryHost = text.parse().expect(text);
            assert_eq!((read.as_str(), read.name(), read.port(), read.is_loopback()), (host, name, port, loopback));
        };
        check("localhost:5000", "localhost:5000", "localhost", Some(5000), true);
        check("http://Localhost:5000/", "localhost:5000", "localhost", Some(5000), true);
        check("team.localhost:5000", "team.localhost:5000", "team.localhost", Some(5000), true);
        check("127.8.0.1", "127.8.0.1", "127.8.0.1", None, true);
        check("[::1]:5000", "[::1]:5000", "::1", Some(5000), true);
        check("[::1]", "[::1]", "::1", None, true);
        check("https://reg.io", "reg.io", "reg.io", None, false);
        check("docker.io", "docker.io", "registry-1.docker.io", None, false);
        assert!("reg.io/v2".parse::<RegistryHost>().is_err());
        let known =
            |text: &str| text.parse::<RegistryHost>().expect(text).known_addresses(7).map(|all| all[0].to_string());
        assert_eq!(known("team.localhost:5000").as_deref(), Some("127.0.0.1:7"));
        assert_eq!((known("localhost:5000"), known("localhost.io")), (None, None));
    }

    #[test]
    fn a_repository_has_no_tag() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<RepositoryReference>().expect(text).to_string(), expected);
        };
        check("localhost:5000/team/app", "localhost:5000/team/app");
        check("alpine", "docker.io/library/alpine");
        assert!("localhost:5000/app:v1".parse::<RepositoryReference>().is_err());
        assert!(format!("reg.io/app@{DIGEST}").parse::<RepositoryReference>().is_err());
    }
}
