//! Groups: a role that a group has, its members have. Groups hold users, service principals and managed identities, not
//! other groups.

use kogge_meta::{Commit, Principal, PrincipalKind};
use kogge_types::{Code, ResourceId};

use crate::core::Core;
use crate::directory::is_user_name;
use crate::error::{Error, Result};
use crate::identity::principal::{Assigned, find};

const MEMBERS: [PrincipalKind; 3] =
    [PrincipalKind::User, PrincipalKind::ServicePrincipal, PrincipalKind::ManagedIdentity];

impl Core {
    /// Makes a group of a new name, with roles. Answers its id.
    pub async fn create_group(&self, name: &str, assigned: &[Assigned]) -> Result<ResourceId> {
        if !is_user_name(name) {
            return Err(Error::new(
                Code::NameInvalid,
                "a group name is at most 64 letters, digits, '-', '_', '.' and '@'",
            ));
        }
        let group = Principal {
            id: self.new_id(),
            kind: PrincipalKind::Group,
            name: name.to_owned(),
            app_id: None,
            secret: String::new(),
            epoch: 0,
            members: Vec::new(),
            enabled: true,
        };
        let id = ResourceId::from_bytes(group.id);
        self.create_principal(group, assigned, Vec::new()).await?;
        Ok(id)
    }

    /// Puts somebody into a group, or takes him out. In force at once.
    pub async fn set_group_member(&self, group: &str, member: &str, present: bool) -> Result<()> {
        let (group, member) = (group.to_owned(), member.to_owned());
        self.write_policy(move |tx| {
            let group = find(tx, &group, &[PrincipalKind::Group])?;
            let member = find(tx, &member, &MEMBERS)?;
            let change = tx.set_group_member(&group.id, &member.id, present)?;
            Ok(Commit::new((), vec![change]))
        })
        .await
    }
}
