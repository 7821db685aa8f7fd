//! The client credentials grant (RFC 6749, 4.4): programs that log in by themselves.

use std::sync::Arc;

use kogge_meta::{Commit, Credential, CredentialKind, Grant, GrantKind, PrincipalKind};
use kogge_types::{ResourceId, limits};

use crate::auth::LoginError;
use crate::auth::policy::member::Member;
use crate::auth::subject::PrincipalId;
use crate::core::Core;
use crate::error::Error;
use crate::identity::Desk;
use crate::identity::assertion::{self, Expected, Held};
use crate::identity::audience::Wanted;
use crate::identity::certificate::Certificate;
use crate::identity::federation::Federation;
use crate::identity::jwt::{Unverified, assertion_skew_us};
use crate::identity::refusal::{Granted, Refusal, Word, refuse};
use crate::identity::token::{Bearer, TokenSet};

/// How a program proves who it is.
#[derive(Clone, Copy)]
pub enum ClientProof<'a> {
    Secret(&'a str),
    /// A signed token: of the client itself, or of an outside issuer.
    Assertion(&'a str),
}

/// Says nothing of which part is wrong.
const WRONG: &str = "the client is unknown, or what it proves itself with is wrong or has ended";

impl Core {
    /// Tokens for a service principal or a managed identity. Failures are held back by address and by client.
    pub async fn client_credentials(
        &self,
        desk: &Desk<'_>,
        client: &str,
        proof: ClientProof<'_>,
        wanted: &Wanted,
    ) -> Granted<TokenSet> {
        let audiences = self.identity_settings().audiences();
        let audience = wanted.resolve(&audiences)?;
        let Ok(id) = client.parse::<ResourceId>() else { return refuse(Word::InvalidClient, WRONG) };
        let client = id.to_string();
        let member = match proof {
            ClientProof::Secret(secret) => self.check_client_secret(desk, &client, secret).await?,
            ClientProof::Assertion(token) => self.check_client_assertion(desk, &client, token).await?,
        };
        let bearer = Bearer { member: &member, client: &client, audience, nonce: None, openid: false };
        Ok(self.issue_tokens(desk, &bearer)?)
    }

    async fn check_client_secret(&self, desk: &Desk<'_>, client: &str, secret: &str) -> Granted<Arc<Member>> {
        let caller = match self.check_directory_login(client, secret, desk.client).await? {
            Ok(caller) => caller,
            Err(LoginError::Throttled { retry_after }) => return Err(Refusal::throttled(retry_after).into()),
            Err(LoginError::Password | LoginError::Token) => return refuse(Word::InvalidClient, WRONG),
        };
        match (caller.principal, self.program(client)) {
            (PrincipalId::Directory(id), Some(member)) if member.id == id => Ok(member),
            _ => refuse(Word::InvalidClient, WRONG),
        }
    }

    /// The program of this client id, while it may log in.
    fn program(&self, client: &str) -> Option<Arc<Member>> {
        let member = self.policy.load().member_named(client).cloned()?;
        let program = matches!(member.kind, PrincipalKind::ServicePrincipal | PrincipalKind::ManagedIdentity);
        (program && member.enabled).then_some(member)
    }

    async fn check_client_assertion(&self, desk: &Desk<'_>, client: &str, token: &str) -> Granted<Arc<Member>> {
        let throttle = self.logins.throttle();
        let _admission = throttle.admit(client, desk.client).map_err(Refusal::throttled)?;
        match self.judge_assertion(desk, client, token).await? {
            Some(member) => {
                throttle.note_success(client, desk.client);
                Ok(member)
            }
            None => {
                throttle.note_failure(client, desk.client);
                refuse(Word::InvalidClient, WRONG)
            }
        }
    }

    async fn judge_assertion(&self, desk: &Desk<'_>, client: &str, token: &str) -> Granted<Option<Arc<Member>>> {
        let (Some(member), Some(assertion)) = (self.program(client), Unverified::read(token)) else { return Ok(None) };
        let owner = member.id;
        let now_us = self.now_us();
        let credentials = self.meta.read(move |snapshot| snapshot.credentials(&owner)).await?;
        let alive =
            |credential: &Credential| credential.expires_at_us.is_none_or(|expires_at_us| now_us < expires_at_us);
        let credentials: Vec<Credential> = credentials.into_iter().filter(alive).collect();
        let own = assertion.claimed("iss").is_some_and(|issuer| issuer.eq_ignore_ascii_case(client));
        let good = if own {
            let of_kind = credentials.iter().filter(|credential| credential.kind == CredentialKind::Certificate);
            let certificates: Vec<_> = of_kind.filter_map(|c| Certificate::read(&c.value).ok()).collect();
            let expected = Expected { client, issuer: desk.issuer, now_us };
            match assertion::check(&assertion, &certificates, &expected) {
                Some(held) => self.is_first_use(held).await?,
                None => false,
            }
        } else {
            self.is_federated(&assertion, &credentials).await
        };
        Ok(good.then_some(member))
    }

    /// Notes that an assertion was used. False when it was used before.
    async fn is_first_use(&self, held: Held) -> Granted<bool> {
        let now_us = self.now_us();
        let first = self
            .meta
            .write(move |tx| {
                let first = tx.grant(&held.hash)?.is_none();
                if first {
                    tx.put_grant(&Grant {
                        hash: held.hash,
                        kind: GrantKind::Assertion,
                        principal: None,
                        payload: String::new(),
                        created_at_us: now_us,
                        expires_at_us: held.until_us,
                    })?;
                }
                Ok::<_, Error>(Commit::quiet(first))
            })
            .await?;
        Ok(first)
    }

    /// Whether an outside issuer vouches for the client. Such a token is shown as often as its issuer lets it live.
    async fn is_federated(&self, token: &Unverified<'_>, credentials: &[Credential]) -> bool {
        let Some(issuer) = token.claimed("iss") else { return false };
        let rules: Vec<Federation> =
            credentials.iter().filter_map(Federation::read).filter(|rule| rule.issuer == issuer).collect();
        // Only issuers that somebody registered are ever asked for keys.
        if rules.is_empty() {
            return false;
        }
        let loopback = self.identity_settings().loopback_issuers;
        let Some(claims) = self.identity.issuers.verify(issuer, token, loopback).await else { return false };
        claims.alive_until_us(self.now_us(), assertion_skew_us()).is_some()
            && rules.iter().any(|rule| rule.admits(&claims))
    }

    /// Forgets codes, logins and assertions that have ended.
    pub(crate) async fn purge_grants(&self) -> crate::error::Result<()> {
        let now_us = self.now_us();
        while self.meta.write(move |tx| tx.purge_grants(now_us, limits::WORK_BATCH_ROWS).map(Commit::quiet)).await? > 0
        {
        }
        Ok(())
    }
}
