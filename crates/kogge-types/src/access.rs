//! What a caller may ask for: actions, and the scopes that tokens are bounded by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::name::RepositoryName;

/// Something that a caller does to a repository or a registry. The names are those of ACR's permission model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Pull manifests and blobs, list tags and referrers by the distribution API.
    Pull,
    /// Push manifests and blobs.
    Push,
    /// Delete manifests, blobs, tags and repositories.
    Delete,
    /// Read a repository's metadata.
    MetadataRead,
    /// Change a repository's metadata, locks among it.
    MetadataWrite,
    /// List a registry's repositories.
    Catalog,
}

impl Action {
    /// The actions that apply to a repository.
    pub const OF_REPOSITORY: [Self; 5] =
        [Self::Pull, Self::Push, Self::Delete, Self::MetadataRead, Self::MetadataWrite];

    /// The word that stands for the action in a token's scope.
    pub fn scope_word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::MetadataRead => "metadata_read",
            Self::MetadataWrite => "metadata_write",
            Self::Catalog => "*",
        }
    }

    fn of_repository(word: &str) -> Option<Self> {
        Self::OF_REPOSITORY.into_iter().find(|action| action.scope_word() == word)
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u8);

impl Actions {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    pub fn contains(self, action: Action) -> bool {
        self.0 & 1 << action as u8 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What a scope is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceScope {
    /// `registry:catalog:*`
    Catalog,
    /// `repository:<name>:<actions>`
    Repository(RepositoryName),
}

/// One scope of a token request: `repository:team/app:pull,push` or `registry:catalog:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub resource: ResourceScope,
    pub actions: Actions,
}

/// A scope that the registry does not know. Unknown scopes are left out of a token, as the Docker token
/// specification asks for; they do not fail the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is repository:<name>:<actions> or registry:catalog:*")]
pub struct ScopeError;

impl Scope {
    /// The scope of `action` on `repository`.
    pub fn repository(repository: RepositoryName, action: Action) -> Self {
        Self { resource: ResourceScope::Repository(repository), actions: Actions::NONE.with(action) }
    }

    /// The scope of listing repositories.
    pub fn catalog() -> Self {
        Self { resource: ResourceScope::Catalog, actions: Actions::NONE.with(Action::Catalog) }
    }

    /// Reads the scopes of a token request: any number of parameters, each of which may hold several, separated
    /// by spaces. Unknown ones are left out, and so is what is over the limit.
    pub fn parse_all<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        parameters
            .into_iter()
            .flat_map(|parameter| parameter.split(' '))
            .filter_map(|scope| scope.parse().ok())
            .take(limits::TOKEN_SCOPES_MAX)
            .collect()
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (kind, rest) = text.split_once(':').ok_or(ScopeError)?;
        let (name, words) = rest.rsplit_once(':').ok_or(ScopeError)?;
        match kind {
            "registry" if name == "catalog" && words.split(',').any(|word| word == "*") => Ok(Self::catalog()),
            "repository" | "repository(plugin)" => {
                let actions = words
                    .split(',')
                    .flat_map(|word| match word {
                        "*" => Action::OF_REPOSITORY.to_vec(),
                        word => Action::of_repository(word).into_iter().collect(),
                    })
                    .collect();
                Ok(Self { resource: ResourceScope::Repository(name.parse().map_err(|_| ScopeError)?), actions })
            }
            _ => Err(ScopeError),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            ResourceScope::Catalog => f.write_str("registry:catalog:*"),
            ResourceScope::Repository(name) => {
                write!(f, "repository:{name}:")?;
                let words = Action::OF_REPOSITORY.into_iter().filter(|a| self.actions.contains(*a));
                for (position, action) in words.enumerate() {
                    if position > 0 {
                        f.write_str(",")?;
                    }
                    f.write_str(action.scope_word())?;
                }
                Ok(())
            }
        }
    }
}

/// One entry of an access token's `access` claim (ACR's and Docker's form).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntry {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub actions: Vec<String>,
}

impl From<&Scope> for AccessEntry {
    fn from(scope: &Scope) -> Self {
        match &scope.resource {
            ResourceScope::Catalog => {
                Self { kind: "registry".to_owned(), name: "catalog".to_owned(), actions: vec!["*".to_owned()] }
            }
            ResourceScope::Repository(name) => Self {
                kind: "repository".to_owned(),
                name: name.to_string(),
                actions: Action::OF_REPOSITORY
                    .into_iter()
                    .filter(|action| scope.actions.contains(*action))
                    .map(|action| action.scope_word().to_owned())
                    .collect(),
            },
        }
    }
}

impl TryFrom<&AccessEntry> for Scope {
    type Error = ScopeError;

    fn try_from(entry: &AccessEntry) -> Result<Self, ScopeError> {
        format!("{}:{}:{}", entry.kind, entry.name, entry.actions.join(",")).parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_written() {
        for scope in ["repository:team/app:pull", "repository:a:pull,push,delete", "registry:catalog:*"] {
            assert_eq!(scope.parse::<Scope>().expect(scope).to_string(), scope);
        }
        let all: Scope = "repository:a:*".parse().expect("a star is every action");
        assert!(Action::OF_REPOSITORY.into_iter().all(|action| all.actions.contains(action)));
    }

    #[test]
    fn unknown_scopes_are_left_out() {
        let scopes = Scope::parse_all(["repository:a:pull registry:everything:*", "nonsense", "repository:B:pull", ""]);
        assert_eq!(scopes, [Scope::repository("a".parse().expect("valid"), Action::Pull)]);
        let unknown_word: Scope = "repository:a:fly".parse().expect("the resource is known");
        assert!(unknown_word.actions.is_empty());
    }

    #[test]
    fn an_access_entry_and_its_scope_say_the_same() {
        for text in ["repository:team/app:pull,push", "registry:catalog:*"] {
            let scope: Scope = text.parse().expect(text);
            assert_eq!(Scope::try_from(&AccessEntry::from(&scope)), Ok(scope));
        }
    }
}
