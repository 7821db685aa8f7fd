//! Principals of the deployment: users, groups, service principals and managed identities.

use std::collections::HashMap;

use kogge_types::ResourceId;

use crate::change::{Change, Event};
use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Snapshot, Tx, values};

/// Somebody or something that roles are assigned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Random, never reused.
    pub id: [u8; 16],
    pub kind: PrincipalKind,
    pub name: String,
    /// The client id of a service principal or a managed identity.
    pub app_id: Option<[u8; 16]>,
    /// The password's hash in PHC form; empty for one without a password.
    pub secret: String,
    /// Tokens of an earlier epoch are void.
    pub epoch: i64,
    /// Who is in a group, by id.
    pub members: Vec<[u8; 16]>,
    /// One that is not enabled cannot log in, and its tokens are void.
    pub enabled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    User,
    Group,
    ServicePrincipal,
    ManagedIdentity,
}

impl PrincipalKind {
    const ALL: [Self; 4] = [Self::User, Self::Group, Self::ServicePrincipal, Self::ManagedIdentity];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServicePrincipal => "ServicePrincipal",
            Self::ManagedIdentity => "ManagedIdentity",
        }
    }
}

/// A principal as it shall be.
#[derive(Debug, Clone, Copy)]
pub struct PrincipalRecord<'a> {
    /// The identity of a new one; the one of this name keeps its own.
    pub id: [u8; 16],
    pub kind: PrincipalKind,
    pub name: &'a str,
    pub app_id: Option<[u8; 16]>,
    /// The password's hash in PHC form; empty for none.
    pub secret: &'a str,
    pub enabled: bool,
}

impl Snapshot<'_> {
    /// Every principal, by name.
    pub fn principals(&self) -> Result<Vec<Principal>> {
        let mut members: HashMap<[u8; 16], Vec<[u8; 16]>> = HashMap::new();
        let memberships = self.query(
            "SELECT group_id, member_id FROM group_members WHERE present <> 0 ORDER BY group_id, member_id",
            &[],
            |row| Ok((row.raw_id(0, "group id")?, row.raw_id(1, "member id")?)),
        )?;
        for (group, member) in memberships {
            members.entry(group).or_default().push(member);
        }
        self.query(
            "SELECT principal, kind, name, app_id, secret, epoch, enabled FROM principals ORDER BY name",
            &[],
            |row| {
                let id = row.raw_id(0, "principal id")?;
                let kind = row.text(1)?;
                let kind = PrincipalKind::ALL.into_iter().find(|known| known.as_str() == kind);
                let app_id = row.opt_bytes(3)?.map(<[u8; 16]>::try_from).transpose();
                Ok(Principal {
                    id,
                    kind: kind.ok_or(MetaError::Corrupt { what: "principal" })?,
                    name: row.text(2)?,
                    app_id: app_id.map_err(MetaError::corrupt("application id"))?,
                    secret: row.text(4)?,
                    epoch: row.int(5)?,
                    members: members.remove(&id).unwrap_or_default(),
                    enabled: row.flag(6)?,
                })
            },
        )
    }
}

impl Tx<'_> {
    /// Makes a principal, or changes the one of that name. When the change is of its secret, or turns it on or off,
    /// its tokens are void from now on.
    pub fn put_principal(&mut self, record: &PrincipalRecord<'_>) -> Result<Change> {
        let stamp = self.next_stamp();
        let app_id = record.app_id.as_ref().map(|id| &id[..]);
        self.execute(
            "INSERT INTO principals (principal, kind, name, app_id, secret, enabled, epoch, created_at, stamp, origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9)
             ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, app_id = excluded.app_id,
                 secret = excluded.secret, enabled = excluded.enabled,
                 epoch = principals.epoch + CASE
                     WHEN principals.secret <> excluded.secret OR principals.enabled <> excluded.enabled THEN 1
                     ELSE 0 END,
                 stamp = excluded.stamp, origin = excluded.origin",
            values![
                &record.id[..],
                record.kind.as_str(),
                record.name,
                app_id,
                record.secret,
                record.enabled,
                self.now_us(),
                stamp,
                OWN_ORIGIN
            ],
        )?;
        Ok(Change { stamp, event: Event::PrincipalPut { name: record.name.to_owned() } })
    }

    /// Makes all tokens void that a principal was given so far.
    pub fn raise_epoch(&mut self, id: &[u8; 16]) -> Result<Change> {
        let stamp = self.next_stamp();
        self.execute(
            "UPDATE principals SET epoch = epoch + 1, stamp = ?2, origin = ?3 WHERE principal = ?1",
            values![&id[..], stamp, OWN_ORIGIN],
        )?;
        Ok(Change { stamp, event: Event::EpochRaised { principal: ResourceId::from_bytes(*id) } })
    }

    /// Puts a principal into a group, or takes it out.
    pub fn set_group_member(&mut self, group: &[u8; 16], member: &[u8; 16], present: bool) -> Result<Change> {
        let stamp = self.next_stamp();
        self.execute(
            "INSERT INTO group_members (group_id, member_id, present, stamp, origin) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (group_id, member_id) DO UPDATE SET
                 present = excluded.present, stamp = excluded.stamp, origin = excluded.origin",
            values![&group[..], &member[..], present, stamp, OWN_ORIGIN],
        )?;
        let (group, member) = (ResourceId::from_bytes(*group), ResourceId::from_bytes(*member));
        Ok(Change { stamp, event: Event::GroupMemberSet { group, member, present } })
    }

    /// Removes a principal with its credentials, its grants and its memberships. `None` when there is none of that
    /// name. Roles that it was assigned stay as resources and mean nobody.
    pub fn delete_principal(&mut self, name: &str) -> Result<Option<Change>> {
        let deleted =
            self.query_first("DELETE FROM principals WHERE name = ?1 RETURNING principal", values![name], |row| {
                row.raw_id(0, "principal id")
            })?;
        let Some(id) = deleted else { return Ok(None) };
        self.delete_credentials_of(&id)?;
        self.delete_grants_of(&id)?;
        self.execute("DELETE FROM group_members WHERE group_id = ?1", values![&id[..]])?;
        self.execute("DELETE FROM group_members WHERE member_id = ?1", values![&id[..]])?;
        let stamp = self.bury_id(&id)?;
        Ok(Some(Change { stamp, event: Event::PrincipalDeleted { name: name.to_owned() } }))
    }
}
