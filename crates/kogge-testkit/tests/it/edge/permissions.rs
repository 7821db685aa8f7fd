//! Who may do what, proved through the management API and the data plane: every built-in role in both modes, conditions,
//! groups, scopes, custom roles, tokens, the admin user, and pulling without a login. Nothing waits: a change is in
//! force when it has been answered.

mod conditions;
mod openness;
mod operations;
mod roles;
mod tokens;

use http::Method;
use kogge_core::auth::role;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply, Request, encode};
use kogge_types::{Digest, ResourceId};
use serde_json::{Value, json};

use super::PASSWORD;

const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A registry, and its owner's way into the management API.
struct World {
    registry: TestRegistry,
    owner: Client,
}

impl World {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let owner = management(&registry, "admin", registry.admin_password()).await;
        Self { registry, owner }
    }

    fn subscription(&self) -> String {
        self.registry.core().deployment().path()
    }

    fn group(&self, name: &str) -> String {
        format!("{}/resourceGroups/{name}", self.subscription())
    }

    /// The path of a registry in the default group.
    fn path(&self, name: &str) -> String {
        format!("{}/providers/Microsoft.ContainerRegistry/registries/{name}", self.group("default"))
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Reply {
        ask(&self.owner, method, path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        let reply = self.ask(Method::PUT, path, body).await;
        assert!(reply.status.is_success(), "{path}: {} {}", reply.status, reply.text());
        reply.json()
    }

    async fn patch(&self, path: &str, body: Value) {
        self.ask(Method::PATCH, path, body).await.expect_status(200);
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, body).await.expect_status(200).json()
    }

    async fn delete(&self, path: &str) {
        self.ask(Method::DELETE, path, Value::Null).await.expect_status(200);
    }

    /// Sets a property of the default registry.
    async fn set(&self, property: &str, value: Value) {
        self.patch(&self.path("default"), json!({ "properties": { property: value } })).await;
    }

    /// A user without roles.
    async fn user(&self, name: &str) -> (Client, ResourceId) {
        let id = self.registry.core().create_user(name, PASSWORD, &[]).await.expect("a user");
        (self.registry.anonymous().with_basic(name, PASSWORD), id)
    }

    fn role(&self, name: &str) -> String {
        let id = role::built_in_by_name(name).expect("a built-in role").id;
        format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", self.subscription())
    }

    /// Gives `principal` a role at `scope`, on what the condition admits. Answers the assignment's path.
    async fn assign(&self, role: &str, principal: ResourceId, scope: &str, condition: Option<&str>) -> String {
        let id = ResourceId::from_bytes(
            *Digest::sha256(format!("{role} {principal} {scope}").as_bytes()).hash().first_chunk().expect("32 bytes"),
        );
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{id}");
        let mut body = json!({ "properties": { "roleDefinitionId": role, "principalId": principal } });
        if let Some(condition) = condition {
            body["properties"]["condition"] = condition.into();
        }
        self.put(&path, body).await;
        path
    }
}

pub(crate) async fn ask(client: &Client, method: Method, path: &str, body: Value) -> Reply {
    let sign = if path.contains('?') { '&' } else { '?' };
    let request = client.request(method, format!("{path}{sign}api-version=2025-11-01"));
    let request = request.header("content-type", "application/json");
    if body.is_null() { request.send().await } else { request.body(body.to_string()).send().await }
}

/// The management API as somebody who logs in with a password.
async fn management(registry: &TestRegistry, name: &str, password: &str) -> Client {
    management_by(&registry.anonymous(), name, password, "localhost").await
}

/// The same by way of `client`, of a deployment with this domain.
pub(crate) async fn management_by(client: &Client, name: &str, password: &str, domain: &str) -> Client {
    let scope = format!("https://management.{domain}/.default");
    let fields = [
        ("grant_type", "password"),
        ("client_id", AZURE_CLI),
        ("username", name),
        ("password", password),
        ("scope", scope.as_str()),
    ];
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let request = client.post("/adfs/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
    let reply = request.body(form.join("&")).send().await.expect_status(200).json();
    client.with_bearer(reply["access_token"].as_str().expect("a token"))
}

/// What `client` may do in `repository` and on the registry: one letter each for pull, push, delete, metadata read,
/// metadata write, and the catalog.
async fn rights(client: &Client, repository: &str) -> String {
    let absent = Digest::sha256(b"absent");
    let tries = [
        ('p', Method::GET, format!("/v2/{repository}/manifests/absent")),
        ('u', Method::POST, format!("/v2/{repository}/blobs/uploads/")),
        ('d', Method::DELETE, format!("/v2/{repository}/blobs/{absent}")),
        ('r', Method::GET, format!("/acr/v1/{repository}/_tags/absent")),
        ('w', Method::PATCH, format!("/acr/v1/{repository}/_tags/absent")),
        ('c', Method::GET, "/acr/v1/_catalog".to_owned()),
    ];
    let mut rights = String::new();
    for (letter, method, path) in tries {
        let request = client.request(method.clone(), &path);
        let request = if method == Method::PATCH { request.body("{}") } else { request };
        match status(request).await {
            401 => {}
            200 | 202 | 404 => rights.push(letter),
            other => panic!("{method} {path}: {other}"),
        }
    }
    rights
}

/// Whether the login itself is good.
async fn logs_in(client: &Client) -> bool {
    match status(client.get("/v2/")).await {
        200 => true,
        401 => false,
        other => panic!("/v2/: {other}"),
    }
}

/// The status of the answer, or that of the token endpoint when that refuses the login.
async fn status(request: Request<'_>) -> u16 {
    match request.try_send().await {
        Ok(reply) => reply.status.as_u16(),
        Err(error) if error.to_string().contains("token endpoint answered 401") => 401,
        Err(error) => panic!("{error:#}"),
    }
}
