//! Local verbs of the directory: users, groups, service principals, managed identities and signing keys.

use std::time::Duration;

use kogge_core::identity::federation::Federation;
use kogge_core::identity::principal::Assigned;
use kogge_core::identity::{Desk, NewCredential};
use kogge_core::{Core, Error};
use kogge_meta::PrincipalKind;
use kogge_types::{Code, ResourceId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A verb of the directory. A name may also be an object id or an application id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "identity-verb", rename_all = "kebab-case")]
pub(crate) enum IdentityCall {
    CreateUser { name: String, password: String, roles: Vec<Assigned> },
    SetPassword { name: String, password: String },
    CreateGroup { name: String, roles: Vec<Assigned> },
    SetGroupMember { group: String, member: String, present: bool },
    CreateServicePrincipal { name: String, credential: Offered, roles: Vec<Assigned> },
    ShowServicePrincipal { name: String },
    ResetServicePrincipal { name: String, credential: Offered, append: bool },
    RemoveCredential { name: String, id: ResourceId },
    Federate { name: String, rule: Federation },
    CreateManagedIdentity { name: String, roles: Vec<Assigned> },
    ManagedIdentityToken { name: String },
    List { kind: Kind },
    Delete { kind: Kind, name: String },
    Enable { kind: Kind, name: String, enabled: bool },
    AssignRole { name: String, role: Assigned },
    RotateKeys,
    ListKeys,
}

/// The kinds of principal, as verbs name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    User,
    Group,
    ServicePrincipal,
    ManagedIdentity,
}

impl Kind {
    fn one(self) -> &'static [PrincipalKind] {
        match self {
            Self::User => &[PrincipalKind::User],
            Self::Group => &[PrincipalKind::Group],
            Self::ServicePrincipal => &[PrincipalKind::ServicePrincipal],
            Self::ManagedIdentity => &[PrincipalKind::ManagedIdentity],
        }
    }
}

/// What a service principal is to prove itself with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Offered {
    Secret {
        life: Duration,
    },
    /// A certificate in DER.
    Certificate {
        der: Vec<u8>,
    },
}

impl From<Offered> for NewCredential {
    fn from(offered: Offered) -> Self {
        match offered {
            Offered::Secret { life } => Self::Secret { name: "secret".to_owned(), life },
            Offered::Certificate { der } => Self::Certificate { name: "certificate".to_owned(), der },
        }
    }
}

fn value(content: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(content).map_err(Error::internal)
}

/// Carries a verb out.
pub(super) async fn perform(core: &Core, call: IdentityCall) -> Result<Value, Error> {
    match call {
        IdentityCall::CreateUser { name, password, roles } => {
            let id = core.create_user(&name, &password, &roles).await?;
            Ok(json!({ "user": name, "objectId": id }))
        }
        IdentityCall::SetPassword { name, password } => {
            core.set_password(&name, &password).await?;
            Ok(json!({ "user": name }))
        }
        IdentityCall::CreateGroup { name, roles } => {
            let id = core.create_group(&name, &roles).await?;
            Ok(json!({ "group": name, "objectId": id }))
        }
        IdentityCall::SetGroupMember { group, member, present } => {
            core.set_group_member(&group, &member, present).await?;
            Ok(json!({ "group": group, "member": member, "present": present }))
        }
        IdentityCall::CreateServicePrincipal { name, credential, roles } => {
            value(core.create_service_principal(&name, Some(credential.into()), &roles).await?)
        }
        IdentityCall::ShowServicePrincipal { name } => value(core.service_principal(&name).await?),
        IdentityCall::ResetServicePrincipal { name, credential, append: true } => {
            value(core.add_credential(&name, credential.into()).await?)
        }
        IdentityCall::ResetServicePrincipal { name, credential, append: false } => {
            value(core.reset_credentials(&name, credential.into()).await?)
        }
        IdentityCall::RemoveCredential { name, id } => {
            core.remove_credential(&name, id).await?;
            Ok(json!({ "deleted": id }))
        }
        IdentityCall::Federate { name, rule } => {
            let credential = NewCredential::Federation { name: "federation".to_owned(), rule };
            value(core.add_credential(&name, credential).await?)
        }
        IdentityCall::CreateManagedIdentity { name, roles } => {
            value(core.create_managed_identity(&name, &roles).await?)
        }
        IdentityCall::ManagedIdentityToken { name } => managed_identity_token(core, &name).await,
        call => manage(core, call).await,
    }
}

async fn manage(core: &Core, call: IdentityCall) -> Result<Value, Error> {
    match call {
        IdentityCall::List { kind } => value(core.principals(kind.one()).await?),
        IdentityCall::Delete { kind, name } => {
            core.delete_principal(&name, kind.one()[0]).await?;
            Ok(json!({ "deleted": name }))
        }
        IdentityCall::Enable { kind, name, enabled } => {
            core.enable_principal(&name, kind.one()[0], enabled).await?;
            Ok(json!({ "name": name, "enabled": enabled }))
        }
        IdentityCall::AssignRole { name, role } => {
            core.assign_role(&name, &role).await?;
            Ok(json!({ "name": name, "role": role.role, "scope": role.scope }))
        }
        IdentityCall::RotateKeys => value(core.rotate_keys().await?),
        IdentityCall::ListKeys => value(core.signing_keys()),
        _ => Err(Error::of(Code::Internal)),
    }
}

/// The token says that it is of this machine: it verifies under whichever name the management API is asked.
async fn managed_identity_token(core: &Core, name: &str) -> Result<Value, Error> {
    let desk = Desk { issuer: "http://localhost/adfs", client: std::net::Ipv4Addr::LOCALHOST.into() };
    let tokens = core.identity_token(&desk, name).await?;
    Ok(json!({ "accessToken": tokens.access_token, "expiresIn": tokens.life.as_secs(), "resource": tokens.audience }))
}
