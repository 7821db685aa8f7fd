//! Credentials: what somebody proves with who he is. No secret is kept in a form that could be used.

use kogge_types::ResourceId;

use crate::change::{Change, Event};
use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Row, Snapshot, Tx, values};

/// One credential of an owner, who may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Random, never reused.
    pub id: [u8; 16],
    /// A principal, a token resource, or a registry (its admin user).
    pub owner: [u8; 16],
    pub kind: CredentialKind,
    /// `password1` and the like, or a name for display.
    pub name: String,
    /// What the kind says.
    pub value: Vec<u8>,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
    /// From when it is void; `None` is never.
    pub expires_at_us: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// The SHA-256 of a generated secret.
    Secret,
    /// A certificate, as DER.
    Certificate,
    /// Whose tokens are taken for the owner's, as JSON.
    Federation,
    /// A secret that can be shown again, sealed under the deployment's key.
    Sealed,
}

impl CredentialKind {
    const ALL: [Self; 4] = [Self::Secret, Self::Certificate, Self::Federation, Self::Sealed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Certificate => "Certificate",
            Self::Federation => "Federation",
            Self::Sealed => "Sealed",
        }
    }
}

fn read_credential(row: &Row<'_>) -> Result<Credential> {
    let kind = row.text(2)?;
    let kind = CredentialKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Credential {
        id: row.raw_id(0, "credential id")?,
        owner: row.raw_id(1, "credential owner")?,
        kind: kind.ok_or(MetaError::Corrupt { what: "credential" })?,
        name: row.text(3)?,
        value: row.bytes(4)?,
        created_at_us: row.int(5)?,
        expires_at_us: row.opt_int(6)?,
    })
}

impl Snapshot<'_> {
    /// The credentials of an owner, expired ones among them, by id.
    pub fn credentials(&self, owner: &[u8; 16]) -> Result<Vec<Credential>> {
        self.query(
            "SELECT credential, owner, kind, name, value, created_at, expires_at FROM credentials
             WHERE owner = ?1 ORDER BY credential",
            values![&owner[..]],
            read_credential,
        )
    }

    /// Every credential of a kind, by owner and id.
    pub fn every_credential(&self, kind: CredentialKind) -> Result<Vec<Credential>> {
        self.query(
            "SELECT credential, owner, kind, name, value, created_at, expires_at FROM credentials
             WHERE kind = ?1 ORDER BY owner, credential",
            values![kind.as_str()],
            read_credential,
        )
    }
}

impl Tx<'_> {
    /// Makes a credential, or replaces the one of that id.
    pub fn put_credential(&mut self, credential: &Credential) -> Result<Change> {
        let stamp = self.next_stamp();
        self.execute(
            "INSERT INTO credentials (credential, owner, kind, name, value, created_at, expires_at, stamp, origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (credential) DO UPDATE SET owner = excluded.owner, kind = excluded.kind,
                 name = excluded.name, value = excluded.value, created_at = excluded.created_at,
                 expires_at = excluded.expires_at, stamp = excluded.stamp, origin = excluded.origin",
            values![
                &credential.id[..],
                &credential.owner[..],
                credential.kind.as_str(),
                credential.name.as_str(),
                credential.value.as_slice(),
                credential.created_at_us,
                credential.expires_at_us,
                stamp,
                OWN_ORIGIN
            ],
        )?;
        Ok(Change { stamp, event: Event::CredentialPut { owner: ResourceId::from_bytes(credential.owner) } })
    }

    /// Takes a credential of an owner away. `None` when he has none of that id.
    pub fn delete_credential(&mut self, owner: &[u8; 16], id: &[u8; 16]) -> Result<Option<Change>> {
        let deleted =
            self.execute("DELETE FROM credentials WHERE credential = ?1 AND owner = ?2", values![&id[..], &owner[..]])?;
        if deleted == 0 {
            return Ok(None);
        }
        let stamp = self.bury_id(id)?;
        Ok(Some(Change { stamp, event: Event::CredentialDeleted { owner: ResourceId::from_bytes(*owner) } }))
    }

    /// Takes every credential of an owner away, who goes as well: his own end is what is told.
    pub(crate) fn delete_credentials_of(&mut self, owner: &[u8; 16]) -> Result<()> {
        let deleted =
            self.query("DELETE FROM credentials WHERE owner = ?1 RETURNING credential", values![&owner[..]], |row| {
                row.raw_id(0, "credential id")
            })?;
        for id in deleted {
            self.bury_id(&id)?;
        }
        Ok(())
    }
}
