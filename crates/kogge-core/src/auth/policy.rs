//! The policy: who has which role where, and the functions that decide.

mod load;
pub(crate) mod member;
pub mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use kogge_meta::Registry;
use kogge_types::access::Actions;
use kogge_types::{Action, RegistryId, RegistryName, RepositoryName, RepositoryPattern, ResourceId};

use crate::auth::condition::{self, Condition};
use crate::auth::policy::member::{Member, RepositoryToken, Secrets};
use crate::auth::policy::rules::RegistryRules;
use crate::auth::role::{self, RoleDefinition, RoleMode};
use crate::auth::subject::{PrincipalId, Subject};

/// A role held by a principal on a scope.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    role: Arc<RoleDefinition>,
    /// What the role gives on the data plane of a registry in each mode: looked up at every request.
    legacy: Actions,
    abac: Actions,
    /// A path in lower case, or `/` for everything.
    scope: String,
    condition: Option<Condition>,
}

impl Grant {
    fn covers(&self, path: &str) -> bool {
        self.scope == "/"
            || path.strip_prefix(self.scope.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn actions(&self, mode: RoleMode) -> Actions {
        match mode {
            RoleMode::LegacyRegistryPermissions => self.legacy,
            RoleMode::AbacRepositoryPermissions => self.abac,
        }
    }

    /// Whether the condition, if there is one, lets `action` through on `repository`. Conditions name the actions of
    /// repository permissions, whichever way the role gives the right.
    fn admits(&self, action: Action, repository: &RepositoryName) -> bool {
        let action = role::action_of(action, RoleMode::AbacRepositoryPermissions);
        let request = condition::Request { action, repository: Some(repository.as_str()) };
        self.condition.as_ref().is_none_or(|condition| condition.evaluate(&request))
    }
}

/// Why something is not allowed: for the log and the audit, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("anonymous callers may do nothing here")]
    Anonymous,
    #[error("the principal is gone")]
    NoPrincipal,
    #[error("the principal is disabled")]
    Disabled,
    #[error("the credential belongs to another registry")]
    OtherRegistry,
    #[error("the token's scope map does not allow it")]
    ScopeMap,
    #[error("no role of the principal allows it")]
    NoRole,
}

/// Everything but the repository-scoped tokens, which may be many.
#[derive(Debug, Default)]
struct Directory {
    registries: HashMap<RegistryName, Arc<RegistryRules>>,
    registry_ids: HashMap<RegistryId, Arc<RegistryRules>>,
    members: HashMap<[u8; 16], Arc<Member>>,
    /// Users by name, service principals and managed identities by application id.
    logins: HashMap<Arc<str>, Arc<Member>>,
    admin_users: HashMap<RegistryId, Secrets>,
    grants: HashMap<[u8; 16], Vec<Grant>>,
    roles: HashMap<ResourceId, Arc<RoleDefinition>>,
}

/// The repository-scoped tokens of all registries.
#[derive(Debug, Default, Clone)]
struct Tokens {
    tokens: HashMap<ResourceId, Arc<RepositoryToken>>,
    names: HashMap<(RegistryId, Arc<str>), ResourceId>,
}

/// A state of the whole policy, in memory.
#[derive(Debug, Default, Clone)]
pub struct Policy {
    directory: Arc<Directory>,
    tokens: Arc<Tokens>,
}

/// The policy in force, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct PolicyCell {
    policy: ArcSwap<Policy>,
    /// Held from reading a policy to putting it in force, so that an older one never replaces a newer: how many of
    /// those who asked for it are served.
    loading: tokio::sync::Mutex<u64>,
    /// How many have asked for the policy to be read.
    asked: AtomicU64,
}

impl PolicyCell {
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Policy>> {
        self.policy.load()
    }
}

impl Policy {
    pub(crate) fn member(&self, id: &[u8; 16]) -> Option<&Arc<Member>> {
        self.directory.members.get(id)
    }

    /// The user of this name, or the service principal or managed identity of this application id, in any case.
    pub(crate) fn member_named(&self, login: &str) -> Option<&Arc<Member>> {
        let logins = &self.directory.logins;
        let by_id = || logins.get(login.parse::<ResourceId>().ok()?.to_string().as_str());
        logins.get(login).or_else(by_id)
    }

    pub(crate) fn token_named(&self, registry: RegistryId, name: &str) -> Option<&Arc<RepositoryToken>> {
        let id = self.tokens.names.get(&(registry, Arc::from(name.to_ascii_lowercase())))?;
        self.tokens.tokens.get(id)
    }

    /// The passwords of a registry's admin user, while it is enabled.
    pub(crate) fn admin_user(&self, registry: RegistryId) -> Option<&Secrets> {
        let enabled = self.rules(registry).is_some_and(|rules| rules.admin_user);
        self.directory.admin_users.get(&registry).filter(|_| enabled)
    }

    pub(crate) fn rules(&self, registry: RegistryId) -> Option<&Arc<RegistryRules>> {
        self.directory.registry_ids.get(&registry)
    }

    /// The role of this id, built in or the deployment's own.
    pub fn role(&self, id: &ResourceId) -> Option<&Arc<RoleDefinition>> {
        self.directory.roles.get(id)
    }

    /// Changes when what was issued to the principal shall end; `None` when it is gone or disabled.
    pub(crate) fn epoch(&self, principal: PrincipalId) -> Option<i64> {
        match principal {
            PrincipalId::Anonymous | PrincipalId::Outside(_) => Some(0),
            PrincipalId::Directory(id) => self.member(&id).filter(|member| member.enabled).map(|member| member.epoch),
            PrincipalId::Token(id) => {
                self.tokens.tokens.get(&id).filter(|token| token.enabled).map(|token| token.secrets.epoch())
            }
            PrincipalId::AdminUser(registry) => self.admin_user(registry).map(Secrets::epoch),
        }
    }

    /// The decision on the data plane: whether `subject` may do `action` on `repository` (or on the registry itself)
    /// of `registry`.
    pub fn authorize(
        &self,
        subject: Subject<'_>,
        registry: &Registry,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> Result<(), Denial> {
        let rules = self.rules(registry.id).ok_or(Denial::NoPrincipal)?;
        if rules.is_public(action, repository) {
            return Ok(());
        }
        let yes = |allowed: bool, denial: Denial| if allowed { Ok(()) } else { Err(denial) };
        match subject.id {
            PrincipalId::Anonymous => Err(Denial::Anonymous),
            PrincipalId::AdminUser(id) => {
                yes(id == registry.id, Denial::OtherRegistry)?;
                yes(rules.admin_user, Denial::Disabled)
            }
            PrincipalId::Token(id) => {
                let token = self.tokens.tokens.get(&id).ok_or(Denial::NoPrincipal)?;
                yes(token.registry == registry.id, Denial::OtherRegistry)?;
                yes(token.enabled, Denial::Disabled)?;
                let allowed = repository.is_some_and(|repository| token.rights.allows(action, repository));
                yes(allowed, Denial::ScopeMap)
            }
            PrincipalId::Directory(_) | PrincipalId::Outside(_) => {
                let mut grants = self.grants_on(subject, &rules.path)?;
                let allowed = grants.any(|grant| {
                    grant.actions(rules.mode).contains(action)
                        && repository.is_none_or(|repository| grant.admits(action, repository))
                });
                yes(allowed, Denial::NoRole)
            }
        }
    }

    /// The decision on the management plane: whether `subject` may do `action` (`Microsoft.ContainerRegistry/…/read`) on
    /// the resource at `scope`, a path in lower case.
    pub fn authorize_management(&self, subject: Subject<'_>, action: &str, scope: &str) -> Result<(), Denial> {
        let mut grants = self.grants_on(subject, scope)?;
        let request = condition::Request { action, repository: None };
        let allowed = grants.any(|grant| {
            grant.role.allows_management(action)
                && grant.condition.as_ref().is_none_or(|condition| condition.evaluate(&request))
        });
        if allowed { Ok(()) } else { Err(Denial::NoRole) }
    }

    /// The roles that `subject` holds on `path`, itself and by its groups.
    fn grants_on<'a>(&'a self, subject: Subject<'a>, path: &'a str) -> Result<impl Iterator<Item = &'a Grant>, Denial> {
        let (id, groups) = match subject.id {
            PrincipalId::Anonymous => return Err(Denial::Anonymous),
            PrincipalId::Token(_) | PrincipalId::AdminUser(_) => return Err(Denial::NoRole),
            PrincipalId::Outside(id) => (id, subject.groups),
            PrincipalId::Directory(id) => {
                let member = self.member(&id).ok_or(Denial::NoPrincipal)?;
                if !member.enabled {
                    return Err(Denial::Disabled);
                }
                (id, member.groups.as_slice())
            }
        };
        let holders = std::iter::once(id).chain(groups.iter().copied());
        let grants = holders.filter_map(|holder| self.directory.grants.get(&holder)).flatten();
        Ok(grants.filter(move |grant| grant.covers(path)))
    }

    /// Whether `subject` is Owner of everything there is.
    pub(crate) fn operates(&self, subject: Subject<'_>) -> bool {
        let is_owner = |grant: &Grant| grant.role.id == role::OWNER && grant.condition.is_none();
        self.grants_on(subject, "/").is_ok_and(|mut grants| grants.any(is_owner))
    }

    fn catalog_grants<'a>(&'a self, subject: Subject<'a>, rules: &'a RegistryRules) -> impl Iterator<Item = &'a Grant> {
        let grants = self.grants_on(subject, &rules.path).into_iter().flatten();
        grants.filter(|grant| grant.actions(rules.mode).contains(Action::Catalog))
    }

    /// Patterns that hold every repository of `registry` that `subject` may list, and perhaps others: what they find is
    /// asked of [`Policy::may_list`].
    pub(crate) fn listable(&self, subject: Subject<'_>, registry: &Registry) -> Vec<RepositoryPattern> {
        let Some(rules) = self.rules(registry.id) else { return Vec::new() };
        if subject.id == PrincipalId::AdminUser(registry.id) && rules.admin_user {
            return vec![RepositoryPattern::All];
        }
        let mut patterns = rules.anonymous.clone();
        for grant in self.catalog_grants(subject, rules) {
            let action = catalog_action(rules.mode);
            let action = role::action_of(action, RoleMode::AbacRepositoryPermissions);
            match grant.condition.as_ref().and_then(|condition| condition.repository_patterns(action)) {
                None => return vec![RepositoryPattern::All],
                Some(found) => patterns.extend(found),
            }
        }
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }

    /// Whether a listing may show `repository` to `subject`.
    pub(crate) fn may_list(&self, subject: Subject<'_>, registry: &Registry, repository: &RepositoryName) -> bool {
        let Some(rules) = self.rules(registry.id) else { return false };
        if rules.is_public(Action::Pull, Some(repository)) {
            return true;
        }
        if subject.id == PrincipalId::AdminUser(registry.id) {
            return rules.admin_user;
        }
        self.catalog_grants(subject, rules).any(|grant| grant.admits(catalog_action(rules.mode), repository))
    }
}

/// The action by which conditions bound a catalog: where a role gives the catalog with the right to pull, what may be
/// pulled is what is listed.
fn catalog_action(mode: RoleMode) -> Action {
    match mode {
        RoleMode::LegacyRegistryPermissions => Action::Pull,
        RoleMode::AbacRepositoryPermissions => Action::Catalog,
    }
}
