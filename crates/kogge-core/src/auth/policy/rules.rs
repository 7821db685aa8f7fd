//! What a registry's own properties say of who may reach it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_meta::{Registry, Resource};
use kogge_types::{Action, RepositoryName, RepositoryPattern};
use serde_json::Value;

use crate::auth::role::RoleMode;
use crate::network::NetworkRules;
use crate::quota::Quotas;

/// The names of the properties that the rules read, as the management API writes them.
pub mod property {
    pub const ADMIN_USER_ENABLED: &str = "properties.adminUserEnabled";
    pub const ANONYMOUS_PULL_ENABLED: &str = "properties.anonymousPullEnabled";
    /// Kogge's own: patterns of repositories that anybody may pull from.
    pub const ANONYMOUS_PULL_REPOSITORIES: &str = "properties.anonymousPullRepositories";
    pub const ROLE_ASSIGNMENT_MODE: &str = "properties.roleAssignmentMode";
    pub const NETWORK_RULE_SET: &str = "properties.networkRuleSet";
    pub const PUBLIC_NETWORK_ACCESS: &str = "properties.publicNetworkAccess";
    pub const ARM_TOKENS_POLICY: &str = "properties.policies.azureADAuthenticationAsArmPolicy";
    /// Kogge's own: bytes that repositories may hold.
    pub const QUOTAS: &str = "properties.quotas";
}

/// A registry and what its properties decide.
#[derive(Debug, Clone)]
pub struct RegistryRules {
    pub registry: Arc<Registry>,
    /// The resource's path in lower case.
    pub path: String,
    pub mode: RoleMode,
    pub admin_user: bool,
    /// Whether tokens for the management API are taken as a login.
    pub arm_tokens: bool,
    pub network: NetworkRules,
    pub quotas: Quotas,
    /// What anybody may pull from.
    pub(crate) anonymous: Vec<RepositoryPattern>,
}

impl RegistryRules {
    /// Reads the properties of `resource`. A property that cannot be read closes what it would open: the management API
    /// refuses such a value, so that only a damaged record has one.
    pub(crate) fn read(registry: Registry, resource: Option<&Resource>, open: bool) -> Self {
        let none = BTreeMap::new();
        let registers = resource.map_or(&none, |resource| &resource.registers);
        let get = |name: &str| registers.get(name);
        let flag = |name: &str| get(name).and_then(Value::as_bool).unwrap_or(false);
        let text = |name: &str| get(name).and_then(Value::as_str);
        let patterns = get(property::ANONYMOUS_PULL_REPOSITORIES).and_then(Value::as_array);
        let mut anonymous: Vec<RepositoryPattern> =
            patterns.into_iter().flatten().filter_map(|pattern| pattern.as_str()?.parse().ok()).collect();
        if open || flag(property::ANONYMOUS_PULL_ENABLED) {
            anonymous = vec![RepositoryPattern::All];
        }
        let arm_policy = get(property::ARM_TOKENS_POLICY).and_then(|policy| policy.get("status")?.as_str());
        let public = text(property::PUBLIC_NETWORK_ACCESS).is_none_or(|access| access.eq_ignore_ascii_case("Enabled"));
        let network = NetworkRules::parse(get(property::NETWORK_RULE_SET).unwrap_or(&Value::Null), public);
        let quotas = Quotas::parse(get(property::QUOTAS).unwrap_or(&Value::Null));
        Self {
            path: resource.map_or_else(String::new, Resource::path),
            mode: text(property::ROLE_ASSIGNMENT_MODE).and_then(|mode| mode.parse().ok()).unwrap_or_default(),
            admin_user: flag(property::ADMIN_USER_ENABLED),
            arm_tokens: arm_policy.is_none_or(|status| status.eq_ignore_ascii_case("enabled")),
            network: network.unwrap_or_else(|_| NetworkRules::closed()),
            quotas: quotas.unwrap_or_default(),
            anonymous,
            registry: Arc::new(registry),
        }
    }

    /// Whether anybody may pull from every repository.
    pub fn is_open(&self) -> bool {
        self.anonymous.contains(&RepositoryPattern::All)
    }

    /// Whether anybody at all may do this: pull what is public, and list it.
    pub(crate) fn is_public(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        match (action, repository) {
            (Action::Pull | Action::MetadataRead, Some(repository)) => {
                self.anonymous.iter().any(|pattern| pattern.matches(repository))
            }
            (Action::Catalog, None) => !self.anonymous.is_empty(),
            _ => false,
        }
    }
}
