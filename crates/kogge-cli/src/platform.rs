//! Platforms, as `--platform os/architecture[/variant]` names them.

use std::fmt;
use std::str::FromStr;

use kogge_types::Descriptor;

use crate::error::{Error, Result};

/// A platform that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// The entry of an index for this platform. Without a variant, any will do; the first one counts.
    pub(crate) fn choose<'a>(&self, entries: &'a [Descriptor]) -> Result<&'a Descriptor> {
        let fits = |entry: &&Descriptor| {
            entry.platform.as_ref().is_some_and(|own| {
                own.os == self.os
                    && own.architecture == self.architecture
                    && (self.variant.is_none() || own.variant == self.variant)
            })
        };
        entries.iter().find(fits).ok_or_else(|| {
            let offered: Vec<String> = entries.iter().filter_map(shown).collect();
            let error = Error::not_found(format!("the index has no image for {self}"));
            if offered.is_empty() { error } else { error.hint(format!("it has {}", offered.join(", "))) }
        })
    }
}

/// The platform of an index's entry in words.
pub(crate) fn shown(entry: &Descriptor) -> Option<String> {
    let own = entry.platform.as_ref()?;
    let variant = own.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(crate::error::printable(&format!("{}/{}{variant}", own.os, own.architecture)))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture] if !os.is_empty() && !architecture.is_empty() => {
                Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant: None })
            }
            [os, architecture, variant] if !parts.contains(&"") => Ok(Self {
                os: (*os).to_owned(),
                architecture: (*architecture).to_owned(),
                variant: Some((*variant).to_owned()),
            }),
            _ => Err(Error::usage(format!("`{text}` is not a platform; write os/architecture, `linux/amd64`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use kogge_types::Digest;

    use super::*;

    fn entry(name: &str) -> Descriptor {
        let mut parts = name.split('/').map(ToOwned::to_owned);
        let (os, architecture) = (parts.next().expect("an os"), parts.next().expect("an architecture"));
        let platform = kogge_types::manifest::Platform { os, architecture, variant: parts.next() };
        Descriptor {
            media_type: kogge_types::media_type::OCI_MANIFEST.to_owned(),
            digest: Digest::sha256(name.as_bytes()),
            size: 0,
            artifact_type: None,
            annotations: None,
            platform: Some(platform),
        }
    }

    #[test]
    fn the_entry_for_a_platform_is_chosen() {
        let entries = ["linux/amd64", "linux/arm/v6", "linux/arm/v7"].map(entry);
        let check = |wanted: &str, expected: Option<&str>| {
            let platform: Platform = wanted.parse().expect(wanted);
            assert_eq!(platform.to_string(), wanted);
            let chosen = platform.choose(&entries).ok().and_then(shown);
            assert_eq!(chosen.as_deref(), expected, "{wanted}");
        };
        check("linux/amd64", Some("linux/amd64"));
        check("linux/arm", Some("linux/arm/v6"));
        check("linux/arm/v7", Some("linux/arm/v7"));
        check("linux/arm/v8", None);
        check("windows/amd64", None);
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
