//! The operator's verbs of the directory: `kogge admin user|group|sp|identity|keys`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kogge_core::identity::federation::{AUDIENCE_DEFAULT, Federation};
use kogge_core::identity::principal::Assigned;
use kogge_types::{RegistryName, RepositoryPattern, ResourceId};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use super::certificate;
use super::{LocalError, Place, call, perform, print_value, read_password, runtime, show_progress};
use crate::admin::AdminCall;
use crate::admin::identity::{IdentityCall, Kind, Offered};
use crate::config::quantity;
use crate::installation::write_secret;

/// A role to begin with.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// A role's name or id, such as Owner or AcrPush; none without it
    #[arg(long)]
    role: Option<String>,
    /// What the role is for: a registry's name, the path of a resource, or `/` for everything
    #[arg(long, default_value = "/")]
    scope: String,
}

impl RoleArgs {
    fn roles(self) -> Vec<Assigned> {
        let scope = self.scope;
        self.role.map(|role| Assigned { role, scope }).into_iter().collect()
    }
}

/// What a service principal is to prove itself with.
#[derive(Debug, Clone, Args)]
pub struct CredentialArgs {
    /// A certificate in PEM; without this and --create-cert a secret is made
    #[arg(long, value_name = "FILE", conflicts_with = "create_cert")]
    certificate: Option<PathBuf>,
    /// Make a certificate and write it with its key to a file
    #[arg(long)]
    create_cert: bool,
    /// Folder of that file
    #[arg(long, value_name = "DIR", default_value = ".")]
    cert_folder: PathBuf,
    /// How long the secret or the certificate that is made lives
    #[arg(long, default_value = "365d", value_name = "DURATION")]
    expires_in: String,
}

/// Somebody, by name.
#[derive(Debug, Args)]
pub struct Named {
    name: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; the password is read from standard input
    Create {
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        #[command(flatten)]
        place: Place,
    },
    /// Make a user, or give one a new password and role in place of all others; the password comes on standard input
    Put {
        name: String,
        /// A built-in role, such as Owner or AcrPull
        #[arg(long)]
        role: String,
        /// The registry that the role is for; all without it
        #[arg(long)]
        registry: Option<RegistryName>,
        /// The repositories that the role is for: a name, `team/*` or `*`
        #[arg(long, default_value = "*")]
        repositories: RepositoryPattern,
        #[command(flatten)]
        place: Place,
    },
    /// List the users
    List(Place),
    /// Give a user a new password, from standard input; its tokens and logins are void at once
    SetPassword(Named),
    /// Forbid a user to log in; its tokens and logins are void at once
    Disable(Named),
    /// Let a user log in again
    Enable(Named),
    /// Remove a user with its roles; its tokens are void at once
    Delete(Named),
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make a group
    Create {
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        #[command(flatten)]
        place: Place,
    },
    /// List the groups and who is in them
    List(Place),
    /// Put a user, a service principal or a managed identity into a group
    AddMember {
        group: String,
        member: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take somebody out of a group
    RemoveMember {
        group: String,
        member: String,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a group with its roles
    Delete(Named),
}

#[derive(Debug, Subcommand)]
pub enum ServicePrincipalCommand {
    /// Make a service principal; its secret is shown once
    Create {
        /// The name for display
        #[arg(long)]
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        place: Place,
    },
    /// List the service principals
    List(Place),
    /// Show a service principal and its credentials, but no secret
    Show(Named),
    /// Give a service principal a new credential in place of its secrets and certificates
    Reset {
        name: String,
        /// Keep the others
        #[arg(long)]
        append: bool,
        #[command(flatten)]
        credential: CredentialArgs,
        #[command(flatten)]
        place: Place,
    },
    /// Take an outside issuer's tokens for a service principal's
    Federate {
        name: String,
        /// The issuer, as its tokens write it
        #[arg(long)]
        issuer: String,
        /// The subject, as the tokens write it; a `*` stands for any characters but `:`
        #[arg(long)]
        subject: String,
        /// The audience of the tokens
        #[arg(long, default_value = AUDIENCE_DEFAULT)]
        audience: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take one credential away, by its id
    RemoveCredential {
        name: String,
        id: ResourceId,
        #[command(flatten)]
        place: Place,
    },
    /// Give a service principal, a user or a group another role
    Assign {
        name: String,
        /// A role's name or id
        #[arg(long)]
        role: String,
        /// What the role is for: a registry's name, the path of a resource, or `/` for everything
        #[arg(long, default_value = "/")]
        scope: String,
        #[command(flatten)]
        place: Place,
    },
    /// Forbid a service principal to log in; its tokens are void at once
    Disable(Named),
    /// Let a service principal log in again
    Enable(Named),
    /// Remove a service principal with its roles; its tokens are void at once
    Delete(Named),
}

#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Make a managed identity
    Create {
        #[arg(long)]
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        #[command(flatten)]
        place: Place,
    },
    /// List the managed identities
    List(Place),
    /// Print an access token for the management API in a managed identity's name, by the running server
    Token(Named),
    /// Remove a managed identity with its roles
    Delete(Named),
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key that signs tokens from now on; earlier tokens stay good until they end
    Rotate(Place),
    /// List the keys
    List(Place),
}

fn ask(place: &Place, verb: IdentityCall) -> Result<(), LocalError> {
    call(place, AdminCall::Identity(verb))
}

pub(super) fn user(command: UserCommand) -> Result<(), LocalError> {
    let kind = Kind::User;
    match command {
        UserCommand::Create { name, role, place } => {
            let password = read_password()?;
            ask(&place, IdentityCall::CreateUser { name, password, roles: role.roles() })
        }
        UserCommand::Put { name, role, registry, repositories, place } => {
            let password = read_password()?;
            call(&place, AdminCall::PutUser { name, password, role, registry, repositories })
        }
        UserCommand::List(place) => ask(&place, IdentityCall::List { kind }),
        UserCommand::SetPassword(Named { name, place }) => {
            let password = read_password()?;
            ask(&place, IdentityCall::SetPassword { name, password })
        }
        UserCommand::Disable(Named { name, place }) => ask(&place, IdentityCall::Enable { kind, name, enabled: false }),
        UserCommand::Enable(Named { name, place }) => ask(&place, IdentityCall::Enable { kind, name, enabled: true }),
        UserCommand::Delete(Named { name, place }) => ask(&place, IdentityCall::Delete { kind, name }),
    }
}

pub(super) fn group(command: GroupCommand) -> Result<(), LocalError> {
    let kind = Kind::Group;
    match command {
        GroupCommand::Create { name, role, place } => {
            ask(&place, IdentityCall::CreateGroup { name, roles: role.roles() })
        }
        GroupCommand::List(place) => ask(&place, IdentityCall::List { kind }),
        GroupCommand::AddMember { group, member, place } => {
            ask(&place, IdentityCall::SetGroupMember { group, member, present: true })
        }
        GroupCommand::RemoveMember { group, member, place } => {
            ask(&place, IdentityCall::SetGroupMember { group, member, present: false })
        }
        GroupCommand::Delete(Named { name, place }) => ask(&place, IdentityCall::Delete { kind, name }),
    }
}

pub(super) fn service_principal(command: ServicePrincipalCommand) -> Result<(), LocalError> {
    use ServicePrincipalCommand as Verb;
    let kind = Kind::ServicePrincipal;
    match command {
        Verb::Create { name, role, credential, place } => {
            let roles = role.roles();
            enroll(&place, &credential, &name.clone(), |credential| IdentityCall::CreateServicePrincipal {
                name,
                credential,
                roles,
            })
        }
        Verb::Reset { name, append, credential, place } => enroll(&place, &credential, &name.clone(), |credential| {
            IdentityCall::ResetServicePrincipal { name, credential, append }
        }),
        Verb::List(place) => ask(&place, IdentityCall::List { kind }),
        Verb::Show(Named { name, place }) => ask(&place, IdentityCall::ShowServicePrincipal { name }),
        Verb::Federate { name, issuer, subject, audience, place } => {
            ask(&place, IdentityCall::Federate { name, rule: Federation { issuer, subject, audience } })
        }
        Verb::RemoveCredential { name, id, place } => ask(&place, IdentityCall::RemoveCredential { name, id }),
        Verb::Assign { name, role, scope, place } => {
            ask(&place, IdentityCall::AssignRole { name, role: Assigned { role, scope } })
        }
        Verb::Disable(Named { name, place }) => ask(&place, IdentityCall::Enable { kind, name, enabled: false }),
        Verb::Enable(Named { name, place }) => ask(&place, IdentityCall::Enable { kind, name, enabled: true }),
        Verb::Delete(Named { name, place }) => ask(&place, IdentityCall::Delete { kind, name }),
    }
}

pub(super) fn identity(command: IdentityCommand) -> Result<(), LocalError> {
    let kind = Kind::ManagedIdentity;
    match command {
        IdentityCommand::Create { name, role, place } => {
            ask(&place, IdentityCall::CreateManagedIdentity { name, roles: role.roles() })
        }
        IdentityCommand::List(place) => ask(&place, IdentityCall::List { kind }),
        IdentityCommand::Token(Named { name, place }) => ask(&place, IdentityCall::ManagedIdentityToken { name }),
        IdentityCommand::Delete(Named { name, place }) => ask(&place, IdentityCall::Delete { kind, name }),
    }
}

pub(super) fn keys(command: KeysCommand) -> Result<(), LocalError> {
    match command {
        KeysCommand::Rotate(place) => ask(&place, IdentityCall::RotateKeys),
        KeysCommand::List(place) => ask(&place, IdentityCall::ListKeys),
    }
}

/// Carries out a verb that takes a credential. A certificate that is made is written to a file, whose path is printed.
fn enroll(
    place: &Place,
    args: &CredentialArgs,
    name: &str,
    verb: impl FnOnce(Offered) -> IdentityCall,
) -> Result<(), LocalError> {
    let life = quantity::duration(&args.expires_in)
        .ok_or_else(|| LocalError::Refused("--expires-in takes a duration such as 90d".to_owned()))?;
    let (offered, made) = if args.create_cert {
        let made = certificate::make(name, life).map_err(|error| LocalError::Refused(error.to_string()))?;
        (Offered::Certificate { der: made.der }, Some(made.pem))
    } else if let Some(path) = &args.certificate {
        (Offered::Certificate { der: read_certificate(path)? }, None)
    } else {
        (Offered::Secret { life }, None)
    };
    let call = AdminCall::Identity(verb(offered));
    let mut answer = runtime()?.block_on(perform(&place.data_dir, call, &show_progress))?;
    if let Some(pem) = made {
        let id = answer["appId"].as_str().unwrap_or("certificate");
        let path = std::path::absolute(args.cert_folder.join(format!("kogge-{id}.pem")))?;
        write_secret(&path, pem.as_bytes())?;
        answer["fileWithCertAndPrivateKey"] = json!(path.display().to_string());
    }
    print_value(&answer)
}

fn read_certificate(path: &Path) -> Result<Vec<u8>, LocalError> {
    let failed = |source| LocalError::Io { action: "read the certificate", path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(failed)?;
    let certificate = CertificateDer::from_pem_slice(&text)
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string())))?;
    Ok(certificate.to_vec())
}
