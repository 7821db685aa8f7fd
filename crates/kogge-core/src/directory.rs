//! What an installation is made of, for those who work on its own machine: its subscription, its registries, its users
//! and their roles. The management API does the same by way of resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_meta::{
    Author, Change, Commit, NewResource, PrincipalKind, PrincipalRecord, Registry, Snapshot, Tx, resource_path,
};
use kogge_types::{Code, Entropy, RegistryId, RegistryName, RepositoryPattern, ResourceId, clock, limits};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::auth::policy::rules::property;
use crate::auth::role::RoleDefinition;
use crate::auth::subject::PrincipalId;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::kind;

/// The setting that holds the one subscription's id.
pub const SUBSCRIPTION: &str = "subscription";
/// The setting that holds the directory's id.
pub const TENANT: &str = "tenant";
/// The resource group that every installation has.
pub const DEFAULT_GROUP: &str = "default";

/// Whoever works on the installation's own machine.
pub fn operator() -> Author {
    Author { name: "operator".to_owned(), kind: "Application".to_owned() }
}

/// A role for a user: on one registry or all, on the repositories that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: &'static RoleDefinition,
    pub registry: Option<RegistryId>,
    pub repositories: RepositoryPattern,
}

/// The ids under which everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub subscription: String,
    pub tenant: String,
}

impl Deployment {
    pub(crate) fn read(snapshot: &Snapshot<'_>) -> Result<Self> {
        let setting = |name| -> Result<String> {
            let value = snapshot.setting(name)?.and_then(|value| String::from_utf8(value).ok());
            value.ok_or_else(|| Error::new(Code::Internal, "the installation has no identity"))
        };
        Ok(Self { subscription: setting(SUBSCRIPTION)?, tenant: setting(TENANT)? })
    }

    /// The subscription's path.
    pub fn path(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }

    /// The path of the resource group that every installation has, in lower case.
    pub fn default_group(&self) -> String {
        resource_path(kind::RESOURCE_GROUP, &self.path(), DEFAULT_GROUP)
    }
}

/// Makes a registry in the default resource group, or sets whether anybody may pull from the one of that name.
pub(crate) fn put_registry(
    tx: &mut Tx<'_>,
    id: RegistryId,
    name: &RegistryName,
    anonymous_pull: bool,
) -> Result<Commit<Registry>> {
    let parent = Deployment::read(tx)?.default_group();
    let (registry, made) = tx.put_registry(id, name)?;
    let present = tx.resource_by_id(&ResourceId::from_bytes(*registry.id.as_bytes()))?;
    let mut registers = present.as_ref().map(|resource| resource.registers.clone()).unwrap_or_default();
    registers.insert(property::ANONYMOUS_PULL_ENABLED.to_owned(), Value::Bool(anonymous_pull));
    let (_, put) = tx.put_resource(&NewResource {
        id: ResourceId::from_bytes(*registry.id.as_bytes()),
        kind: kind::REGISTRY,
        parent: present.as_ref().map_or(&parent, |resource| &resource.parent),
        name: name.as_str(),
        location: present.as_ref().and_then(|resource| resource.location.as_deref()),
        by: &operator(),
        registers: &registers,
    })?;
    Ok(Commit::new(registry, vec![made, put]))
}

/// Gives `principal` a role on the resource at `scope`, a path in lower case.
pub(crate) fn assign(
    tx: &mut Tx<'_>,
    entropy: &dyn Entropy,
    principal: &[u8; 16],
    principal_kind: PrincipalKind,
    role: &RoleDefinition,
    scope: &str,
    repositories: &RepositoryPattern,
) -> Result<Change> {
    let id = ResourceId::from_bytes(clock::random(entropy));
    let subscription = Deployment::read(tx)?.path();
    let role_id = format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id);
    let mut registers = BTreeMap::from([
        ("properties.roleDefinitionId".to_owned(), json!(role_id)),
        ("properties.principalId".to_owned(), json!(ResourceId::from_bytes(*principal).to_string())),
        ("properties.principalType".to_owned(), json!(principal_kind.as_str())),
    ]);
    if let Some(condition) = condition_of(repositories) {
        registers.insert("properties.condition".to_owned(), json!(condition));
        registers.insert("properties.conditionVersion".to_owned(), json!("2.0"));
    }
    let name = id.to_string();
    let (_, change) = tx.put_resource(&NewResource {
        id,
        kind: kind::ROLE_ASSIGNMENT,
        parent: scope,
        name: &name,
        location: None,
        by: &operator(),
        registers: &registers,
    })?;
    Ok(change)
}

/// The condition that holds a role to the repositories that `pattern` names; `None` for all.
pub fn condition_of(pattern: &RepositoryPattern) -> Option<String> {
    const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
    match pattern {
        RepositoryPattern::All => None,
        RepositoryPattern::Prefix(prefix) => Some(format!("{NAME} StringStartsWithIgnoreCase '{prefix}'")),
        RepositoryPattern::Exact(name) => Some(format!("{NAME} StringEqualsIgnoreCase '{name}'")),
    }
}

/// Takes every role of `principal` away.
pub(crate) fn unassign(tx: &mut Tx<'_>, principal: &[u8; 16]) -> Result<Vec<Change>> {
    let holder = ResourceId::from_bytes(*principal).to_string();
    let mut changes = Vec::new();
    for assignment in tx.every_resource(kind::ROLE_ASSIGNMENT)? {
        let held_by = assignment.registers.get("properties.principalId").and_then(Value::as_str);
        if held_by.is_some_and(|held_by| held_by.eq_ignore_ascii_case(&holder)) {
            changes.extend(tx.delete_resource(kind::ROLE_ASSIGNMENT, &assignment.parent, &assignment.name)?);
        }
    }
    Ok(changes)
}

impl Core {
    /// Who `caller` is, for what it writes (ARM's `systemData`).
    pub fn author(&self, caller: &Caller) -> Author {
        let kind = match caller.subject().id {
            PrincipalId::Directory(id) => match self.policy.load().member(&id).map(|member| member.kind) {
                Some(PrincipalKind::ServicePrincipal) => "Application",
                Some(PrincipalKind::ManagedIdentity) => "ManagedIdentity",
                Some(PrincipalKind::User | PrincipalKind::Group) | None => "User",
            },
            PrincipalId::Outside(_) | PrincipalId::Anonymous => "User",
            PrincipalId::Token(_) | PrincipalId::AdminUser(_) => "Key",
        };
        Author { name: caller.name().to_owned(), kind: kind.to_owned() }
    }

    /// A new random identity.
    pub fn random_id(&self) -> ResourceId {
        ResourceId::from_bytes(clock::random(self.entropy.as_ref()))
    }

    /// The ids under which everything lies.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Makes a registry in the default resource group, or sets whether anybody may pull from the one of that name.
    pub async fn put_registry(&self, name: &RegistryName, anonymous_pull: bool) -> Result<Arc<Registry>> {
        let id = RegistryId::from_bytes(clock::random(self.entropy.as_ref()));
        let owned = name.clone();
        self.write_policy(move |tx| put_registry(tx, id, &owned, anonymous_pull)).await?;
        self.registry(name).ok_or_else(|| Error::new(Code::Internal, "the registry was not made"))
    }

    /// Makes a user with a password and roles, or gives the one of that name new ones; its tokens are void then.
    pub async fn put_user(&self, name: &str, password: &str, grants: &[Grant]) -> Result<()> {
        if !is_user_name(name) {
            return Err(Error::new(
                Code::NameInvalid,
                "a user name is at most 64 letters, digits, '-', '_', '.' and '@'",
            ));
        }
        let secret = self.hash_password(password).await?;
        let scoped: Vec<(Grant, String)> = grants
            .iter()
            .map(|grant| {
                let path = grant.registry.map(|id| self.policy.load().rules(id).map(|rules| rules.path.clone()));
                let path = path.unwrap_or_else(|| Some("/".to_owned()));
                let path = path.ok_or_else(|| Error::new(Code::NameUnknown, "there is no such registry"))?;
                Ok((grant.clone(), path))
            })
            .collect::<Result<_>>()?;
        let (name, entropy) = (name.to_owned(), Arc::clone(&self.entropy));
        self.write_policy(move |tx| {
            let present = tx.principals()?.into_iter().find(|principal| principal.name == name);
            if present.as_ref().is_some_and(|present| present.kind != PrincipalKind::User) {
                return Err(Error::new(Code::NameInvalid, format!("{name} is no user, but another principal")));
            }
            let id = present.map_or_else(|| clock::random(entropy.as_ref()), |principal| principal.id);
            let record = PrincipalRecord {
                id,
                kind: PrincipalKind::User,
                name: &name,
                app_id: None,
                secret: &secret,
                enabled: true,
            };
            let mut changes = vec![tx.put_principal(&record)?];
            changes.extend(unassign(tx, &id)?);
            for (grant, scope) in &scoped {
                let kind = PrincipalKind::User;
                changes.push(assign(tx, entropy.as_ref(), &id, kind, grant.role, scope, &grant.repositories)?);
            }
            Ok(Commit::new((), changes))
        })
        .await
    }

    /// Removes a user with its roles; its tokens are void at once. False when there is none of that name.
    pub async fn delete_user(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write_policy(move |tx| {
            let Some(principal) = tx.principals()?.into_iter().find(|principal| principal.name == name) else {
                return Ok(Commit::quiet(false));
            };
            let mut changes = unassign(tx, &principal.id)?;
            changes.extend(tx.delete_principal(&name)?);
            Ok(Commit::new(true, changes))
        })
        .await
    }
}

/// Whether `name` can be a user's: it is logged, quoted and typed. A UUID is an application's name.
pub(crate) fn is_user_name(name: &str) -> bool {
    !name.is_empty()
        && name.parse::<ResourceId>().is_err()
        && name.len() <= limits::USER_NAME_CHARS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
}
