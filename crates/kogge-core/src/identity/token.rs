//! The authority's tokens: an access token for one audience, and for people an account of who logged in.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use jsonwebtoken::{Algorithm, Validation};
use kogge_meta::{PrincipalKind, Registry};
use kogge_types::digest::hex;
use kogge_types::{ResourceId, clock, limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::policy::member::Member;
use crate::auth::subject::PrincipalId;
use crate::auth::{Caller, LoginError};
use crate::core::Core;
use crate::error::Result;
use crate::identity::Desk;
use crate::identity::audience::trimmed;
use crate::identity::jwt::{Claims, SECOND_US, Unverified};
use crate::identity::settings::{IdentitySettings, OutsideIssuer};

/// What every issuer of ours ends with.
const ISSUER_END: &str = "/adfs";
const VERSION: &str = "1.0";

/// What a token is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The management API.
    Management,
    /// A login to a registry.
    Registry,
    /// The directory API.
    Directory,
}

/// Whether a person or a program stands behind a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    App,
    User,
}

/// An access token's claims, as Entra ID writes them (version 1.0), and the principal's epoch.
#[derive(Debug, Serialize, Deserialize)]
struct AccessClaims {
    iss: String,
    aud: String,
    sub: ResourceId,
    oid: ResourceId,
    tid: String,
    /// The program that asked: a service principal itself, or the client that a person uses.
    appid: String,
    idtyp: Kind,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scp: Option<String>,
    /// Seconds since the Unix epoch, as are `nbf` and `exp`.
    iat: i64,
    nbf: i64,
    exp: i64,
    uti: String,
    ver: String,
    epoch: i64,
}

/// What a successful token request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    pub access_token: String,
    pub life: Duration,
    /// Whom the access token is for.
    pub audience: String,
    /// Who logged in, when the client asked for it.
    pub id_token: Option<String>,
    /// What the client comes back with when the access token has ended.
    pub refresh_token: Option<String>,
    /// Who logged in, and in which directory.
    pub principal: ResourceId,
    pub name: Arc<str>,
    pub tenant: String,
    /// The access token's id, for logs. It opens nothing.
    pub id: String,
}

/// Who a token is made for, and by whose asking.
pub(crate) struct Bearer<'a> {
    pub(crate) member: &'a Member,
    /// The client that asked.
    pub(crate) client: &'a str,
    pub(crate) audience: &'a str,
    /// What binds an identity token to the request of the login.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) openid: bool,
}

impl IdentitySettings {
    fn audiences_of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Management => &self.management_audiences,
            Purpose::Registry => &self.registry_audiences,
            Purpose::Directory => &self.directory_audiences,
        }
    }
}

fn holds(audiences: &[String], audience: &str) -> bool {
    audiences.iter().any(|known| trimmed(known) == trimmed(audience))
}

impl Core {
    /// Tokens for `bearer`, without one to come back with.
    pub(crate) fn issue_tokens(&self, desk: &Desk<'_>, bearer: &Bearer<'_>) -> Result<TokenSet> {
        let (member, now) = (bearer.member, self.now_us() / SECOND_US);
        let life = limits::MANAGEMENT_TOKEN_LIFE;
        let id = ResourceId::from_bytes(member.id);
        let person = member.kind == PrincipalKind::User;
        let tenant = self.deployment().tenant.clone();
        let expires = now + i64::try_from(life.as_secs()).unwrap_or(0);
        let claims = AccessClaims {
            iss: desk.issuer.to_owned(),
            aud: bearer.audience.to_owned(),
            sub: id,
            oid: id,
            tid: tenant.clone(),
            appid: bearer.client.to_owned(),
            idtyp: if person { Kind::User } else { Kind::App },
            name: member.name.to_string(),
            upn: person.then(|| member.name.to_string()),
            scp: person.then(|| "user_impersonation".to_owned()),
            iat: now,
            nbf: now,
            exp: expires,
            uti: hex(&clock::random::<16>(self.entropy.as_ref())),
            ver: VERSION.to_owned(),
            epoch: member.epoch,
        };
        let ring = self.keys.load();
        let id_token = (person && bearer.openid).then(|| ring.sign(&id_claims(&claims, bearer))).transpose()?;
        Ok(TokenSet {
            access_token: ring.sign(&claims)?,
            life,
            audience: bearer.audience.to_owned(),
            id_token,
            refresh_token: None,
            principal: id,
            name: Arc::clone(&member.name),
            tenant,
            id: claims.uti,
        })
    }

    /// Who calls the management API with `token`.
    ///
    /// # Errors
    /// A token that is malformed, unsigned, signed by nobody we trust, ended, for something else, or whose owner is
    /// gone, disabled or has new credentials.
    pub async fn verify_management_token(&self, token: &str) -> Result<Caller, LoginError> {
        self.verify_token_for(Purpose::Management, token).await
    }

    /// Who shows `token` for `purpose`.
    ///
    /// # Errors
    /// As [`Core::verify_management_token`].
    pub async fn verify_token_for(&self, purpose: Purpose, token: &str) -> Result<Caller, LoginError> {
        let settings = self.identity_settings();
        let other = settings.audiences_of(Purpose::Registry);
        let outside = |audience: &str| match purpose {
            Purpose::Management => !holds(other, audience),
            Purpose::Registry => holds(other, audience),
            Purpose::Directory => false,
        };
        let own = |audience: &str| holds(settings.audiences_of(purpose), audience);
        self.verify_issued(token, &settings, own, outside).await
    }

    /// Who logs in to `registry` with a token of the authority or of a trusted issuer (`/oauth2/exchange`). Tokens for
    /// the management API are taken while the registry's policy says so.
    ///
    /// # Errors
    /// As [`Core::verify_management_token`].
    pub async fn verify_exchange_token(&self, registry: &Registry, token: &str) -> Result<Caller, LoginError> {
        let settings = self.identity_settings();
        let arm = self.policy.load().rules(registry.id).is_some_and(|rules| rules.arm_tokens);
        let own = |audience: &str| {
            holds(settings.audiences_of(Purpose::Registry), audience)
                || (arm && holds(settings.audiences_of(Purpose::Management), audience))
        };
        let outside = |audience: &str| arm || holds(settings.audiences_of(Purpose::Registry), audience);
        self.verify_issued(token, &settings, own, outside).await
    }

    async fn verify_issued(
        &self,
        token: &str,
        settings: &IdentitySettings,
        own: impl Fn(&str) -> bool,
        outside: impl Fn(&str) -> bool,
    ) -> Result<Caller, LoginError> {
        let unverified = Unverified::read(token).ok_or(LoginError::Token)?;
        let issuer = unverified.claimed("iss").and_then(|issuer| settings.issuer(issuer));
        let caller = match issuer {
            None => self.verify_own(token, own),
            Some(issuer) => {
                let loopback = settings.loopback_issuers;
                let claims = self.identity.issuers.verify(&issuer.issuer, &unverified, loopback).await;
                claims.and_then(|claims| self.outside_caller(issuer, &claims, outside))
            }
        };
        caller.ok_or(LoginError::Token)
    }

    fn verify_own(&self, token: &str, for_us: impl Fn(&str) -> bool) -> Option<Caller> {
        let ring = self.keys.load();
        let key = &ring.signer_of(token)?.verifying;
        let mut validation = Validation::new(Algorithm::ES256);
        // Judged below, by the clock of the installation.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<AccessClaims>(token, key, &validation).ok()?.claims;
        let (now_us, skew_us) = (self.now_us(), clock::micros(limits::TOKEN_SKEW));
        let expires_at_us = claims.exp.saturating_mul(SECOND_US);
        let alive = now_us < expires_at_us && now_us >= claims.nbf.saturating_mul(SECOND_US).saturating_sub(skew_us);
        let ours = claims.iss.ends_with(ISSUER_END) && claims.ver == VERSION && claims.tid == self.deployment().tenant;
        let id = *claims.oid.as_bytes();
        let policy = self.policy.load();
        let of_now = policy.epoch(PrincipalId::Directory(id)) == Some(claims.epoch);
        if !(alive && ours && of_now && for_us(&claims.aud)) {
            return None;
        }
        let name = policy.member(&id).map(|member| Arc::clone(&member.name))?;
        Some(Caller::new(PrincipalId::Directory(id), name, None))
    }

    /// Whom an outside issuer vouches for. It cannot vouch for anybody of the deployment's own directory.
    fn outside_caller(
        &self,
        issuer: &OutsideIssuer,
        claims: &Claims,
        for_this: impl Fn(&str) -> bool,
    ) -> Option<Caller> {
        claims.alive_until_us(self.now_us(), clock::micros(limits::ASSERTION_SKEW))?;
        if !claims.is_for(|audience| holds(&issuer.audiences, audience) && for_this(audience)) {
            return None;
        }
        let policy = self.policy.load();
        let subject = claims.text("sub")?;
        let claimed = claims.text(&issuer.principal_claim).and_then(|id| id.parse::<ResourceId>().ok());
        let id = claimed.map_or_else(|| derived(&issuer.issuer, subject), |id| *id.as_bytes());
        if policy.member(&id).is_some() {
            return None;
        }
        let groups = claims.get(&issuer.groups_claim).and_then(Value::as_array);
        let groups = groups.into_iter().flatten().filter_map(|group| group.as_str()?.parse::<ResourceId>().ok());
        let groups: Vec<[u8; 16]> = groups.map(|group| *group.as_bytes()).take(limits::OUTSIDE_GROUPS_MAX).collect();
        let groups = groups.into_iter().filter(|group| policy.member(group).is_none()).collect();
        let names = ["preferred_username", "upn", "unique_name", "email", "appid", "azp"];
        let name = names.iter().find_map(|name| claims.text(name)).unwrap_or(subject);
        let name: String = name.chars().filter(|c| !c.is_control()).take(limits::QUOTED_CHARS_MAX).collect();
        Some(Caller::new(PrincipalId::Outside(id), name.into(), None).in_groups(groups))
    }
}

/// The id of somebody whose issuer gives none: a UUID made of the issuer and its subject (RFC 9562, 5.8).
pub(crate) fn derived(issuer: &str, subject: &str) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in [issuer, subject] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&context.finish().as_ref()[..16]);
    uuid(id, 8)
}

/// `bytes` with the marks of a UUID of this version (RFC 9562, 4).
pub(crate) fn uuid(mut bytes: [u8; 16], version: u8) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// The account of who logged in (OpenID Connect Core 1.0, 2). It is for the client alone: nothing here takes it.
fn id_claims(access: &AccessClaims, bearer: &Bearer<'_>) -> Value {
    let mut claims = json!({
        "iss": access.iss,
        "aud": bearer.client,
        "sub": access.sub,
        "oid": access.oid,
        "tid": access.tid,
        "name": access.name,
        "upn": access.upn,
        "unique_name": access.upn,
        "preferred_username": access.upn,
        "iat": access.iat,
        "nbf": access.nbf,
        "exp": access.exp,
        "ver": VERSION,
    });
    if let Some(nonce) = bearer.nonce {
        claims["nonce"] = nonce.into();
    }
    claims
}
