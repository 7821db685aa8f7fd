//! Principals of the deployment and the roles that they are assigned.

use kogge_types::{RegistryId, RepositoryPattern};

use crate::change::{Change, Event};
use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Snapshot, Tx, values};

/// Somebody who can log in with a name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Random, never reused.
    pub id: [u8; 16],
    pub name: String,
    /// The password's hash in PHC form.
    pub secret: String,
    /// Tokens of an earlier epoch are void.
    pub epoch: i64,
    pub assignments: Vec<Assignment>,
}

/// A role, in one registry or in all, on the repositories that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The role's name; what it allows is decided by the rules, not here.
    pub role: String,
    pub registry: Option<RegistryId>,
    pub repositories: RepositoryPattern,
}

impl Snapshot<'_> {
    /// Every principal with its assignments, by name.
    pub fn principals(&self) -> Result<Vec<Principal>> {
        let principals =
            self.query("SELECT id, principal, name, secret, epoch FROM principals ORDER BY name", &[], |row| {
                let id = row.bytes(1)?.try_into().map_err(MetaError::corrupt("principal id"))?;
                let (name, secret, epoch) = (row.text(2)?, row.text(3)?, row.int(4)?);
                Ok((row.int(0)?, Principal { id, name, secret, epoch, assignments: Vec::new() }))
            })?;
        principals
            .into_iter()
            .map(|(key, mut principal)| {
                principal.assignments = self.query(
                    "SELECT role, registry, repositories FROM role_assignments WHERE principal_id = ?1 ORDER BY role",
                    values![key],
                    |row| {
                        let registry = row.opt_bytes(1)?.map(|bytes| RegistryId::try_from(&bytes[..])).transpose();
                        Ok(Assignment {
                            role: row.text(0)?,
                            registry: registry.map_err(MetaError::corrupt("registry id"))?,
                            repositories: row.parsed(2, "repository pattern")?,
                        })
                    },
                )?;
                Ok(principal)
            })
            .collect()
    }
}

impl Tx<'_> {
    /// Makes a principal, or replaces the secret and the assignments of the one of that name, whose tokens are void
    /// from now on.
    pub fn put_principal(
        &mut self,
        id: &[u8; 16],
        name: &str,
        secret: &str,
        assignments: &[Assignment],
    ) -> Result<Change> {
        let stamp = self.next_stamp();
        let key = self.query_first(
            "INSERT INTO principals (principal, name, secret, epoch, created_at, stamp, origin)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6)
             ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, epoch = principals.epoch + 1,
                 stamp = excluded.stamp, origin = excluded.origin
             RETURNING id",
            values![&id[..], name, secret, self.now_us(), stamp, OWN_ORIGIN],
            |row| row.int(0),
        )?;
        let key = key.ok_or(MetaError::Corrupt { what: "principal" })?;
        self.execute("DELETE FROM role_assignments WHERE principal_id = ?1", values![key])?;
        for assignment in assignments {
            self.execute(
                "INSERT INTO role_assignments (principal_id, role, registry, repositories, stamp, origin)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                values![
                    key,
                    assignment.role.as_str(),
                    assignment.registry.as_ref(),
                    assignment.repositories.to_string().as_str(),
                    stamp,
                    OWN_ORIGIN
                ],
            )?;
        }
        Ok(Change { stamp, event: Event::PrincipalPut { name: name.to_owned() } })
    }

    /// Removes a principal. `None` when there is none of that name.
    pub fn delete_principal(&mut self, name: &str) -> Result<Option<Change>> {
        let deleted = self.execute("DELETE FROM principals WHERE name = ?1", values![name])?;
        let event = Event::PrincipalDeleted { name: name.to_owned() };
        Ok((deleted > 0).then(|| Change { stamp: self.next_stamp(), event }))
    }
}
