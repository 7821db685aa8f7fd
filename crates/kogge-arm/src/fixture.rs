//! A deployment for tests: the rules over SQLite and a local disk in a folder of their own, and callers with roles.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};
use kogge_core::auth::policy::rules::RegistryRules;
use kogge_core::auth::{Caller, Credential, role};
use kogge_core::directory::Grant;
use kogge_core::seal::KeyEncryptionKey;
use kogge_core::{Core, DEFAULT_REGISTRY, Settings, SystemEntropy};
use kogge_meta::{Environment, Meta};
use kogge_store::DiskStore;
use kogge_types::{ManualClock, RepositoryPattern};
use serde_json::Value;

use crate::call::{Reply, Request};
use crate::deployment::Deployment;
use crate::service::respond;

/// Where the manual clock begins: 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;

pub(crate) struct Bench {
    pub(crate) core: Arc<Core>,
    pub(crate) deployment: Arc<Deployment>,
    /// Owner of everything.
    pub(crate) owner: Caller,
    _root: tempfile::TempDir,
}

/// One request under way.
pub(crate) struct Ask<'a> {
    bench: &'a Bench,
    caller: Caller,
    method: Method,
    address: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

pub(crate) async fn bench() -> Bench {
    let root = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_US));
    let environment =
        Environment { clock: Arc::clone(&clock) as _, entropy: Arc::new(SystemEntropy), boot: "a boot".to_owned() };
    let meta = Arc::new(Meta::open(root.path(), &environment).unwrap());
    let store = Arc::new(DiskStore::open(&root.path().join("store")).unwrap());
    let kek = Arc::new(KeyEncryptionKey::new(&[7; 32]));
    let core = Core::open(meta, store, clock, Arc::new(SystemEntropy), kek, Some(Settings::default())).await.unwrap();
    let ids = core.deployment();
    let deployment = Arc::new(Deployment {
        tenant: ids.tenant.clone(),
        subscription: ids.subscription.clone(),
        name: "Kogge".to_owned(),
        domain: "example.com".to_owned(),
        port: Some(8443),
        location: "local".to_owned(),
        audiences: vec!["https://management.example.com/".to_owned()],
    });
    let owner = role::built_in_by_id(&role::OWNER).unwrap();
    let owner = Grant { role: owner, registry: None, repositories: RepositoryPattern::All };
    let owner = caller(&core, "owner", &[owner]).await;
    Bench { core, deployment, owner, _root: root }
}

async fn caller(core: &Core, name: &str, grants: &[Grant]) -> Caller {
    core.put_user(name, "a long password", grants).await.unwrap();
    let registry = core.registry(&DEFAULT_REGISTRY.parse().unwrap()).unwrap();
    let credential = Credential::Basic { name, password: "a long password" };
    core.authenticate(&registry, credential, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap().unwrap()
}

impl Bench {
    /// A user who is Reader of one registry and nothing else.
    pub(crate) async fn reader_of(&self, registry: &str) -> Caller {
        let reader = role::built_in_by_id(&role::READER).unwrap();
        let registry = Some(self.rules(registry).registry.id);
        let grant = Grant { role: reader, registry, repositories: RepositoryPattern::All };
        caller(&self.core, "reader", &[grant]).await
    }

    pub(crate) fn rules(&self, registry: &str) -> Arc<RegistryRules> {
        self.core.registry_rules(&registry.parse().unwrap()).unwrap()
    }

    /// The path of a resource group.
    pub(crate) fn group(&self, name: &str) -> String {
        format!("{}/resourceGroups/{name}", self.deployment.subscription_path())
    }

    /// The path of a registry.
    pub(crate) fn registry(&self, group: &str, name: &str) -> String {
        format!("{}/providers/Microsoft.ContainerRegistry/registries/{name}", self.group(group))
    }

    /// A request of the owner. The API's version is added to the address.
    pub(crate) fn ask(&self, method: Method, address: &str) -> Ask<'_> {
        let sign = if address.contains('?') { '&' } else { '?' };
        let (address, caller) = (format!("{address}{sign}api-version=2025-11-01"), self.owner.clone());
        Ask { bench: self, caller, method, address, headers: HeaderMap::new(), body: Vec::new() }
    }

    pub(crate) fn get(&self, address: &str) -> Ask<'_> {
        self.ask(Method::GET, address)
    }

    pub(crate) fn put(&self, address: &str, body: Value) -> Ask<'_> {
        self.ask(Method::PUT, address).body(body)
    }

    pub(crate) fn patch(&self, address: &str, body: Value) -> Ask<'_> {
        self.ask(Method::PATCH, address).body(body)
    }

    pub(crate) fn post(&self, address: &str, body: Value) -> Ask<'_> {
        self.ask(Method::POST, address).body(body)
    }

    pub(crate) fn delete(&self, address: &str) -> Ask<'_> {
        self.ask(Method::DELETE, address)
    }

    /// All pages of a listing.
    pub(crate) async fn all(&self, address: &str) -> Vec<Value> {
        let (mut found, mut next) = (Vec::new(), Some(address.to_owned()));
        while let Some(address) = next {
            let page = self.get(&address).ok().await;
            found.extend(page["value"].as_array().unwrap().iter().cloned());
            next =
                page["nextLink"].as_str().map(|link| link.strip_prefix("https://example.com:8443").unwrap().to_owned());
        }
        found
    }
}

impl Ask<'_> {
    #[must_use]
    pub(crate) fn by(self, caller: &Caller) -> Self {
        Self { caller: caller.clone(), ..self }
    }

    #[must_use]
    pub(crate) fn body(self, body: Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..self }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) async fn reply(self) -> Reply {
        let (path, query) = self.address.split_once('?').unwrap();
        let request = Request {
            method: &self.method,
            path,
            query: Some(query),
            headers: &self.headers,
            body: &self.body,
            caller: &self.caller,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            base_url: "https://example.com:8443",
            correlation_id: "a correlation id",
        };
        respond(&self.bench.core, &self.bench.deployment, request).await
    }

    /// The body of an answer that succeeds.
    pub(crate) async fn ok(self) -> Value {
        let asked = format!("{} {}", self.method, self.address);
        let reply = self.reply().await;
        let body = reply.body.unwrap_or_default();
        assert!(reply.status.is_success(), "{asked}: {} {body}", reply.status);
        body
    }

    /// The status, the code and the target of an answer that refuses.
    pub(crate) async fn refusal(self) -> (u16, String, Option<String>) {
        let asked = format!("{} {}", self.method, self.address);
        let reply = self.reply().await;
        let body = reply.body.unwrap_or_default();
        assert!(!reply.status.is_success(), "{asked}: {body}");
        let text = |key: &str| body["error"][key].as_str().map(str::to_owned);
        (reply.status.as_u16(), text("code").unwrap_or_default(), text("target"))
    }
}
