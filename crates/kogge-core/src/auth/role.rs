//! Roles: named sets of Azure operations, the built-in ones of Azure and those that users define.

pub mod action;
mod built_in;
pub(crate) mod wildcard;

use std::fmt;
use std::str::FromStr;

use kogge_types::access::Actions;
use kogge_types::{Action, Code, ResourceId};

use crate::error::Error;

pub use action::{ActionPattern, ActionPatternError};
pub use built_in::{
    ACR_DELETE, ACR_PULL, ACR_PUSH, CONTRIBUTOR, OWNER, READER, built_in, built_in_by_id, built_in_by_name,
};

/// What roles give on a registry's data plane (the registry's property `roleAssignmentMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RoleMode {
    /// Roles are held on whole registries; their control-plane actions count.
    #[default]
    LegacyRegistryPermissions,
    /// Roles may be held on some repositories by a condition; only their data actions count, so that neither AcrPull
    /// nor Owner gives anything on the data plane.
    AbacRepositoryPermissions,
}

/// A text that is not a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role assignment mode is LegacyRegistryPermissions or AbacRepositoryPermissions")]
pub struct RoleModeError;

impl RoleMode {
    pub const ALL: [Self; 2] = [Self::LegacyRegistryPermissions, Self::AbacRepositoryPermissions];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::LegacyRegistryPermissions => "LegacyRegistryPermissions",
            Self::AbacRepositoryPermissions => "AbacRepositoryPermissions",
        }
    }
}

impl fmt::Display for RoleMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RoleMode {
    type Err = RoleModeError;

    fn from_str(text: &str) -> Result<Self, RoleModeError> {
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text)).ok_or(RoleModeError)
    }
}

/// A named set of permissions (Azure: "Understand Azure role definitions").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDefinition {
    pub id: ResourceId,
    pub name: String,
    pub description: String,
    pub built_in: bool,
    pub permissions: Vec<Permission>,
    /// Where the role may be assigned: paths of scopes, `/` for everywhere.
    pub assignable_scopes: Vec<String>,
}

/// Operations that a role allows. What `not_actions` name is only left out of `actions`: another permission or role
/// may allow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permission {
    /// On the control plane.
    pub actions: Vec<ActionPattern>,
    pub not_actions: Vec<ActionPattern>,
    /// On the data plane.
    pub data_actions: Vec<ActionPattern>,
    pub not_data_actions: Vec<ActionPattern>,
}

impl RoleDefinition {
    /// Whether the role allows the control-plane operation `action`.
    pub fn allows_management(&self, action: &str) -> bool {
        self.permissions
            .iter()
            .any(|permission| any_matches(&permission.actions, action) && !any_matches(&permission.not_actions, action))
    }

    /// Whether the role allows the data-plane operation `action`.
    pub fn allows_data(&self, action: &str) -> bool {
        self.permissions.iter().any(|permission| {
            any_matches(&permission.data_actions, action) && !any_matches(&permission.not_data_actions, action)
        })
    }

    /// What the role gives in the repositories of a registry of `mode`, and on its catalog.
    pub fn data_plane(&self, mode: RoleMode) -> Actions {
        let allows = |operation: &&str| match mode {
            RoleMode::LegacyRegistryPermissions => self.allows_management(operation),
            RoleMode::AbacRepositoryPermissions => self.allows_data(operation),
        };
        Action::OF_REPOSITORY
            .into_iter()
            .chain([Action::Catalog])
            .filter(|action| operations_of(*action, mode).iter().any(allows))
            .collect()
    }
}

/// The refusal of a role that there is not.
pub fn unknown(name: &str) -> Error {
    let message = format!("there is no role {name}; the usual ones are Owner, Reader, AcrPull, AcrPush and AcrDelete");
    Error::new(Code::NameInvalid, message)
}

/// The operation that stands for `action` where operations have names: in conditions and logs.
pub fn action_of(action: Action, mode: RoleMode) -> &'static str {
    operations_of(action, mode)[0]
}

/// The operations of which each allows `action` (ACR: "Azure Container Registry permissions and role assignments
/// overview", and the directory of its built-in roles).
fn operations_of(action: Action, mode: RoleMode) -> &'static [&'static str] {
    const PULL: &str = "Microsoft.ContainerRegistry/registries/pull/read";
    match (mode, action) {
        // Who may pull may list: there is no operation for the catalog in this mode.
        (RoleMode::LegacyRegistryPermissions, Action::Pull | Action::Catalog) => &[PULL],
        (RoleMode::LegacyRegistryPermissions, Action::Push) => &["Microsoft.ContainerRegistry/registries/push/write"],
        (RoleMode::LegacyRegistryPermissions, Action::Delete) => {
            &["Microsoft.ContainerRegistry/registries/artifacts/delete"]
        }
        (RoleMode::LegacyRegistryPermissions, Action::MetadataRead) => {
            &["Microsoft.ContainerRegistry/registries/metadata/read", PULL]
        }
        (RoleMode::LegacyRegistryPermissions, Action::MetadataWrite) => {
            &["Microsoft.ContainerRegistry/registries/metadata/write"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::Pull) => {
            &["Microsoft.ContainerRegistry/registries/repositories/content/read"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::Push) => {
            &["Microsoft.ContainerRegistry/registries/repositories/content/write"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::Delete) => {
            &["Microsoft.ContainerRegistry/registries/repositories/content/delete"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::MetadataRead) => {
            &["Microsoft.ContainerRegistry/registries/repositories/metadata/read"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::MetadataWrite) => {
            &["Microsoft.ContainerRegistry/registries/repositories/metadata/write"]
        }
        (RoleMode::AbacRepositoryPermissions, Action::Catalog) => {
            &["Microsoft.ContainerRegistry/registries/catalog/read"]
        }
    }
}

fn any_matches(patterns: &[ActionPattern], action: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(action))
}

#[cfg(test)]
mod tests;
