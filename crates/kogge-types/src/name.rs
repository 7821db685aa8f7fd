//! Names that users choose: registries, repositories, tags.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "a repository name is lower-case letters, digits and the separators '.', '_', '__' and '-' between them, \
         in parts separated by '/'"
    )]
    Repository,
    #[error("a repository name is at most {} characters", limits::REPOSITORY_NAME_CHARS_MAX)]
    RepositoryLength,
    #[error("a tag is at most 128 letters, digits, '_', '.' and '-', and does not begin with '.' or '-'")]
    Tag,
    #[error("a registry name is 5 to 50 letters and digits")]
    Registry,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A repository's name within its registry, of any depth (distribution specification, "Pulling manifests").
    RepositoryName,
    check_repository
);
name!(
    /// A tag (distribution specification, "Pulling manifests").
    Tag,
    check_tag
);

/// A registry's name: `^[a-z0-9]{5,50}$`, ACR's rule, always lower case. The form that is built from text folds
/// the case, as ACR does at create.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RegistryName(String);

impl RegistryName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegistryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = (5..=50).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !fits {
            return Err(NameError::Registry);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for RegistryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn check_repository(text: &str) -> Result<(), NameError> {
    if text.len() > limits::REPOSITORY_NAME_CHARS_MAX {
        return Err(NameError::RepositoryLength);
    }
    if text.split('/').all(is_path_component) { Ok(()) } else { Err(NameError::Repository) }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn check_tag(text: &str) -> Result<(), NameError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = matches!(text.as_bytes(), [first, rest @ ..]
        if word(*first) && rest.len() < limits::TAG_CHARS_MAX && rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')));
    if fits { Ok(()) } else { Err(NameError::Tag) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        for good in ["a", "library/alpine", "a/b/c/d/e/f/g/h/i/j", "a.b_c__d-e---f", "0/1"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "_a", "a b", "a/../b", "..", "ä",
            "a\0",
        ] {
            assert_eq!(bad.parse::<RepositoryName>(), Err(NameError::Repository), "{bad}");
        }
        let longest = "a".repeat(limits::REPOSITORY_NAME_CHARS_MAX);
        assert!(longest.parse::<RepositoryName>().is_ok());
        assert_eq!(format!("{longest}a").parse::<RepositoryName>(), Err(NameError::RepositoryLength));
    }

    #[test]
    fn tags() {
        for good in ["latest", "v1.0-rc_1", "_", &"t".repeat(limits::TAG_CHARS_MAX)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a b", "a/b", "a:b", "sha256:00", "é", &"t".repeat(limits::TAG_CHARS_MAX + 1)] {
            assert_eq!(bad.parse::<Tag>(), Err(NameError::Tag), "{bad}");
        }
    }

    #[test]
    fn registry_names_fold_their_case() {
        assert_eq!("MyReg01".parse::<RegistryName>().expect("valid").as_str(), "myreg01");
        for bad in ["abcd", "a-bcde", "a.bcde", &"a".repeat(51)] {
            assert_eq!(bad.parse::<RegistryName>(), Err(NameError::Registry), "{bad}");
        }
    }
}
