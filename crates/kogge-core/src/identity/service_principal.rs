//! Service principals: programs with an identity of their own, and what each proves it with. Managed identities are
//! those that the deployment itself uses.

use std::time::Duration;

use kogge_meta::{Commit, Credential, CredentialKind, Principal, PrincipalKind, Tx};
use kogge_types::digest::hex;
use kogge_types::{Code, ResourceId, clock, limits};
use serde::Serialize;

use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Desk;
use crate::identity::certificate::Certificate;
use crate::identity::federation::Federation;
use crate::identity::jwt::sha256;
use crate::identity::principal::{Assigned, PrincipalStory, find, moment, moment_if};
use crate::identity::token::{Bearer, TokenSet};

const SERVICE: [PrincipalKind; 1] = [PrincipalKind::ServicePrincipal];
/// Bytes of a generated secret.
const SECRET_BYTES: usize = 32;

/// What a service principal is to prove itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewCredential {
    /// A secret that is made here.
    Secret { name: String, life: Duration },
    /// A certificate in DER.
    Certificate { name: String, der: Vec<u8> },
    /// Tokens of an outside issuer.
    Federation { name: String, rule: Federation },
}

/// A service principal that was made or got new credentials. The one place where a secret is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolled {
    pub app_id: ResourceId,
    pub display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    pub tenant: String,
    /// What roles are assigned to.
    pub object_id: ResourceId,
}

/// A credential, as operators see it: never what it proves itself with.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStory {
    pub id: ResourceId,
    pub kind: &'static str,
    pub display_name: String,
    #[serde(rename = "created", serialize_with = "moment")]
    pub created_at_us: i64,
    #[serde(rename = "expires", serialize_with = "moment_if", skip_serializing_if = "Option::is_none")]
    pub expires_at_us: Option<i64>,
    /// A certificate's SHA-1, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub federation: Option<Federation>,
}

/// A service principal with its credentials.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipalStory {
    #[serde(flatten)]
    pub principal: PrincipalStory,
    pub credentials: Vec<CredentialStory>,
}

impl From<&Credential> for CredentialStory {
    fn from(credential: &Credential) -> Self {
        let certificate = (credential.kind == CredentialKind::Certificate).then_some(&credential.value);
        let certificate = certificate.and_then(|der| Certificate::read(der).ok());
        Self {
            id: ResourceId::from_bytes(credential.id),
            kind: match credential.kind {
                CredentialKind::Secret => "Secret",
                CredentialKind::Certificate => "Certificate",
                CredentialKind::Federation => "Federation",
                CredentialKind::Sealed => "Sealed",
            },
            display_name: credential.name.clone(),
            created_at_us: credential.created_at_us,
            expires_at_us: credential.expires_at_us,
            thumbprint: certificate.map(|certificate| hex(&certificate.sha1)),
            federation: Federation::read(credential),
        }
    }
}

/// Refuses one credential too many: each is looked through at a login.
fn require_room(tx: &Tx<'_>, owner: &[u8; 16]) -> Result<()> {
    if tx.credentials(owner)?.len() < limits::CREDENTIALS_PER_PRINCIPAL_MAX {
        return Ok(());
    }
    let limit = limits::CREDENTIALS_PER_PRINCIPAL_MAX;
    Err(Error::new(Code::NameInvalid, format!("a service principal has at most {limit} credentials; remove old ones")))
}

impl Core {
    /// Makes a service principal of a new name, with roles.
    pub async fn create_service_principal(
        &self,
        name: &str,
        credential: Option<NewCredential>,
        assigned: &[Assigned],
    ) -> Result<Enrolled> {
        self.create_program(name, PrincipalKind::ServicePrincipal, credential, assigned).await
    }

    /// Makes a managed identity of a new name, with roles. It has no credential: the deployment itself acts as it.
    pub async fn create_managed_identity(&self, name: &str, assigned: &[Assigned]) -> Result<Enrolled> {
        self.create_program(name, PrincipalKind::ManagedIdentity, None, assigned).await
    }

    async fn create_program(
        &self,
        name: &str,
        kind: PrincipalKind,
        credential: Option<NewCredential>,
        assigned: &[Assigned],
    ) -> Result<Enrolled> {
        let plain = !name.is_empty() && name.chars().count() <= 256 && !name.chars().any(char::is_control);
        if !plain || name.parse::<ResourceId>().is_ok() {
            return Err(Error::new(Code::NameInvalid, "a display name is at most 256 characters, and no UUID"));
        }
        let program = Principal {
            id: self.new_id(),
            kind,
            name: name.to_owned(),
            app_id: Some(self.new_id()),
            secret: String::new(),
            epoch: 0,
            members: Vec::new(),
            enabled: true,
        };
        let made = credential.map(|credential| self.make_credential(&program.id, credential)).transpose()?;
        let (credential, password) = made.unzip();
        let enrolled = self.enrolled(&program, password.flatten());
        self.create_principal(program, assigned, credential.into_iter().collect()).await?;
        Ok(enrolled)
    }

    fn enrolled(&self, program: &Principal, password: Option<String>) -> Enrolled {
        Enrolled {
            app_id: ResourceId::from_bytes(program.app_id.unwrap_or(program.id)),
            display_name: program.name.clone(),
            password,
            tenant: self.deployment().tenant.clone(),
            object_id: ResourceId::from_bytes(program.id),
        }
    }

    /// A credential to be kept, and the secret to be shown once.
    fn make_credential(&self, owner: &[u8; 16], new: NewCredential) -> Result<(Credential, Option<String>)> {
        let now_us = self.now_us();
        let (kind, name, value, expires_at_us, secret) = match new {
            NewCredential::Secret { name, life } => {
                let secret = hex(&clock::random::<SECRET_BYTES>(self.entropy.as_ref()));
                let expires_at_us = now_us.saturating_add(clock::micros(life));
                let hash = sha256(secret.as_bytes()).to_vec();
                (CredentialKind::Secret, name, hash, Some(expires_at_us), Some(secret))
            }
            NewCredential::Certificate { name, der } => {
                let certificate =
                    Certificate::read(&der).map_err(|error| Error::new(Code::NameInvalid, error.to_string()))?;
                if certificate.not_after_us <= now_us {
                    return Err(Error::new(Code::NameInvalid, "the certificate has ended"));
                }
                (CredentialKind::Certificate, name, der, Some(certificate.not_after_us), None)
            }
            NewCredential::Federation { name, rule } => {
                let whole = !rule.issuer.is_empty() && !rule.subject.is_empty() && !rule.audience.is_empty();
                let loopback = self.identity_settings().loopback_issuers;
                if !whole || !crate::identity::issuer::may_fetch(&rule.issuer, loopback) {
                    let message = "a federated credential has an issuer at https://, a subject and an audience";
                    return Err(Error::new(Code::NameInvalid, message));
                }
                let value = serde_json::to_vec(&rule).map_err(Error::internal)?;
                (CredentialKind::Federation, name, value, None, None)
            }
        };
        let credential =
            Credential { id: self.new_id(), owner: *owner, kind, name, value, created_at_us: now_us, expires_at_us };
        Ok((credential, secret))
    }

    /// Gives a service principal another credential beside those it has.
    pub async fn add_credential(&self, name: &str, new: NewCredential) -> Result<Enrolled> {
        self.change_credentials(name, new, true).await
    }

    /// Gives a service principal a new credential and takes its other secrets and certificates away; what it was given
    /// for those is void at once.
    pub async fn reset_credentials(&self, name: &str, new: NewCredential) -> Result<Enrolled> {
        self.change_credentials(name, new, false).await
    }

    async fn change_credentials(&self, name: &str, new: NewCredential, append: bool) -> Result<Enrolled> {
        let owned = name.to_owned();
        let program = self.read_metadata(move |snapshot| find(snapshot, &owned, &SERVICE)).await?;
        let (credential, secret) = self.make_credential(&program.id, new)?;
        let enrolled = self.enrolled(&program, secret);
        let owner = program.id;
        self.write_policy(move |tx| {
            let mut changes = Vec::new();
            if append {
                require_room(tx, &owner)?;
            } else {
                for old in tx.credentials(&owner)?.iter().filter(|old| old.kind != CredentialKind::Federation) {
                    changes.extend(tx.delete_credential(&owner, &old.id)?);
                }
                changes.push(tx.raise_epoch(&owner)?);
            }
            changes.push(tx.put_credential(&credential)?);
            Ok(Commit::new((), changes))
        })
        .await?;
        Ok(enrolled)
    }

    /// Takes one credential away; what the service principal was given so far is void at once.
    pub async fn remove_credential(&self, name: &str, credential: ResourceId) -> Result<()> {
        let name = name.to_owned();
        self.write_policy(move |tx| {
            let program = find(tx, &name, &SERVICE)?;
            let removed = tx.delete_credential(&program.id, credential.as_bytes())?;
            let removed =
                removed.ok_or_else(|| Error::new(Code::NotFound, format!("{name} has no such credential")))?;
            let raised = tx.raise_epoch(&program.id)?;
            Ok(Commit::new((), vec![removed, raised]))
        })
        .await
    }

    /// A service principal with its credentials.
    pub async fn service_principal(&self, name: &str) -> Result<ServicePrincipalStory> {
        let name = name.to_owned();
        self.read_metadata(move |snapshot| {
            let program = find(snapshot, &name, &SERVICE)?;
            let credentials = snapshot.credentials(&program.id)?.iter().map(CredentialStory::from).collect();
            Ok(ServicePrincipalStory { principal: PrincipalStory::from(&program), credentials })
        })
        .await
    }

    /// An access token for a managed identity: only whoever may do everything anyway gets here.
    pub async fn identity_token(&self, desk: &Desk<'_>, name: &str) -> Result<TokenSet> {
        let name = name.to_owned();
        let found = self.read_metadata(move |s| find(s, &name, &[PrincipalKind::ManagedIdentity])).await?;
        let member = self.member_of(Some(found.id), found.epoch);
        let member = member.ok_or_else(|| Error::new(Code::NotFound, "the managed identity is disabled"))?;
        let client = found.app_id.map(|id| ResourceId::from_bytes(id).to_string()).unwrap_or_default();
        let audiences = self.identity_settings().audiences();
        let audience = audiences.first().ok_or_else(|| Error::new(Code::Unavailable, "the server is not running"))?;
        self.issue_tokens(desk, &Bearer { member: &member, client: &client, audience, nonce: None, openid: false })
    }
}
