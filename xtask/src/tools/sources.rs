//! The machine's own apt sources: where its Debian mirror is. No address is written into the project.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// One source of the machine.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Source {
    address: String,
    suite: String,
}

/// The Debian archive that this machine uses.
#[derive(Debug)]
pub(super) struct Archive {
    codename: String,
    sources: Vec<Source>,
    keyring: Option<String>,
}

/// Reads the machine's release and its apt sources.
///
/// # Errors
/// No source of the machine's own release is configured, so no mirror is known.
pub(super) fn machine_archive() -> Result<Archive> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let codename = codename_of(&release).context("/etc/os-release names no VERSION_CODENAME")?;
    let mut found = Vec::new();
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    files.sort();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => found.extend(parse_lines(&text)),
            Some("sources") => found.extend(parse_stanzas(&text)),
            _ => {}
        }
    }
    let keyrings = ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
    let keyring = keyrings.into_iter().find(|file| Path::new(file).is_file()).map(str::to_owned);
    let archive = Archive { codename, sources: found, keyring };
    archive.mirror().with_context(|| {
        format!("no apt source of this machine serves its own release {}: add one and run again", archive.codename)
    })?;
    Ok(archive)
}

impl Archive {
    /// Sources of the machine's own release, its updates and its security updates.
    pub(super) fn own_lines(&self) -> Vec<String> {
        let sources = self.sources.iter().filter(|source| {
            let base = source.suite.split(['-', '/']).next().unwrap_or_default();
            base == self.codename
        });
        let unique: BTreeSet<(&str, &str)> =
            sources.map(|source| (source.address.as_str(), source.suite.as_str())).collect();
        unique.into_iter().map(|(address, suite)| self.line(address, suite)).collect()
    }

    /// Sources of other `releases` on the same mirror.
    pub(super) fn lines_for(&self, releases: &BTreeSet<&str>) -> Vec<String> {
        let mirror = self.mirror().expect("machine_archive checked that there is one");
        releases.iter().map(|release| self.line(mirror, release)).collect()
    }

    fn mirror(&self) -> Result<&str> {
        match self.sources.iter().find(|source| source.suite == self.codename) {
            Some(source) => Ok(&source.address),
            None => bail!("found {} sources, none of {}", self.sources.len(), self.codename),
        }
    }

    fn line(&self, address: &str, suite: &str) -> String {
        match &self.keyring {
            Some(keyring) => format!("deb [signed-by={keyring}] {address} {suite} main"),
            None => format!("deb {address} {suite} main"),
        }
    }
}

fn codename_of(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// One-line sources: `deb [options] address suite components`.
fn parse_lines(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        let rest = rest.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']').map_or("", |(_, rest)| rest) } else { rest };
        let mut words = rest.split_whitespace();
        if let (Some(address), Some(suite)) = (words.next(), words.next()) {
            sources.push(Source { address: address.to_owned(), suite: suite.to_owned() });
        }
    }
    sources
}

/// Deb822 sources: stanzas of `Types`, `URIs` and `Suites`.
fn parse_stanzas(text: &str) -> Vec<Source> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut sources = Vec::new();
    for stanza in text.split(|line| line.trim().is_empty()) {
        let field = |name: &str| {
            let value = stanza.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then_some(value)
            });
            value.unwrap_or_default().split_whitespace().collect::<Vec<_>>()
        };
        if field("Enabled") == ["no"] || !field("Types").contains(&"deb") {
            continue;
        }
        for address in field("URIs") {
            for suite in field("Suites") {
                sources.push(Source { address: address.to_owned(), suite: suite.to_owned() });
            }
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, suite: &str) -> Source {
        Source { address: address.into(), suite: suite.into() }
    }

    #[test]
    fn one_line_sources_are_read_with_and_without_options() {
        let text = "# a comment\ndeb http://mirror/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k] http://other/d sid main contrib\ndeb-src http://mirror/debian x main\n";
        assert_eq!(parse_lines(text), [source("http://mirror/debian", "bookworm"), source("http://other/d", "sid")]);
    }

    #[test]
    fn stanzas_are_read_and_disabled_ones_are_not() {
        let text = "Types: deb\n# snapshot\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off/debian\nSuites: bookworm\n";
        assert_eq!(
            parse_stanzas(text),
            [source("http://mirror/debian", "bookworm"), source("http://mirror/debian", "bookworm-updates")]
        );
    }

    #[test]
    fn newer_releases_come_from_the_mirror_of_the_machines_own_release() {
        let sources = vec![
            source("http://third/party", "stable"),
            source("http://mirror/debian-security", "bookworm-security"),
            source("http://mirror/debian", "bookworm"),
        ];
        let archive = Archive { codename: "bookworm".into(), sources, keyring: None };
        assert_eq!(archive.lines_for(&BTreeSet::from(["sid"])), ["deb http://mirror/debian sid main"]);
        assert_eq!(
            archive.own_lines(),
            ["deb http://mirror/debian bookworm main", "deb http://mirror/debian-security bookworm-security main"]
        );
    }
}
