//! The authority as clients see it.

mod attacks;
mod grants;
mod hosts;
mod outside;
mod pages;
mod routes;
mod verbs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_core::identity::NewCredential;
use kogge_core::identity::principal::Assigned;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply, encode};
use kogge_types::Digest;
use serde_json::Value;

const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const ARM: &str = "https://management.localhost";
const REGISTRY: &str = "https://containerregistry.azure.net";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

async fn post(client: &Client, path: &str, pairs: &[(&str, &str)]) -> Reply {
    let request = client.post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(form(pairs)).send().await
}

/// A request for a token, and its answer.
async fn token(client: &Client, pairs: &[(&str, &str)]) -> Reply {
    post(client, "/adfs/oauth2/token", pairs).await
}

fn text(reply: &Reply, field: &str) -> String {
    reply.json()[field].as_str().unwrap_or_else(|| panic!("{field} in {}", reply.text())).to_owned()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a token of three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn challenge() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Digest::sha256(VERIFIER.as_bytes()).hash())
}

fn role(role: &str, scope: &str) -> Assigned {
    Assigned { role: role.to_owned(), scope: scope.to_owned() }
}

/// A service principal with a role: its id and its secret.
async fn service_principal(registry: &TestRegistry, name: &str, roles: &[Assigned]) -> (String, String) {
    let secret = NewCredential::Secret { name: "secret".to_owned(), life: std::time::Duration::from_secs(86_400) };
    let made = registry.core().create_service_principal(name, Some(secret), roles).await.expect("a service principal");
    (made.app_id.to_string(), made.password.expect("a secret"))
}

/// An access token of a service principal.
async fn access_token(client: &Client, (id, secret): &(String, String), audience: &str) -> String {
    let scope = format!("{audience}/.default");
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", id.as_str()),
        ("client_secret", secret.as_str()),
        ("scope", scope.as_str()),
    ];
    text(&token(client, &pairs).await.expect_status(200), "access_token")
}

/// What the management API answers to a token.
async fn subscriptions(client: &Client, token: &str) -> Reply {
    client.get("/subscriptions?api-version=2022-12-01").header("authorization", format!("Bearer {token}")).send().await
}

/// What a registry answers to whoever logs in with a token.
async fn exchange(client: &Client, token: &str) -> Reply {
    let pairs = [("grant_type", "access_token"), ("service", "localhost"), ("access_token", token)];
    post(client, "/oauth2/exchange", &pairs).await
}
