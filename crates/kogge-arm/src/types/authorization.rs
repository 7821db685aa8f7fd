//! What role definitions and role assignments have in common: scopes as paths, and roles by their ids.

use kogge_core::auth::role;
use kogge_core::kind;
use kogge_meta::{Resource, Snapshot};
use kogge_types::ResourceId;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::error::Result;

/// A role, as far as an assignment asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) id: ResourceId,
    /// Paths in lower case, within which it can be assigned.
    assignable: Vec<String>,
}

impl Role {
    pub(super) fn can_be_assigned_at(&self, scope: &str) -> bool {
        self.assignable.iter().any(|assignable| covers(assignable, scope))
    }
}

/// The path of the role of this id, in the one form in which answers write it.
pub(super) fn role_path(deployment: &Deployment, id: &ResourceId) -> String {
    format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", deployment.subscription_path())
}

/// The id of a role from its path, whatever scope that begins with.
pub(super) fn role_id(path: &str) -> Option<ResourceId> {
    let path = path.to_ascii_lowercase();
    let (scope, name) = path.rsplit_once("/providers/microsoft.authorization/roledefinitions/")?;
    (scope.is_empty() || scope.starts_with('/')).then(|| name.parse().ok())?
}

/// The role at `path`, built in or the deployment's own.
pub(super) fn find_role(snapshot: &Snapshot<'_>, deployment: &Deployment, path: &str) -> Result<Option<Role>> {
    let Some(id) = role_id(path) else { return Ok(None) };
    if let Some(role) = role::built_in_by_id(&id) {
        return Ok(Some(Role { id, assignable: role.assignable_scopes.clone() }));
    }
    let parent = deployment.subscription_path().to_lowercase();
    let found = snapshot.resource(kind::ROLE_DEFINITION, &parent, &id.to_string())?;
    Ok(found.map(|found| Role { id, assignable: assignable_scopes(&found) }))
}

/// The scopes, in lower case, within which a role of the deployment's own can be assigned.
pub(super) fn assignable_scopes(role: &Resource) -> Vec<String> {
    let scopes = role.registers.get("properties.assignableScopes").and_then(Value::as_array);
    scopes.into_iter().flatten().filter_map(|scope| Some(scope.as_str()?.to_lowercase())).collect()
}

/// Whether `path` is `scope` or lies beneath it; both in lower case.
pub(super) fn covers(scope: &str, path: &str) -> bool {
    scope == "/" || path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The scopes above `scope`, a path in lower case, the widest first.
pub(super) fn above(scope: &str) -> Vec<String> {
    let mut scopes = Vec::new();
    if scope != "/" {
        scopes.push("/".to_owned());
    }
    let segments: Vec<&str> = scope.split('/').skip(1).collect();
    // A subscription, a resource group, a resource, and then one more pair of segments for each resource in a resource.
    for length in (2..segments.len()).step_by(2).filter(|length| *length != 6) {
        scopes.push(format!("/{}", segments[..length].join("/")));
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_lies_beneath_those_above_it() {
        let registry = "/subscriptions/s/resourcegroups/g/providers/microsoft.containerregistry/registries/r";
        let check = |scope: &str, expected: &[&str]| assert_eq!(above(scope), expected, "{scope}");
        check("/", &[]);
        check("/subscriptions/s", &["/"]);
        check("/subscriptions/s/resourcegroups/g", &["/", "/subscriptions/s"]);
        check(registry, &["/", "/subscriptions/s", "/subscriptions/s/resourcegroups/g"]);
        let token = format!("{registry}/tokens/t");
        check(&token, &["/", "/subscriptions/s", "/subscriptions/s/resourcegroups/g", registry]);
        for scope in above(&token) {
            assert!(covers(&scope, &token) && !covers(&token, &scope), "{scope}");
        }
        assert!(!covers("/subscriptions/s", "/subscriptions/s2"));
    }

    #[test]
    fn a_role_is_named_by_its_id_at_any_scope() {
        let id = role::OWNER;
        for scope in ["", "/subscriptions/s", "/subscriptions/s/resourceGroups/g"] {
            let path = format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{id}");
            assert_eq!(role_id(&path), Some(id), "{path}");
            assert_eq!(role_id(&path.to_uppercase()), Some(id), "{path}");
        }
        for bad in ["", "Owner", "/providers/Microsoft.Authorization/roleDefinitions/Owner", &id.to_string()] {
            assert_eq!(role_id(bad), None, "{bad}");
        }
    }
}
