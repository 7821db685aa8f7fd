//! Who asks, and whether they may: one decision function, tokens, logins.

pub mod condition;
pub(crate) mod keys;
pub(crate) mod login;
pub mod passwords;
pub mod policy;
pub mod role;
pub mod scope_map;
pub mod subject;
pub(crate) mod throttle;
pub mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kogge_meta::Registry;
use kogge_types::access::Actions;
use kogge_types::{Action, RegistryId, RepositoryName, RepositoryPattern, ResourceId, ResourceScope, Scope};

use crate::auth::policy::{Denial, Policy};
use crate::auth::subject::{PrincipalId, Subject};
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
    /// The groups that an outside issuer vouches for.
    pub(crate) groups: Arc<[[u8; 16]]>,
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
        Self { principal, groups: Arc::default(), name, bound, until_us: None }
    }

    #[must_use]
    pub(crate) fn in_groups(self, groups: Arc<[[u8; 16]]>) -> Self {
        Self { groups, ..self }
    }

    /// The caller's id in the directory, where it has one.
    pub fn object_id(&self) -> Option<ResourceId> {
        match self.principal {
            PrincipalId::Directory(id) | PrincipalId::Outside(id) => Some(ResourceId::from_bytes(id)),
            PrincipalId::Anonymous | PrincipalId::Token(_) | PrincipalId::AdminUser(_) => None,
        }
    }

    /// Who the caller is, as the policy asks.
    pub fn subject(&self) -> Subject<'_> {
        Subject { id: self.principal, groups: &self.groups }
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
            && policy.authorize(self.subject(), registry, action, repository).is_ok()
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
        policy.listable(self.subject(), registry)
    }

    /// Whether a listing may show the repository of this name.
    pub(crate) fn may_list(&self, policy: &Policy, registry: &Registry, name: &str) -> bool {
        name.parse().is_ok_and(|name| policy.may_list(self.subject(), registry, &name))
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
            Credential::Bearer { token } => match self.verify_access_token(registry, token) {
                // Another node may have made the key, or the principal, a moment ago.
                Err(_) if self.is_shared() => {
                    self.catch_up().await?;
                    Ok(self.verify_access_token(registry, token))
                }
                verified => Ok(verified),
            },
            Credential::Basic { name, password } => {
                if self.is_shared() && !self.has_user(name) {
                    self.catch_up().await?;
                }
                self.check_password(registry, name, password, client).await
            }
        }
    }

    /// Whether `caller` runs the deployment, and shows its password for it: a token may have got around.
    pub fn operates(&self, caller: &Caller) -> bool {
        !caller.is_bounded() && self.policy.load().operates(caller.subject())
    }

    /// Whether the caller's roles allow `action`, whatever its token is bounded to: what another token could do.
    pub fn could(&self, caller: &Caller, registry: &Registry, action: Action, repository: &RepositoryName) -> bool {
        self.policy.load().authorize(caller.subject(), registry, action, Some(repository)).is_ok()
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

    /// Why the policy does not let `caller` do `action`; `None` when only the bound of its token forbids it, or nothing.
    pub fn denial(
        &self,
        caller: &Caller,
        registry: &Registry,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> Option<Denial> {
        self.policy.load().authorize(caller.subject(), registry, action, repository).err()
    }

    /// Whether `caller` may do `action` of the management API on the resource at `scope`, a path in lower case. Who comes
    /// with a token for the data plane may do nothing there.
    pub fn authorize_management(&self, caller: &Caller, action: &str, scope: &str) -> Result<(), Denial> {
        if caller.is_bounded() {
            return Err(Denial::NoRole);
        }
        self.policy.load().authorize_management(caller.subject(), action, scope)
    }
}

pub(crate) fn every_action(actions: Actions) -> impl Iterator<Item = Action> {
    Action::OF_REPOSITORY.into_iter().chain([Action::Catalog]).filter(move |action| actions.contains(*action))
}

#[cfg(test)]
mod tests;
