//! How many bytes the repositories of a registry may hold together, and how many they do.
//!
//! A blob that several repositories share counts once for each quota that covers one of them. Nothing is counted in the
//! database when somebody pushes: what is there is measured in the background, and what this node has added since is
//! kept beside it.

mod book;
mod measure;

use kogge_types::{RepositoryName, RepositoryPattern, limits};
use serde_json::Value;

pub(crate) use book::UsageBook;
pub(crate) use measure::Ceiling;
pub use measure::{QuotaUsage, RegistryUsage};

/// A bound on what the repositories of a pattern hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub repositories: RepositoryPattern,
    pub bytes: u64,
}

/// The quotas of one registry, one for each pattern at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas(Vec<Quota>);

impl Quotas {
    /// Reads the value of the property `quotas`: `[{ "repositories": "team/*", "bytes": 1073741824 }]`; `null` is none.
    ///
    /// # Errors
    /// What is wrong, in a sentence for whoever wrote it.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let entries = match value {
            Value::Null => return Ok(Self::default()),
            Value::Array(entries) => entries,
            _ => return Err("quotas is a list".to_owned()),
        };
        if entries.len() > limits::QUOTAS_MAX {
            return Err(format!("a registry has at most {} quotas", limits::QUOTAS_MAX));
        }
        let mut quotas: Vec<Quota> = Vec::with_capacity(entries.len());
        for entry in entries {
            let quota = parse_quota(entry)?;
            if quotas.iter().any(|other| other.repositories == quota.repositories) {
                return Err(format!("there is more than one quota for {}", quota.repositories));
            }
            quotas.push(quota);
        }
        Ok(Self(quotas))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Quota> {
        self.0.iter()
    }

    /// The same, with `bytes` for the whole registry where nothing is said of that.
    pub(crate) fn with_default(mut self, bytes: Option<u64>) -> Self {
        let all = RepositoryPattern::All;
        if let Some(bytes) = bytes.filter(|_| self.limit(&all).is_none()) {
            self.0.push(Quota { repositories: all, bytes });
        }
        self
    }

    /// The bound for exactly this pattern.
    pub(crate) fn limit(&self, pattern: &RepositoryPattern) -> Option<u64> {
        self.0.iter().find(|quota| quota.repositories == *pattern).map(|quota| quota.bytes)
    }

    /// Those that cover a repository.
    pub(crate) fn covering(self, repository: &RepositoryName) -> Vec<Quota> {
        let mut quotas = self.0;
        quotas.retain(|quota| quota.repositories.matches(repository));
        quotas
    }
}

fn parse_quota(entry: &Value) -> Result<Quota, String> {
    let entry = entry.as_object().ok_or("a quota is an object with repositories and bytes")?;
    if let Some(field) = entry.keys().find(|field| !matches!(field.as_str(), "repositories" | "bytes")) {
        return Err(format!("a quota has no field {field:?}"));
    }
    let pattern = entry.get("repositories").and_then(Value::as_str).ok_or("a quota names its repositories")?;
    let repositories = pattern.parse().map_err(|error| format!("{pattern:?}: {error}"))?;
    let bytes = entry.get("bytes").and_then(Value::as_u64).filter(|bytes| i64::try_from(*bytes).is_ok());
    Ok(Quota { repositories, bytes: bytes.ok_or("the bytes of a quota are a whole number, not negative")? })
}

#[cfg(test)]
mod tests;
