//! Generated passwords: of a registry's admin user, which can be shown again, and of its tokens, which cannot.

use kogge_meta::{Commit, Credential, CredentialKind, Snapshot, Tx};
use kogge_types::digest::hex;
use kogge_types::{Entropy, RegistryId, ResourceId, clock};

use crate::auth::policy::member::secret_hash;
use crate::core::Core;
use crate::error::{Error, Result};

/// The names of the admin user's passwords (ACR: `listCredentials`).
pub const ADMIN_PASSWORDS: [&str; 2] = ["password", "password2"];
/// The names of a token's passwords (ACR: `generateCredentials`).
pub const TOKEN_PASSWORDS: [&str; 2] = ["password1", "password2"];

/// A password that was just generated: the only time that it is seen, unless it is an admin user's.
#[derive(Clone, PartialEq, Eq)]
pub struct GeneratedPassword {
    pub name: String,
    pub value: String,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
    pub expires_at_us: Option<i64>,
}

impl std::fmt::Debug for GeneratedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GeneratedPassword({}, ***)", self.name)
    }
}

/// A secret of 256 bits that a shell passes on as it is.
pub fn generate_secret(entropy: &dyn Entropy) -> String {
    hex(&clock::random::<32>(entropy))
}

/// Puts `credential` in the place of whatever its owner has under its name.
fn replace(tx: &mut Tx<'_>, credential: &Credential) -> Result<Commit<()>> {
    let mut changes = Vec::new();
    for old in tx.credentials(&credential.owner)?.iter().filter(|old| old.name == credential.name) {
        changes.extend(tx.delete_credential(&old.owner, &old.id)?);
    }
    changes.push(tx.put_credential(credential)?);
    Ok(Commit::new((), changes))
}

/// The admin user's passwords as they are kept, in the order of [`ADMIN_PASSWORDS`]; `None` unless all are there.
fn sealed(snapshot: &Snapshot<'_>, registry: RegistryId) -> Result<Option<Vec<Credential>>> {
    let held = snapshot.credentials(registry.as_bytes())?;
    let named = |name: &str| {
        held.iter().find(|credential| credential.name == name && credential.kind == CredentialKind::Sealed).cloned()
    };
    Ok(ADMIN_PASSWORDS.into_iter().map(named).collect())
}

/// What the admin user's passwords of a registry are sealed for.
pub(crate) fn admin_user_purpose(registry: RegistryId) -> String {
    format!("admin-user:{registry}")
}

impl Core {
    /// The admin user's passwords of a registry, in the order of [`ADMIN_PASSWORDS`]; those that are not there yet are
    /// made. Whether the admin user is enabled is the caller's to ask.
    pub async fn admin_passwords(&self, registry: RegistryId) -> Result<Vec<GeneratedPassword>> {
        let held = self.read_metadata(move |snapshot| sealed(snapshot, registry)).await?;
        if let Some(held) = held {
            return held.iter().map(|credential| self.open_admin_password(registry, credential)).collect();
        }
        let made = ADMIN_PASSWORDS.map(|name| self.new_admin_password(registry, name));
        // Of several who come first at once, one makes them, and all are shown the same.
        let held = self.write_policy(move |tx| {
            let mut changes = Vec::new();
            for (_, credential) in &made {
                let held = tx.credentials(registry.as_bytes())?;
                if !held.iter().any(|held| held.name == credential.name && held.kind == CredentialKind::Sealed) {
                    changes.push(tx.put_credential(credential)?);
                }
            }
            Ok(Commit::new(sealed(tx, registry)?.unwrap_or_default(), changes))
        });
        held.await?.iter().map(|credential| self.open_admin_password(registry, credential)).collect()
    }

    fn open_admin_password(&self, registry: RegistryId, credential: &Credential) -> Result<GeneratedPassword> {
        let opened = self.kek.open(&admin_user_purpose(registry), &credential.value).map_err(Error::internal)?;
        Ok(GeneratedPassword {
            name: credential.name.clone(),
            value: String::from_utf8(opened).map_err(Error::internal)?,
            created_at_us: credential.created_at_us,
            expires_at_us: None,
        })
    }

    /// A new admin password, and how it is kept.
    fn new_admin_password(&self, registry: RegistryId, name: &str) -> (String, Credential) {
        let value = generate_secret(self.entropy.as_ref());
        let sealed = self.kek.seal(self.entropy.as_ref(), &admin_user_purpose(registry), value.as_bytes());
        let credential = self.new_credential(*registry.as_bytes(), CredentialKind::Sealed, name, sealed, None);
        (value, credential)
    }

    /// Makes a new admin password under one of the names of [`ADMIN_PASSWORDS`]; the old one is void at once.
    pub async fn renew_admin_password(&self, registry: RegistryId, name: &str) -> Result<GeneratedPassword> {
        let (value, credential) = self.new_admin_password(registry, name);
        self.keep_password(value, credential).await
    }

    /// Makes a new password for a token under one of the names of [`TOKEN_PASSWORDS`]; the old one is void at once.
    pub async fn renew_token_password(
        &self,
        token: ResourceId,
        name: &str,
        expires_at_us: Option<i64>,
    ) -> Result<GeneratedPassword> {
        let value = generate_secret(self.entropy.as_ref());
        let hash = secret_hash(value.as_bytes()).to_vec();
        let kind = CredentialKind::Secret;
        self.keep_password(value, self.new_credential(*token.as_bytes(), kind, name, hash, expires_at_us)).await
    }

    fn new_credential(
        &self,
        owner: [u8; 16],
        kind: CredentialKind,
        name: &str,
        value: Vec<u8>,
        expires_at_us: Option<i64>,
    ) -> Credential {
        let (id, created_at_us) = (clock::random(self.entropy.as_ref()), self.now_us());
        Credential { id, owner, kind, name: name.to_owned(), value, created_at_us, expires_at_us }
    }

    async fn keep_password(&self, value: String, credential: Credential) -> Result<GeneratedPassword> {
        let Credential { name, created_at_us, expires_at_us, .. } = credential.clone();
        self.write_policy(move |tx| replace(tx, &credential)).await?;
        Ok(GeneratedPassword { name, value, created_at_us, expires_at_us })
    }
}
