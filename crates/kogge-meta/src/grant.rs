//! Grants: what a client was given to come back with once. Authorization codes, device codes and refresh grants.
//!
//! They are neither replicated nor journalled; a client whose grant is lost logs in again.

use crate::error::{MetaError, Result};
use crate::sql::{Row, Snapshot, Tx, values};

/// One grant that is not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The SHA-256 of what the client holds.
    pub hash: [u8; 32],
    pub kind: GrantKind,
    /// Whose it is, once that is known: his grants go when he is deleted.
    pub principal: Option<[u8; 16]>,
    /// What the authority must know of it, in its own form.
    pub payload: String,
    /// Microseconds since the Unix epoch.
    pub created_at_us: i64,
    /// From when it is void.
    pub expires_at_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GrantKind {
    /// An authorization code (RFC 6749, section 4.1).
    Code,
    /// A device code (RFC 8628), which the client polls with.
    Device,
    /// A user code (RFC 8628), which a person types in.
    User,
    /// A refresh token (RFC 6749, section 6).
    Refresh,
    /// The id of a client's assertion (RFC 7523), which is taken once.
    Assertion,
}

impl GrantKind {
    const ALL: [Self; 5] = [Self::Code, Self::Device, Self::User, Self::Refresh, Self::Assertion];

    fn as_str(self) -> &'static str {
        match self {
            Self::Code => "Code",
            Self::Device => "Device",
            Self::User => "User",
            Self::Refresh => "Refresh",
            Self::Assertion => "Assertion",
        }
    }
}

fn read_grant(row: &Row<'_>) -> Result<Grant> {
    let kind = row.text(1)?;
    let kind = GrantKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let principal = row.opt_bytes(2)?.map(<[u8; 16]>::try_from).transpose();
    Ok(Grant {
        hash: row.bytes(0)?.try_into().map_err(MetaError::corrupt("grant"))?,
        kind: kind.ok_or(MetaError::Corrupt { what: "grant" })?,
        principal: principal.map_err(MetaError::corrupt("principal id"))?,
        payload: row.text(3)?,
        created_at_us: row.int(4)?,
        expires_at_us: row.int(5)?,
    })
}

impl Snapshot<'_> {
    /// The grant under this hash, expired or not.
    pub fn grant(&self, hash: &[u8; 32]) -> Result<Option<Grant>> {
        self.query_first(
            "SELECT hash, kind, principal, payload, created_at, expires_at FROM grants WHERE hash = ?1",
            values![&hash[..]],
            read_grant,
        )
    }
}

impl Tx<'_> {
    /// Keeps a grant, in place of the one under the same hash.
    pub fn put_grant(&mut self, grant: &Grant) -> Result<()> {
        let principal = grant.principal.as_ref().map(|principal| &principal[..]);
        self.execute(
            "INSERT INTO grants (hash, kind, principal, payload, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, principal = excluded.principal,
                 payload = excluded.payload, created_at = excluded.created_at, expires_at = excluded.expires_at",
            values![
                &grant.hash[..],
                grant.kind.as_str(),
                principal,
                grant.payload.as_str(),
                grant.created_at_us,
                grant.expires_at_us
            ],
        )?;
        Ok(())
    }

    /// Uses a grant up: of several who come with it, one gets it. `None` when it is unknown or was used.
    pub fn take_grant(&mut self, hash: &[u8; 32]) -> Result<Option<Grant>> {
        self.query_first(
            "DELETE FROM grants WHERE hash = ?1 RETURNING hash, kind, principal, payload, created_at, expires_at",
            values![&hash[..]],
            read_grant,
        )
    }

    /// Ends every grant of a principal.
    pub fn delete_grants_of(&mut self, principal: &[u8; 16]) -> Result<()> {
        self.execute("DELETE FROM grants WHERE principal = ?1", values![&principal[..]])?;
        Ok(())
    }

    /// Removes at most `limit` grants that expired before `before_us`, and says how many.
    pub fn purge_grants(&mut self, before_us: i64, limit: usize) -> Result<usize> {
        self.execute(
            "DELETE FROM grants WHERE hash IN
                 (SELECT hash FROM grants WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
            values![before_us, limit],
        )
    }
}
