//! The policy: who has which role where, and the one function that decides.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kogge_meta::{Commit, Registry, Snapshot};
use kogge_types::{Action, RegistryId, RegistryName, RepositoryName, RepositoryPattern, clock};

use crate::core::Core;
use crate::error::{Error, Result};

/// Who a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalId {
    Anonymous,
    User([u8; 16]),
}

/// A role: a named set of actions (ACR: "Azure Container Registry roles and permissions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Owner,
    AcrPull,
    AcrPush,
    AcrDelete,
}

/// A role that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is Owner, AcrPull, AcrPush or AcrDelete")]
pub struct RoleError;

impl Role {
    pub const ALL: [Self; 4] = [Self::Owner, Self::AcrPull, Self::AcrPush, Self::AcrDelete];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::AcrPull => "AcrPull",
            Self::AcrPush => "AcrPush",
            Self::AcrDelete => "AcrDelete",
        }
    }

    pub fn allows(self, action: Action) -> bool {
        match self {
            Self::Owner => true,
            Self::AcrPull => matches!(action, Action::Pull | Action::MetadataRead | Action::Catalog),
            Self::AcrPush => matches!(action, Action::Pull | Action::Push | Action::MetadataRead | Action::Catalog),
            Self::AcrDelete => matches!(action, Action::Delete),
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(text)).ok_or(RoleError)
    }
}

/// A role held somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: Role,
    /// One registry, or all.
    pub registry: Option<RegistryId>,
    pub repositories: RepositoryPattern,
}

/// A principal, as the policy knows it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: [u8; 16],
    pub(crate) name: Arc<str>,
    /// The password's hash in PHC form.
    pub(crate) secret: Arc<str>,
    pub(crate) epoch: i64,
    pub(crate) grants: Vec<Grant>,
}

/// Why something is not allowed: for the log and the audit, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("anonymous callers may do nothing here")]
    Anonymous,
    #[error("the principal is gone")]
    NoPrincipal,
    #[error("no role of the principal allows it")]
    NoRole,
}

/// A state of the whole policy, in memory.
#[derive(Debug, Default)]
pub struct Policy {
    registries: HashMap<RegistryName, Arc<Registry>>,
    members: HashMap<[u8; 16], Arc<Member>>,
    names: HashMap<Arc<str>, Arc<Member>>,
    anonymous_pull: bool,
}

/// The policy in force, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct PolicyCell {
    policy: ArcSwap<Policy>,
    /// Held from reading a policy to putting it in force, so that an older one never replaces a newer.
    loading: tokio::sync::Mutex<()>,
}

impl PolicyCell {
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Policy>> {
        self.policy.load()
    }
}

impl Policy {
    fn read(snapshot: &Snapshot<'_>, anonymous_pull: bool) -> Result<Self> {
        let registries = snapshot.registries()?.into_iter().map(|r| (r.name.clone(), Arc::new(r))).collect();
        let mut policy = Self { registries, anonymous_pull, ..Self::default() };
        for principal in snapshot.principals()? {
            let grant = |assignment: kogge_meta::Assignment| {
                // A role that this version does not know gives nothing.
                let role = assignment.role.parse().ok()?;
                Some(Grant { role, registry: assignment.registry, repositories: assignment.repositories })
            };
            let member = Arc::new(Member {
                id: principal.id,
                name: principal.name.into(),
                secret: principal.secret.into(),
                epoch: principal.epoch,
                grants: principal.assignments.into_iter().filter_map(grant).collect(),
            });
            policy.members.insert(member.id, Arc::clone(&member));
            policy.names.insert(Arc::clone(&member.name), member);
        }
        Ok(policy)
    }

    pub(crate) fn member(&self, id: &[u8; 16]) -> Option<&Arc<Member>> {
        self.members.get(id)
    }

    pub(crate) fn member_named(&self, name: &str) -> Option<&Arc<Member>> {
        self.names.get(name)
    }

    /// The decision: whether `principal` may do `action` on `repository` (or on the registry itself) of `registry`.
    pub fn authorize(
        &self,
        principal: PrincipalId,
        registry: &Registry,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> Result<(), Denial> {
        let open = self.anonymous_pull || registry.anonymous_pull;
        if open && repository.is_some() && matches!(action, Action::Pull | Action::MetadataRead) {
            return Ok(());
        }
        let PrincipalId::User(id) = principal else { return Err(Denial::Anonymous) };
        let member = self.members.get(&id).ok_or(Denial::NoPrincipal)?;
        let granted = member.grants.iter().any(|grant| {
            grant.role.allows(action)
                && grant.registry.is_none_or(|id| id == registry.id)
                && repository.is_none_or(|repository| grant.repositories.matches(repository))
        });
        if granted { Ok(()) } else { Err(Denial::NoRole) }
    }

    /// Whether `principal` is Owner of everything there is.
    pub(crate) fn operates(&self, principal: PrincipalId) -> bool {
        let PrincipalId::User(id) = principal else { return false };
        self.members.get(&id).is_some_and(|member| {
            let everywhere = |grant: &Grant| grant.registry.is_none() && grant.repositories == RepositoryPattern::All;
            member.grants.iter().any(|grant| grant.role == Role::Owner && everywhere(grant))
        })
    }

    /// The repositories of `registry` that `principal` may list.
    pub(crate) fn listable(&self, principal: PrincipalId, registry: &Registry) -> Vec<RepositoryPattern> {
        let PrincipalId::User(id) = principal else { return Vec::new() };
        let Some(member) = self.members.get(&id) else { return Vec::new() };
        let mut patterns: Vec<_> = member
            .grants
            .iter()
            .filter(|grant| grant.role.allows(Action::Catalog) && grant.registry.is_none_or(|id| id == registry.id))
            .map(|grant| grant.repositories.clone())
            .collect();
        if patterns.contains(&RepositoryPattern::All) {
            patterns = vec![RepositoryPattern::All];
        }
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }
}

impl Core {
    /// The registry of this name.
    pub fn registry(&self, name: &RegistryName) -> Option<Arc<Registry>> {
        self.policy.load().registries.get(name).cloned()
    }

    /// Every registry, by name.
    pub fn registries(&self) -> Vec<Arc<Registry>> {
        let mut registries: Vec<_> = self.policy.load().registries.values().cloned().collect();
        registries.sort_by(|a, b| a.name.cmp(&b.name));
        registries
    }

    /// Makes a registry, or sets whether anybody may pull from the one of that name.
    pub async fn put_registry(&self, name: &RegistryName, anonymous_pull: bool) -> Result<Arc<Registry>> {
        let id = RegistryId::from_bytes(clock::random(self.entropy.as_ref()));
        let owned = name.clone();
        self.meta
            .write(move |tx| {
                let (_, change) = tx.put_registry(id, &owned, anonymous_pull)?;
                Ok::<_, Error>(Commit::new((), vec![change]))
            })
            .await?;
        self.reload_policy().await?;
        self.registry(name).ok_or_else(|| Error::new(kogge_types::Code::Internal, "the registry was not made"))
    }

    /// Makes what was committed last the policy in force.
    pub(crate) async fn reload_policy(&self) -> Result<()> {
        let _loading = self.policy.loading.lock().await;
        let anonymous_pull = self.settings.anonymous_pull;
        let policy = self.meta.read(move |snapshot| Policy::read(snapshot, anonymous_pull)).await?;
        self.policy.policy.store(Arc::new(policy));
        Ok(())
    }
}
