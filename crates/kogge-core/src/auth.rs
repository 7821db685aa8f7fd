//! Who asks, and whether they may: one decision function, tokens, logins.

pub(crate) mod keys;
pub(crate) mod login;
pub mod policy;
mod throttle;
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kogge_meta::Registry;
use kogge_types::access::Actions;
use kogge_types::{Action, RegistryId, RepositoryName, RepositoryPattern, ResourceScope, Scope};

use crate::auth::policy::{Policy, PrincipalId};
use crate::core::Core;
use crate::error::Result;

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    None,
    Basic { name: &'a str, password: &'a str },
    Bearer { token: &'a str },
}

/// Why a credential is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("the user name or the password is wrong")]
    Password,
    #[error(
        "the token is not valid: it is malformed, expired, of another registry, or its owner's rights have changed"
    )]
    Token,
    #[error("too many failed logins; wait and try again")]
    Throttled { retry_after: Duration },
}

/// A caller, authenticated.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) principal: PrincipalId,
    /// For logs.
    name: Arc<str>,
    /// What a token bounds the caller to, in one registry. A caller with a password is not bounded.
    bound: Option<Arc<Bound>>,
    /// When the token that the caller came with ends, in microseconds since the Unix epoch: no token made from it
    /// lives longer.
    pub(crate) until_us: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) registry: RegistryId,
    pub(crate) scopes: Vec<Scope>,
}

impl Bound {
    fn covers(&self, registry: &Registry, action: Action, repository: Option<&RepositoryName>) -> bool {
        self.registry == registry.id
            && self.scopes.iter().any(|scope| {
                scope.actions.contains(action)
                    && match (&scope.resource, repository) {
                        (ResourceScope::Catalog, None) => true,
                        (ResourceScope::Repository(name), Some(repository)) => name == repository,
                        (ResourceScope::Catalog, Some(_)) | (ResourceScope::Repository(_), None) => false,
                    }
            })
    }
}

impl Caller {
    pub fn anonymous() -> Self {
        Self::new(PrincipalId::Anonymous, Arc::from(""), None)
    }

    pub(crate) fn new(principal: PrincipalId, name: Arc<str>, bound: Option<Arc<Bound>>) -> Self {
        Self { principal, name, bound, until_us: None }
    }

    #[must_use]
    pub(crate) fn until(self, until_us: i64) -> Self {
        Self { until_us: Some(until_us), ..self }
    }

    /// The name to log; empty for an anonymous caller.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_anonymous(&self) -> bool {
        self.principal == PrincipalId::Anonymous
    }

    /// Whether a token bounds what the caller may do.
    pub fn is_bounded(&self) -> bool {
        self.bound.is_some()
    }

    /// Whether the caller may do `action`, by policy and by the bound of its token.
    pub fn allows(
        &self,
        policy: &Policy,
        registry: &Registry,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> bool {
        self.bound.as_ref().is_none_or(|bound| bound.covers(registry, action, repository))
            && policy.authorize(self.principal, registry, action, repository).is_ok()
    }

    /// The repositories that the caller's token names; `None` when nothing bounds it.
    pub(crate) fn bounded_repositories(&self) -> Option<Vec<RepositoryName>> {
        let bound = self.bound.as_ref()?;
        let names = bound.scopes.iter().filter_map(|scope| match &scope.resource {
            ResourceScope::Repository(name) => Some(name.clone()),
            ResourceScope::Catalog => None,
        });
        Some(names.collect())
    }

    /// The repositories that the caller may list.
    pub(crate) fn listable(&self, policy: &Policy, registry: &Registry) -> Vec<RepositoryPattern> {
        policy.listable(self.principal, registry)
    }
}

impl Core {
    /// Finds out who sends a request to `registry`.
    ///
    /// # Errors
    /// The inner error says that the credential is refused; the outer one that it could not be judged.
    pub async fn authenticate(
        &self,
        registry: &Registry,
        credential: Credential<'_>,
        client: IpAddr,
    ) -> Result<Result<Caller, LoginError>> {
        match credential {
            Credential::None => Ok(Ok(Caller::anonymous())),
            Credential::Bearer { token } => Ok(self.verify_access_token(registry, token)),
            Credential::Basic { name, password } => self.check_password(registry, name, password, client).await,
        }
    }

    /// Whether `caller` runs the deployment, and shows its password for it: a token may have got around.
    pub fn operates(&self, caller: &Caller) -> bool {
        !caller.is_bounded() && self.policy.load().operates(caller.principal)
    }

    /// Whether the caller's roles allow `action`, whatever its token is bounded to: what another token could do.
    pub fn could(&self, caller: &Caller, registry: &Registry, action: Action, repository: &RepositoryName) -> bool {
        self.policy.load().authorize(caller.principal, registry, action, Some(repository)).is_ok()
    }

    /// Whether `caller` may do `action` on `repository`, or on the registry itself.
    pub fn permits_action(
        &self,
        caller: &Caller,
        registry: &Registry,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> bool {
        caller.allows(&self.policy.load(), registry, action, repository)
    }
}

pub(crate) fn every_action(actions: Actions) -> impl Iterator<Item = Action> {
    Action::OF_REPOSITORY.into_iter().chain([Action::Catalog]).filter(move |action| actions.contains(*action))
}

#[cfg(test)]
mod tests;
