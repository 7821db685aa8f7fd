//! Users: people of the deployment's own directory.

use kogge_meta::{Commit, Principal, PrincipalKind, PrincipalRecord};
use kogge_types::{Code, ResourceId};

use crate::core::Core;
use crate::directory::is_user_name;
use crate::error::{Error, Result};
use crate::identity::principal::{Assigned, find, record};

impl Core {
    /// Makes a user of a new name, with roles. Answers its id.
    pub async fn create_user(&self, name: &str, password: &str, assigned: &[Assigned]) -> Result<ResourceId> {
        if !is_user_name(name) {
            return Err(Error::new(
                Code::NameInvalid,
                "a user name is at most 64 letters, digits, '-', '_', '.' and '@'",
            ));
        }
        let user = Principal {
            id: self.new_id(),
            kind: PrincipalKind::User,
            name: name.to_owned(),
            app_id: None,
            secret: self.hash_password(password).await?,
            epoch: 0,
            members: Vec::new(),
            enabled: true,
        };
        let id = ResourceId::from_bytes(user.id);
        self.create_principal(user, assigned, Vec::new()).await?;
        Ok(id)
    }

    /// Gives a user a new password; its tokens and logins are void at once.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        let (name, secret) = (name.to_owned(), self.hash_password(password).await?);
        self.write_policy(move |tx| {
            let user = find(tx, &name, &[PrincipalKind::User])?;
            let change = tx.put_principal(&PrincipalRecord { secret: &secret, ..record(&user) })?;
            tx.delete_grants_of(&user.id)?;
            Ok(Commit::new((), vec![change]))
        })
        .await
    }
}
