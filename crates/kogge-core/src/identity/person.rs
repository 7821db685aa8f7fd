//! People log in with a name and a password.

use std::sync::Arc;

use kogge_meta::PrincipalKind;

use crate::auth::LoginError;
use crate::auth::policy::member::Member;
use crate::auth::subject::PrincipalId;
use crate::core::Core;
use crate::identity::audience::Wanted;
use crate::identity::refusal::{Granted, Refusal, Word, refuse};
use crate::identity::token::{Bearer, TokenSet};
use crate::identity::{Desk, refresh};

/// A person who has just logged in.
#[derive(Debug, Clone)]
pub struct Person(pub(crate) Arc<Member>);

impl Person {
    /// The name to log.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

const WRONG: &str = "the user name or the password is wrong";

impl Core {
    /// Checks a person's password. Failures are held back by address and by account.
    pub async fn log_in_person(&self, desk: &Desk<'_>, name: &str, password: &str) -> Granted<Person> {
        let checked = self.check_directory_login(name, password, desk.client).await?;
        let caller = match checked {
            Ok(caller) => caller,
            Err(LoginError::Throttled { retry_after }) => return Err(Refusal::throttled(retry_after).into()),
            Err(LoginError::Password | LoginError::Token) => return refuse(Word::InvalidGrant, WRONG),
        };
        let PrincipalId::Directory(id) = caller.principal else { return refuse(Word::InvalidGrant, WRONG) };
        let member = self.policy.load().member(&id).cloned();
        match member.filter(|member| member.kind == PrincipalKind::User) {
            Some(member) => Ok(Person(member)),
            None => refuse(Word::InvalidGrant, WRONG),
        }
    }

    /// The password grant (RFC 6749, 4.3): for command lines without a browser.
    pub async fn password_grant(
        &self,
        desk: &Desk<'_>,
        client: &str,
        name: &str,
        password: &str,
        wanted: &Wanted,
    ) -> Granted<TokenSet> {
        self.require_client(client)?;
        let audiences = self.identity_settings().audiences();
        let audience = wanted.resolve(&audiences)?;
        let person = self.log_in_person(desk, name, password).await?;
        self.greet(desk, &person.0, client, audience, wanted.openid, None).await
    }

    /// Tokens for somebody who has just logged in, with one to come back with.
    pub(crate) async fn greet(
        &self,
        desk: &Desk<'_>,
        member: &Member,
        client: &str,
        audience: &str,
        openid: bool,
        nonce: Option<&str>,
    ) -> Granted<TokenSet> {
        let family = refresh::FamilyId::random(self.entropy.as_ref());
        let begun = refresh::Begun::new(self, family, member, client, audience);
        let (token, grant) = (begun.token, begun.grant);
        self.meta
            .write(move |tx| {
                tx.put_grant(&grant)?;
                Ok::<_, crate::error::Error>(kogge_meta::Commit::quiet(()))
            })
            .await?;
        let tokens = self.issue_tokens(desk, &Bearer { member, client, audience, nonce, openid })?;
        Ok(TokenSet { refresh_token: Some(token), ..tokens })
    }

    /// Refuses a client that people may not log in with.
    pub(crate) fn require_client(&self, client: &str) -> Granted<()> {
        match self.identity_settings().client(client) {
            Some(_) => Ok(()),
            None => refuse(Word::UnauthorizedClient, "this client is not known here"),
        }
    }

    /// The member of this id, if it may still log in as it did in `epoch`.
    pub(crate) fn member_of(&self, id: Option<[u8; 16]>, epoch: i64) -> Option<Arc<Member>> {
        let member = self.policy.load().member(&id?).cloned()?;
        (member.enabled && member.epoch == epoch).then_some(member)
    }
}
