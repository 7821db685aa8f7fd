//! Patterns over repository names, as scope maps write them: `*`, `team/*`, `team/app`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::RepositoryName;

/// Which repositories something applies to, whether they exist yet or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RepositoryPattern {
    All,
    /// Every name that begins with this, which ends in `/`.
    Prefix(String),
    Exact(RepositoryName),
}

/// A text that is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a repository pattern is a name, a name followed by '/*', or '*'")]
pub struct PatternError;

impl RepositoryPattern {
    pub fn matches(&self, name: &RepositoryName) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => name.as_str().starts_with(prefix.as_str()),
            Self::Exact(exact) => exact == name,
        }
    }

    /// The names that match are those of the half-open range `from..to`, in byte order; no `to` is no end.
    pub fn range(&self) -> (String, Option<String>) {
        match self {
            Self::All => (String::new(), None),
            // '0' follows '/' in ASCII: the first text after every one that begins with the prefix.
            Self::Prefix(prefix) => (prefix.clone(), Some(format!("{}0", prefix.trim_end_matches('/')))),
            Self::Exact(name) => (name.to_string(), Some(format!("{name}\0"))),
        }
    }
}

impl FromStr for RepositoryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::All);
        }
        match text.strip_suffix("/*") {
            Some(parent) => match parent.parse::<RepositoryName>() {
                Ok(parent) => Ok(Self::Prefix(format!("{parent}/"))),
                Err(_) => Err(PatternError),
            },
            None => text.parse().map(Self::Exact).map_err(|_| PatternError),
        }
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Exact(name) => name.fmt(f),
        }
    }
}

impl Serialize for RepositoryPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RepositoryPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_exactly_the_names_of_its_range() {
        let names = ["team", "team-a", "team/app", "team/app/x", "team0", "teams/app", "a"];
        for (pattern, expected) in [
            ("*", names.to_vec()),
            ("team/*", vec!["team/app", "team/app/x"]),
            ("team/app", vec!["team/app"]),
            ("team", vec!["team"]),
        ] {
            let parsed: RepositoryPattern = pattern.parse().expect(pattern);
            assert_eq!(parsed.to_string(), pattern);
            let (from, to) = parsed.range();
            let in_range = |name: &&str| **name >= *from && to.as_deref().is_none_or(|to| **name < *to);
            let matching: Vec<_> = names.into_iter().filter(|n| parsed.matches(&n.parse().expect(n))).collect();
            assert_eq!(matching, expected, "{pattern}");
            assert_eq!(names.into_iter().filter(in_range).collect::<Vec<_>>(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_star_stands_only_at_the_end() {
        for bad in ["", "/*", "*/a", "a*", "a/*/b", "team//*", "A/*"] {
            assert_eq!(bad.parse::<RepositoryPattern>(), Err(PatternError), "{bad}");
        }
    }
}
