//! What users, groups and service principals have in common: finding them, telling of them, giving them roles.

use std::sync::Arc;

use kogge_meta::{Change, Commit, Principal, PrincipalKind, PrincipalRecord, Snapshot, Tx};
use kogge_types::{Code, RegistryName, RepositoryPattern, ResourceId, clock};
use serde::{Deserialize, Serialize, Serializer};

use crate::auth::role::{self, RoleDefinition};
use crate::core::Core;
use crate::directory;
use crate::error::{Error, Result};
use crate::identity::token::uuid;

/// A principal, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrincipalStory {
    pub object_id: ResourceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<ResourceId>,
    pub kind: &'static str,
    pub display_name: String,
    pub enabled: bool,
    /// Who is in a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<ResourceId>,
}

/// A role to be assigned, as an operator names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// A role's name or id.
    pub role: String,
    /// A registry's name, a path, or `/` for everything.
    pub scope: String,
}

impl From<&Principal> for PrincipalStory {
    fn from(principal: &Principal) -> Self {
        Self {
            object_id: ResourceId::from_bytes(principal.id),
            app_id: principal.app_id.map(ResourceId::from_bytes),
            kind: principal.kind.as_str(),
            display_name: principal.name.clone(),
            enabled: principal.enabled,
            members: principal.members.iter().copied().map(ResourceId::from_bytes).collect(),
        }
    }
}

/// Writes a time as people read it (RFC 3339).
pub(crate) fn moment<S: Serializer>(at_us: &i64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&jiff::Timestamp::from_microsecond(*at_us).unwrap_or_default())
}

/// As [`moment`], where there may be none.
pub(crate) fn moment_if<S: Serializer>(at_us: &Option<i64>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match at_us {
        Some(at_us) => moment(at_us, serializer),
        None => serializer.serialize_none(),
    }
}

/// The principal that `name` stands for: a name, an object id or an application id.
pub(crate) fn find(snapshot: &Snapshot<'_>, name: &str, kinds: &[PrincipalKind]) -> Result<Principal> {
    let id = name.parse::<ResourceId>().ok().map(|id| *id.as_bytes());
    let is_meant = |principal: &Principal| {
        principal.name == name || id.is_some_and(|id| principal.id == id || principal.app_id == Some(id))
    };
    let found =
        snapshot.principals()?.into_iter().find(|principal| kinds.contains(&principal.kind) && is_meant(principal));
    found.ok_or_else(|| Error::new(Code::NotFound, format!("there is no {} {name}", title(kinds))))
}

fn title(kinds: &[PrincipalKind]) -> &'static str {
    match kinds {
        [PrincipalKind::User] => "user",
        [PrincipalKind::Group] => "group",
        [PrincipalKind::ServicePrincipal] => "service principal",
        [PrincipalKind::ManagedIdentity] => "managed identity",
        _ => "principal",
    }
}

/// Makes a principal of a new name.
pub(crate) fn create(tx: &mut Tx<'_>, record: &PrincipalRecord<'_>) -> Result<Change> {
    if tx.principals()?.iter().any(|principal| principal.name == record.name) {
        return Err(Error::new(Code::NameInvalid, format!("there is a principal {} already", record.name)));
    }
    Ok(tx.put_principal(record)?)
}

/// The record that `principal` has now.
pub(crate) fn record(principal: &Principal) -> PrincipalRecord<'_> {
    PrincipalRecord {
        id: principal.id,
        kind: principal.kind,
        name: &principal.name,
        app_id: principal.app_id,
        secret: &principal.secret,
        enabled: principal.enabled,
    }
}

impl Core {
    /// A fresh UUID.
    pub(crate) fn new_id(&self) -> [u8; 16] {
        uuid(clock::random(self.entropy.as_ref()), 4)
    }

    /// The roles that `assigned` names, each with the path of its scope in lower case.
    pub(crate) fn roles_named(&self, assigned: &[Assigned]) -> Result<Vec<(Arc<RoleDefinition>, String)>> {
        assigned.iter().map(|one| Ok((self.role_named(&one.role)?, self.scope_named(&one.scope)?))).collect()
    }

    fn role_named(&self, name: &str) -> Result<Arc<RoleDefinition>> {
        let id = role::built_in_by_name(name).map(|role| role.id).or_else(|| name.parse().ok());
        let role = id.and_then(|id| self.policy.load().role(&id).cloned());
        role.ok_or_else(|| role::unknown(name))
    }

    fn scope_named(&self, scope: &str) -> Result<String> {
        let path = scope.to_ascii_lowercase();
        let subscription = self.deployment().path();
        let beneath = path.strip_prefix(&subscription).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if path == "/" || (beneath && !path.ends_with('/')) {
            return Ok(path);
        }
        let rules = path.parse::<RegistryName>().ok().and_then(|name| self.registry_rules(&name));
        rules.map(|rules| rules.path.clone()).ok_or_else(|| {
            Error::new(Code::NameInvalid, format!("{scope} is no scope: write /, {subscription}… or a registry"))
        })
    }

    /// Makes a principal with roles.
    pub(crate) async fn create_principal(
        &self,
        principal: Principal,
        assigned: &[Assigned],
        credentials: Vec<kogge_meta::Credential>,
    ) -> Result<()> {
        let (roles, entropy) = (self.roles_named(assigned)?, Arc::clone(&self.entropy));
        self.write_policy(move |tx| {
            let mut changes = vec![create(tx, &record(&principal))?];
            for credential in &credentials {
                changes.push(tx.put_credential(credential)?);
            }
            for (role, scope) in &roles {
                let (id, kind, all) = (&principal.id, principal.kind, &RepositoryPattern::All);
                changes.push(directory::assign(tx, entropy.as_ref(), id, kind, role, scope, all)?);
            }
            Ok(Commit::new((), changes))
        })
        .await
    }

    /// Gives a principal another role.
    pub async fn assign_role(&self, name: &str, assigned: &Assigned) -> Result<()> {
        let (roles, entropy) = (self.roles_named(std::slice::from_ref(assigned))?, Arc::clone(&self.entropy));
        let name = name.to_owned();
        self.write_policy(move |tx| {
            let principal = find(tx, &name, &ALL)?;
            let mut changes = Vec::new();
            for (role, scope) in &roles {
                let all = &RepositoryPattern::All;
                let (id, kind) = (&principal.id, principal.kind);
                changes.push(directory::assign(tx, entropy.as_ref(), id, kind, role, scope, all)?);
            }
            Ok(Commit::new((), changes))
        })
        .await
    }

    /// Every principal of these kinds, by name.
    pub async fn principals(&self, kinds: &'static [PrincipalKind]) -> Result<Vec<PrincipalStory>> {
        self.read_metadata(move |snapshot| {
            let found = snapshot.principals()?;
            Ok(found.iter().filter(|principal| kinds.contains(&principal.kind)).map(PrincipalStory::from).collect())
        })
        .await
    }

    /// Removes a principal with its roles, credentials and logins; its tokens are void at once.
    pub async fn delete_principal(&self, name: &str, kind: PrincipalKind) -> Result<()> {
        let name = name.to_owned();
        self.write_policy(move |tx| {
            let principal = find(tx, &name, &[kind])?;
            let mut changes = directory::unassign(tx, &principal.id)?;
            changes.extend(tx.delete_principal(&principal.name)?);
            Ok(Commit::new((), changes))
        })
        .await
    }

    /// Lets a principal log in, or forbids it; its tokens are void at once.
    pub async fn enable_principal(&self, name: &str, kind: PrincipalKind, enabled: bool) -> Result<()> {
        let name = name.to_owned();
        self.write_policy(move |tx| {
            let principal = find(tx, &name, &[kind])?;
            let change = tx.put_principal(&PrincipalRecord { enabled, ..record(&principal) })?;
            if !enabled {
                tx.delete_grants_of(&principal.id)?;
            }
            Ok(Commit::new((), vec![change]))
        })
        .await
    }
}

/// Every kind of principal.
pub(crate) const ALL: [PrincipalKind; 4] =
    [PrincipalKind::User, PrincipalKind::Group, PrincipalKind::ServicePrincipal, PrincipalKind::ManagedIdentity];
