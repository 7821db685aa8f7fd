//! Scope maps: what a repository-scoped token may do (ACR: "Create a token with repository-scoped permissions").

use kogge_types::{Action, RepositoryName, RepositoryPattern, limits};

/// A scope map that every registry has.
#[derive(Debug, Clone, Copy)]
pub struct SystemScopeMap {
    pub name: &'static str,
    pub description: &'static str,
    pub actions: &'static [&'static str],
}

/// The scope maps that every registry has and nobody changes.
pub const SYSTEM: [SystemScopeMap; 5] = [
    SystemScopeMap {
        name: "_repositories_admin",
        description: "Can perform all read, write and delete operations on the registry",
        actions: &[
            "repositories/*/metadata/read",
            "repositories/*/metadata/write",
            "repositories/*/content/read",
            "repositories/*/content/write",
            "repositories/*/content/delete",
        ],
    },
    SystemScopeMap {
        name: "_repositories_pull",
        description: "Can pull any repository of the registry",
        actions: &["repositories/*/content/read"],
    },
    SystemScopeMap {
        name: "_repositories_pull_metadata_read",
        description: "Can perform all read operations on the registry",
        actions: &["repositories/*/content/read", "repositories/*/metadata/read"],
    },
    SystemScopeMap {
        name: "_repositories_push",
        description: "Can push to any repository of the registry",
        actions: &["repositories/*/content/read", "repositories/*/content/write"],
    },
    SystemScopeMap {
        name: "_repositories_push_metadata_write",
        description: "Can perform all read and write operations on the registry",
        actions: &[
            "repositories/*/metadata/read",
            "repositories/*/metadata/write",
            "repositories/*/content/read",
            "repositories/*/content/write",
        ],
    },
];

/// What is wrong with an action of a scope map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeMapError {
    #[error(
        "'{0}' is not an action: it is repositories/<name>/<right>, where the name may end in '/*' or be '*', and the \
         right is content/read, content/write, content/delete, metadata/read or metadata/write"
    )]
    Action(String),
    #[error("'{0}' is for connected registries, which are not supported yet")]
    Gateway(String),
    #[error(
        "a scope map has at most {} actions on at most {} repositories",
        limits::SCOPE_MAP_ACTIONS_MAX,
        limits::SCOPE_MAP_REPOSITORIES_MAX
    )]
    TooMany,
}

/// The parsed actions of a scope map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeMap(Vec<(RepositoryPattern, Action)>);

impl ScopeMap {
    /// Reads the actions as the management API writes them.
    ///
    /// # Errors
    /// The first action that is not one, or too many of them.
    pub fn parse<'a>(actions: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeMapError> {
        let mut rights = Vec::new();
        for action in actions {
            if rights.len() == limits::SCOPE_MAP_ACTIONS_MAX {
                return Err(ScopeMapError::TooMany);
            }
            rights.push(parse_action(action)?);
        }
        let mut repositories: Vec<&RepositoryPattern> = rights.iter().map(|(pattern, _)| pattern).collect();
        repositories.sort_unstable();
        repositories.dedup();
        if repositories.len() > limits::SCOPE_MAP_REPOSITORIES_MAX {
            return Err(ScopeMapError::TooMany);
        }
        Ok(Self(rights))
    }

    pub fn allows(&self, action: Action, repository: &RepositoryName) -> bool {
        self.0.iter().any(|(pattern, right)| *right == action && pattern.matches(repository))
    }
}

fn parse_action(text: &str) -> Result<(RepositoryPattern, Action), ScopeMapError> {
    let unknown = || ScopeMapError::Action(text.chars().take(limits::QUOTED_CHARS_MAX).collect());
    if text.starts_with("gateway/") {
        return Err(ScopeMapError::Gateway(text.chars().take(limits::QUOTED_CHARS_MAX).collect()));
    }
    let rest = text.strip_prefix("repositories/").ok_or_else(unknown)?;
    let rights = [
        ("/content/read", Action::Pull),
        ("/content/write", Action::Push),
        ("/content/delete", Action::Delete),
        ("/metadata/read", Action::MetadataRead),
        ("/metadata/write", Action::MetadataWrite),
    ];
    let found = rights.iter().find_map(|(suffix, action)| Some((rest.strip_suffix(suffix)?, *action)));
    let (name, action) = found.ok_or_else(unknown)?;
    Ok((name.parse().map_err(|_| unknown())?, action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_is_its_own() {
        // (action of the map, repository, what is allowed of pull, push, delete, metadata read, metadata write)
        let table = [
            ("repositories/app/content/read", "app", "p"),
            ("repositories/app/content/write", "app", "u"),
            ("repositories/app/content/delete", "app", "d"),
            ("repositories/app/metadata/read", "app", "r"),
            ("repositories/app/metadata/write", "app", "w"),
            ("repositories/app/content/read", "app/sub", ""),
            ("repositories/team/*/content/read", "team/app", "p"),
            ("repositories/team/*/content/read", "team/a/b", "p"),
            ("repositories/team/*/content/read", "team", ""),
            ("repositories/team/*/content/read", "teams/app", ""),
            ("repositories/*/metadata/write", "anything/at/all", "w"),
            ("repositories/content/read/content/read", "content/read", "p"),
        ];
        for (action, repository, expected) in table {
            let map = ScopeMap::parse([action]).expect(action);
            let repository: RepositoryName = repository.parse().expect("valid");
            let letters = Action::OF_REPOSITORY.into_iter().zip("pudrw".chars());
            let allowed: String =
                letters.filter(|(action, _)| map.allows(*action, &repository)).map(|(_, letter)| letter).collect();
            assert_eq!(allowed, expected, "{action} on {repository}");
        }
    }

    #[test]
    fn what_is_no_action_is_named() {
        for text in [
            "",
            "repositories/app",
            "repositories//content/read",
            "repositories/App/content/read",
            "repositories/a*/content/read",
            "repositories/*/app/content/read",
            "repositories/app/content/execute",
            "registries/app/content/read",
        ] {
            assert_eq!(ScopeMap::parse([text]), Err(ScopeMapError::Action(text.to_owned())));
        }
        let gateway = "gateway/edge/config/read";
        assert_eq!(ScopeMap::parse([gateway]), Err(ScopeMapError::Gateway(gateway.to_owned())));
    }

    #[test]
    fn actions_and_repositories_are_counted() {
        let many = |count: usize, action: fn(usize) -> String| {
            let actions: Vec<String> = (0..count).map(action).collect();
            ScopeMap::parse(actions.iter().map(String::as_str)).map(|_| ())
        };
        let other = |number| format!("repositories/r{number}/content/read");
        assert_eq!(many(limits::SCOPE_MAP_REPOSITORIES_MAX, other), Ok(()));
        assert_eq!(many(limits::SCOPE_MAP_ACTIONS_MAX + 1, other), Err(ScopeMapError::TooMany));
    }

    #[test]
    fn the_systems_maps_are_maps() {
        for map in SYSTEM {
            assert!(ScopeMap::parse(map.actions.iter().copied()).is_ok(), "{}", map.name);
        }
    }
}
