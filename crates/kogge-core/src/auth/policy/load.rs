//! How the policy comes into memory, and how it follows what was written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kogge_meta::{Commit, Credential, CredentialKind, Entry, Event, PrincipalKind, Registry, Resource, Snapshot, Tx};
use kogge_types::{RegistryId, RegistryName, ResourceId};
use serde_json::Value;

use crate::auth::condition::Condition;
use crate::auth::passwords::admin_user_purpose;
use crate::auth::policy::member::{Member, RepositoryToken, Secret, Secrets};
use crate::auth::policy::rules::RegistryRules;
use crate::auth::policy::{Directory, Grant, Policy, Tokens};
use crate::auth::role::{self, RoleDefinition, RoleMode};
use crate::auth::scope_map::{self, ScopeMap};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::kind;
use crate::seal::KeyEncryptionKey;

/// How much of the policy a write made stale.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reload {
    Nothing,
    /// These repository-scoped tokens.
    Tokens(Vec<ResourceId>),
    Everything,
}

impl Reload {
    /// What is stale after `events`. `is_token` knows the tokens of before.
    fn after<'a>(events: impl Iterator<Item = &'a Event>, is_token: impl Fn(&ResourceId) -> bool) -> Self {
        let mut tokens = Vec::new();
        for event in events {
            match event {
                Event::ResourcePut { resource, kind, .. } if kind == kind::TOKEN => tokens.push(*resource),
                Event::ResourceDeleted { resource, kind, .. } if kind == kind::TOKEN => tokens.push(*resource),
                Event::CredentialPut { owner } | Event::CredentialDeleted { owner } => {
                    if !is_token(owner) {
                        return Self::Everything;
                    }
                    tokens.push(*owner);
                }
                Event::ManifestPut { .. }
                | Event::ManifestDeleted { .. }
                | Event::TagSet { .. }
                | Event::TagDeleted { .. }
                | Event::BlobUnlinked { .. }
                | Event::AttributesSet { .. }
                | Event::RepositoryDeleted { .. } => {}
                _ => return Self::Everything,
            }
        }
        if tokens.is_empty() { Self::Nothing } else { Self::Tokens(tokens) }
    }
}

/// What the installation adds to what is stored.
struct Reader<'a> {
    snapshot: &'a Snapshot<'a>,
    kek: &'a KeyEncryptionKey,
    /// Whether anybody may pull from every registry.
    anonymous_pull: bool,
}

impl Reader<'_> {
    fn policy(&self) -> Result<Policy> {
        let mut credentials: HashMap<[u8; 16], Vec<Credential>> = HashMap::new();
        for kind in [CredentialKind::Secret, CredentialKind::Sealed] {
            for credential in self.snapshot.every_credential(kind)? {
                credentials.entry(credential.owner).or_default().push(credential);
            }
        }
        let directory = self.directory(&credentials)?;
        let tokens = self.tokens(&directory, &credentials)?;
        Ok(Policy { directory: Arc::new(directory), tokens: Arc::new(tokens) })
    }

    fn directory(&self, credentials: &HashMap<[u8; 16], Vec<Credential>>) -> Result<Directory> {
        let mut directory = Directory::default();
        let resources = self.snapshot.every_resource(kind::REGISTRY)?;
        let resources: HashMap<_, _> = resources.iter().map(|resource| (*resource.id.as_bytes(), resource)).collect();
        for registry in self.snapshot.registries()? {
            let resource = resources.get(registry.id.as_bytes()).copied();
            let rules = Arc::new(RegistryRules::read(registry, resource, self.anonymous_pull));
            let id = rules.registry.id;
            if let Some(held) = credentials.get(id.as_bytes()) {
                directory.admin_users.insert(id, self.admin_user(id, held));
            }
            directory.registries.insert(rules.registry.name.clone(), Arc::clone(&rules));
            directory.registry_ids.insert(id, rules);
        }
        self.members(&mut directory, credentials)?;
        directory.roles = role::built_in().iter().map(|role| (role.id, Arc::new(role.clone()))).collect();
        for resource in self.snapshot.every_resource(kind::ROLE_DEFINITION)? {
            if let Some(role) = custom_role(&resource) {
                directory.roles.insert(role.id, Arc::new(role));
            }
        }
        for resource in self.snapshot.every_resource(kind::ROLE_ASSIGNMENT)? {
            // What cannot be read gives nothing.
            if let Some((holder, grant)) = grant(&resource, &directory.roles) {
                directory.grants.entry(holder).or_default().push(grant);
            }
        }
        Ok(directory)
    }

    fn members(&self, directory: &mut Directory, credentials: &HashMap<[u8; 16], Vec<Credential>>) -> Result<()> {
        let principals = self.snapshot.principals()?;
        let mut groups: HashMap<[u8; 16], Vec<[u8; 16]>> = HashMap::new();
        for group in principals.iter().filter(|principal| principal.kind == PrincipalKind::Group && principal.enabled) {
            for member in &group.members {
                groups.entry(*member).or_default().push(group.id);
            }
        }
        for principal in principals {
            let held = credentials.get(&principal.id).map(Vec::as_slice).unwrap_or_default();
            let member = Arc::new(Member {
                id: principal.id,
                kind: principal.kind,
                name: principal.name.into(),
                password: principal.secret.into(),
                secrets: Secrets::read(held),
                epoch: principal.epoch,
                enabled: principal.enabled,
                groups: groups.remove(&principal.id).unwrap_or_default(),
            });
            let login: Option<Arc<str>> = match member.kind {
                PrincipalKind::User => Some(Arc::clone(&member.name)),
                PrincipalKind::ServicePrincipal | PrincipalKind::ManagedIdentity => {
                    principal.app_id.map(|id| ResourceId::from_bytes(id).to_string().into())
                }
                PrincipalKind::Group => None,
            };
            if let Some(login) = login {
                directory.logins.insert(login, Arc::clone(&member));
            }
            directory.members.insert(member.id, member);
        }
        Ok(())
    }

    /// The admin user's passwords, which are stored sealed because the management API shows them.
    fn admin_user(&self, registry: RegistryId, held: &[Credential]) -> Secrets {
        let sealed = held.iter().filter(|credential| credential.kind == CredentialKind::Sealed);
        let opened =
            sealed.filter_map(|credential| self.kek.open(&admin_user_purpose(registry), &credential.value).ok());
        Secrets(opened.map(|password| Secret::of(&password, None)).collect())
    }

    fn tokens(&self, directory: &Directory, credentials: &HashMap<[u8; 16], Vec<Credential>>) -> Result<Tokens> {
        let mut maps = HashMap::new();
        for resource in self.snapshot.every_resource(kind::SCOPE_MAP)? {
            maps.insert((resource.parent.clone(), resource.name.to_ascii_lowercase()), rights_of(&resource));
        }
        let registries: HashMap<&str, RegistryId> =
            directory.registry_ids.values().map(|rules| (rules.path.as_str(), rules.registry.id)).collect();
        let mut tokens = Tokens::default();
        for resource in self.snapshot.every_resource(kind::TOKEN)? {
            let Some(registry) = registries.get(resource.parent.as_str()) else { continue };
            let rights = match scope_map_name(&resource) {
                None => Arc::default(),
                Some(name) => match system_rights(&name) {
                    Some(rights) => rights,
                    None => maps.get(&(resource.parent.clone(), name)).cloned().unwrap_or_default(),
                },
            };
            let held = credentials.get(resource.id.as_bytes()).map(Vec::as_slice).unwrap_or_default();
            tokens.insert(token(&resource, *registry, rights, held));
        }
        Ok(tokens)
    }

    fn token(&self, id: &ResourceId, policy: &Policy) -> Result<Option<RepositoryToken>> {
        let Some(resource) = self.snapshot.resource_by_id(id)? else { return Ok(None) };
        let registry = policy.directory.registry_ids.values().find(|rules| rules.path == resource.parent);
        let Some(registry) = registry.map(|rules| rules.registry.id) else { return Ok(None) };
        let rights = match scope_map_name(&resource) {
            None => Arc::default(),
            Some(name) => match system_rights(&name) {
                Some(rights) => rights,
                None => {
                    let map = self.snapshot.resource(kind::SCOPE_MAP, &resource.parent, &name)?;
                    map.as_ref().map(rights_of).unwrap_or_default()
                }
            },
        };
        let held = self.snapshot.credentials(id.as_bytes())?;
        Ok(Some(token(&resource, registry, rights, &held)))
    }
}

impl Tokens {
    fn insert(&mut self, token: RepositoryToken) {
        self.names.insert((token.registry, token.name.to_ascii_lowercase().into()), token.id);
        self.tokens.insert(token.id, Arc::new(token));
    }

    fn remove(&mut self, id: &ResourceId) {
        if let Some(token) = self.tokens.remove(id) {
            self.names.remove(&(token.registry, token.name.to_ascii_lowercase().into()));
        }
    }
}

fn text<'r>(resource: &'r Resource, name: &str) -> Option<&'r str> {
    resource.registers.get(name)?.as_str()
}

fn texts<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v str> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn last_segment(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

fn token(resource: &Resource, registry: RegistryId, rights: Arc<ScopeMap>, held: &[Credential]) -> RepositoryToken {
    RepositoryToken {
        id: resource.id,
        name: resource.name.as_str().into(),
        registry,
        enabled: text(resource, "properties.status").is_none_or(|status| status.eq_ignore_ascii_case("enabled")),
        rights,
        secrets: Secrets::read(held),
    }
}

fn scope_map_name(token: &Resource) -> Option<String> {
    Some(last_segment(text(token, "properties.scopeMapId")?).to_ascii_lowercase())
}

fn system_rights(name: &str) -> Option<Arc<ScopeMap>> {
    let map = scope_map::SYSTEM.iter().find(|map| map.name == name)?;
    Some(Arc::new(ScopeMap::parse(map.actions.iter().copied()).unwrap_or_default()))
}

/// A scope map that cannot be read gives nothing.
fn rights_of(resource: &Resource) -> Arc<ScopeMap> {
    let actions = resource.registers.get("properties.actions").and_then(Value::as_array);
    let actions = actions.into_iter().flatten().filter_map(Value::as_str);
    Arc::new(ScopeMap::parse(actions).unwrap_or_default())
}

fn grant(resource: &Resource, roles: &HashMap<ResourceId, Arc<RoleDefinition>>) -> Option<([u8; 16], Grant)> {
    let role = roles.get(&last_segment(text(resource, "properties.roleDefinitionId")?).parse().ok()?)?;
    let holder: ResourceId = text(resource, "properties.principalId")?.parse().ok()?;
    let condition = match text(resource, "properties.condition") {
        None | Some("") => None,
        Some(condition) => Some(Condition::parse(condition).ok()?),
    };
    let grant = Grant {
        role: Arc::clone(role),
        legacy: role.data_plane(RoleMode::LegacyRegistryPermissions),
        abac: role.data_plane(RoleMode::AbacRepositoryPermissions),
        scope: resource.parent.clone(),
        condition,
    };
    Some((*holder.as_bytes(), grant))
}

fn custom_role(resource: &Resource) -> Option<RoleDefinition> {
    let permissions = resource.registers.get("properties.permissions")?.as_array()?;
    let permissions = permissions.iter().map(|permission| {
        let patterns = |name| texts(permission, name).map(|pattern| pattern.parse().ok()).collect::<Option<Vec<_>>>();
        Some(role::Permission {
            actions: patterns("actions")?,
            not_actions: patterns("notActions")?,
            data_actions: patterns("dataActions")?,
            not_data_actions: patterns("notDataActions")?,
        })
    });
    let scopes = resource.registers.get("properties.assignableScopes").and_then(Value::as_array);
    Some(RoleDefinition {
        id: resource.name.parse().ok()?,
        name: text(resource, "properties.roleName")?.to_owned(),
        description: text(resource, "properties.description").unwrap_or_default().to_owned(),
        built_in: false,
        permissions: permissions.collect::<Option<_>>()?,
        assignable_scopes: scopes
            .into_iter()
            .flatten()
            .filter_map(|scope| scope.as_str().map(ToOwned::to_owned))
            .collect(),
    })
}

impl Core {
    /// The registry of this name.
    pub fn registry(&self, name: &RegistryName) -> Option<Arc<Registry>> {
        self.registry_rules(name).map(|rules| Arc::clone(&rules.registry))
    }

    /// The registry of this name with what its properties decide.
    pub fn registry_rules(&self, name: &RegistryName) -> Option<Arc<RegistryRules>> {
        self.policy.load().directory.registries.get(name).cloned()
    }

    /// Every registry, by name.
    pub fn registries(&self) -> Vec<Arc<RegistryRules>> {
        let mut registries: Vec<_> = self.policy.load().directory.registries.values().cloned().collect();
        registries.sort_by(|a, b| a.registry.name.cmp(&b.registry.name));
        registries
    }

    /// Runs `write` as one transaction that may change the policy: what it committed is in force on this node when this
    /// answers.
    pub async fn write_policy<T, F>(&self, write: F) -> Result<T>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<Commit<T>> + Send + 'static,
        T: Send + 'static,
    {
        let policy = Arc::clone(&self.policy.load());
        let (value, reload) = self
            .meta
            .write(move |tx| {
                let commit = write(tx)?;
                let reload = Reload::after(commit.events(), |id| policy.tokens.tokens.contains_key(id));
                Ok::<_, Error>(commit.map(|value| (value, reload)))
            })
            .await?;
        self.reload(reload).await?;
        Ok(value)
    }

    async fn reload(&self, reload: Reload) -> Result<()> {
        match reload {
            Reload::Nothing => Ok(()),
            Reload::Tokens(tokens) => self.reload_tokens(tokens).await,
            Reload::Everything => self.reload_policy().await,
        }
    }

    /// Makes the policy as new as `entries` of the journal are.
    pub(crate) async fn reload_after(&self, entries: &[Entry]) -> Result<()> {
        let policy = Arc::clone(&self.policy.load());
        let events = entries.iter().map(|entry| &entry.event);
        self.reload(Reload::after(events, |id| policy.tokens.tokens.contains_key(id))).await
    }

    /// Runs `read` on a consistent view of the metadata.
    pub async fn read_metadata<T, F>(&self, read: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.meta.read(read).await
    }

    /// Makes what was committed last the policy in force. Of many who ask at once, one reads for all.
    pub(crate) async fn reload_policy(&self) -> Result<()> {
        let turn = self.policy.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut served = self.policy.loading.lock().await;
        if *served >= turn {
            // Read by another, after what this one committed.
            return Ok(());
        }
        let asked = self.policy.asked.load(Ordering::Acquire);
        let (anonymous_pull, kek) = (self.settings.anonymous_pull, Arc::clone(&self.kek));
        let policy = self.meta.read(move |snapshot| Reader { snapshot, kek: &kek, anonymous_pull }.policy()).await?;
        self.policy.policy.store(Arc::new(policy));
        *served = asked;
        Ok(())
    }

    async fn reload_tokens(&self, ids: Vec<ResourceId>) -> Result<()> {
        let _loading = self.policy.loading.lock().await;
        let (anonymous_pull, kek) = (self.settings.anonymous_pull, Arc::clone(&self.kek));
        let before = Arc::clone(&self.policy.load());
        let policy = self
            .meta
            .read(move |snapshot| {
                let reader = Reader { snapshot, kek: &kek, anonymous_pull };
                let mut tokens = Tokens::clone(&before.tokens);
                for id in &ids {
                    tokens.remove(id);
                    if let Some(token) = reader.token(id, &before)? {
                        tokens.insert(token);
                    }
                }
                Ok::<_, Error>(Policy { directory: Arc::clone(&before.directory), tokens: Arc::new(tokens) })
            })
            .await?;
        self.policy.policy.store(Arc::new(policy));
        Ok(())
    }
}
