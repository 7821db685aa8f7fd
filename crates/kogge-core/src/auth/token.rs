//! Tokens: JWTs in ACR's form, signed by this region, verified without a look at the database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashlink::LruCache;
use jsonwebtoken::{Algorithm, Validation};
use kogge_meta::Registry;
use kogge_types::access::{AccessEntry, Actions};
use kogge_types::digest::hex;
use kogge_types::{RegistryId, ResourceId, ResourceScope, Scope, clock, limits};
use serde::{Deserialize, Serialize};

use crate::auth::subject::PrincipalId;
use crate::auth::{Bound, Caller, LoginError, every_action};
use crate::core::Core;
use crate::error::Result;

const ISSUER: &str = "Kogge";
const MICROS: i64 = 1_000_000;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GrantType {
    AccessToken,
    RefreshToken,
}

/// The claims of both kinds of token: ACR's, and three of our own.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    jti: String,
    sub: String,
    /// Seconds since the Unix epoch, as are `exp` and `iat`.
    nbf: i64,
    exp: i64,
    iat: i64,
    iss: String,
    /// The login server that the client asked, by whichever name.
    aud: String,
    version: String,
    grant_type: GrantType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    access: Vec<AccessEntry>,
    /// The registry that the token is for.
    registry: RegistryId,
    /// The principal's id; empty for an anonymous token.
    principal: String,
    /// The groups that an outside issuer vouches for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<ResourceId>,
    /// The principal's epoch when the token was made.
    epoch: i64,
}

/// A token and how long it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    pub token: String,
    /// The token's own name, which opens nothing.
    pub id: String,
    pub issued_at_us: i64,
    pub life: Duration,
}

/// A verified signature: everything that does not change while the token lives.
#[derive(Debug)]
struct Verified {
    principal: PrincipalId,
    groups: Arc<[[u8; 16]]>,
    name: Arc<str>,
    epoch: i64,
    not_before_us: i64,
    expires_at_us: i64,
    grant_type: GrantType,
    bound: Arc<Bound>,
}

impl Verified {
    fn caller(&self, bound: Option<Arc<Bound>>) -> Caller {
        let caller = Caller::new(self.principal, Arc::clone(&self.name), bound);
        caller.in_groups(Arc::clone(&self.groups)).until(self.expires_at_us)
    }
}

/// Signature checks that this process has made. A token that is in here is exactly the text that was verified.
#[derive(Debug)]
pub(crate) struct TokenCache(Mutex<LruCache<String, Arc<Verified>>>);

impl TokenCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(limits::TOKEN_CACHE_ENTRIES_MAX)))
    }

    fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// Whether the check of this token is remembered.
    #[cfg(test)]
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.get(token).is_some()
    }

    fn keep(&self, token: &str, verified: &Arc<Verified>) {
        // Whoever gets a token, be it nobody, chooses how long it is.
        if token.len() > limits::TOKEN_CACHED_BYTES_MAX {
            return;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), Arc::clone(verified));
    }
}

impl Core {
    /// An access token for `caller`, bounded to those of `scopes` that it may have now.
    pub fn issue_access_token(
        &self,
        caller: &Caller,
        registry: &Registry,
        audience: &str,
        scopes: &[Scope],
    ) -> Result<IssuedToken> {
        let policy = self.policy.load();
        let granted = scopes.iter().filter_map(|scope| {
            let repository = match &scope.resource {
                ResourceScope::Catalog => None,
                ResourceScope::Repository(name) => Some(name),
            };
            let actions: Actions = every_action(scope.actions)
                .filter(|action| caller.allows(&policy, registry, *action, repository))
                .collect();
            (!actions.is_empty()).then(|| Scope { resource: scope.resource.clone(), actions })
        });
        let access = granted.map(|scope| AccessEntry::from(&scope)).collect();
        self.issue(caller, registry, audience, GrantType::AccessToken, limits::ACCESS_TOKEN_LIFE, access)
    }

    /// A refresh token: an identity at one registry, to be exchanged for access tokens.
    pub fn issue_refresh_token(&self, caller: &Caller, registry: &Registry, audience: &str) -> Result<IssuedToken> {
        self.issue(caller, registry, audience, GrantType::RefreshToken, limits::REFRESH_TOKEN_LIFE, Vec::new())
    }

    fn issue(
        &self,
        caller: &Caller,
        registry: &Registry,
        audience: &str,
        grant_type: GrantType,
        life: Duration,
        access: Vec<AccessEntry>,
    ) -> Result<IssuedToken> {
        let issued_at_us = self.now_us();
        let issued_at = issued_at_us / MICROS;
        let left_us = caller.until_us.map_or(u64::MAX, |until_us| u64::try_from(until_us - issued_at_us).unwrap_or(0));
        let life = Duration::from_secs(life.min(Duration::from_micros(left_us)).as_secs());
        let epoch = self.policy.load().epoch(caller.principal).unwrap_or_default();
        let claims = Claims {
            jti: hex(&clock::random::<16>(self.entropy.as_ref())),
            sub: caller.name().to_owned(),
            nbf: issued_at,
            exp: issued_at + i64::try_from(life.as_secs()).unwrap_or(0),
            iat: issued_at,
            iss: ISSUER.to_owned(),
            aud: audience.to_owned(),
            version: "1.0".to_owned(),
            grant_type,
            access,
            registry: registry.id,
            principal: caller.principal.to_claim(),
            groups: caller.groups.iter().map(|group| ResourceId::from_bytes(*group)).collect(),
            epoch,
        };
        let token = self.keys.load().sign(&claims)?;
        Ok(IssuedToken { token, id: claims.jti, issued_at_us, life })
    }

    pub(crate) fn verify_access_token(&self, registry: &Registry, token: &str) -> Result<Caller, LoginError> {
        let verified = self.verify(registry, token)?;
        match verified.grant_type {
            GrantType::AccessToken => {
                let bound = Some(Arc::clone(&verified.bound));
                Ok(verified.caller(bound))
            }
            GrantType::RefreshToken => Err(LoginError::Token),
        }
    }

    /// Who a refresh token stands for. An access token is taken too, as ACR does, and keeps its bound.
    pub fn verify_refresh_token(&self, registry: &Registry, token: &str) -> Result<Caller, LoginError> {
        let verified = self.verify(registry, token)?;
        let bound = match verified.grant_type {
            GrantType::RefreshToken => None,
            GrantType::AccessToken => Some(Arc::clone(&verified.bound)),
        };
        Ok(verified.caller(bound))
    }

    fn verify(&self, registry: &Registry, token: &str) -> Result<Arc<Verified>, LoginError> {
        let verified = match self.tokens.get(token) {
            Some(verified) => verified,
            None => {
                let verified = Arc::new(self.verify_signature(token).ok_or(LoginError::Token)?);
                self.tokens.keep(token, &verified);
                verified
            }
        };
        let now_us = self.now_us();
        let alive = now_us < verified.expires_at_us
            && now_us >= verified.not_before_us.saturating_sub(clock::micros(limits::TOKEN_SKEW));
        let of_now = self.policy.load().epoch(verified.principal) == Some(verified.epoch);
        if alive && of_now && verified.bound.registry == registry.id { Ok(verified) } else { Err(LoginError::Token) }
    }

    fn verify_signature(&self, token: &str) -> Option<Verified> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        // Time is judged at each use, and the audience by the registry that the token names: a registry has
        // several login servers.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let ring = self.keys.load();
        let key = &ring.signer_of(token)?.verifying;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
        let principal = PrincipalId::from_claim(&claims.principal)?;
        let scopes = claims.access.iter().map(Scope::try_from).collect::<Result<_, _>>().ok()?;
        Some(Verified {
            principal,
            groups: claims.groups.iter().map(|group| *group.as_bytes()).collect(),
            name: claims.sub.into(),
            epoch: claims.epoch,
            not_before_us: claims.nbf.saturating_mul(MICROS),
            expires_at_us: claims.exp.saturating_mul(MICROS),
            grant_type: claims.grant_type,
            bound: Arc::new(Bound { registry: claims.registry, scopes }),
        })
    }
}
