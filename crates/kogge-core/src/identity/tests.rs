//! The authority's rules, and every attack on them that we know.

mod assertions;
mod codes;
mod devices;
mod directory;
mod keys;
mod outside;
mod refreshes;
mod tokens;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_types::ResourceId;
use serde_json::Value;

use crate::core::Core;
use crate::fixture::{Bench, bench};
use crate::identity::audience::Wanted;
use crate::identity::issuer::{Fetch, FetchError, Fetched};
use crate::identity::jwt::sha256;
use crate::identity::principal::Assigned;
use crate::identity::refusal::{GrantError, Granted, Refusal, Word};
use crate::identity::service_principal::Enrolled;
use crate::identity::settings::{IdentitySettings, PublicClient};
use crate::identity::{ClientProof, Desk, NewCredential, TokenSet};

const ARM: &str = "https://management.example.com";
const REGISTRY: &str = "https://containerregistry.azure.net";
const ISSUER: &str = "https://example.com/adfs";
const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const OTHER_CLIENT: &str = "1950a258-227b-4e31-a9cf-717495945fc2";
const BACK: &str = "http://localhost:8400/";
const PASSWORD: &str = "correct horse battery staple";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A network without anybody.
#[derive(Debug)]
struct Nobody;

impl Fetch for Nobody {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        Box::pin(async move { Err(FetchError(format!("{url} must not be asked"))) })
    }
}

fn settings() -> IdentitySettings {
    let client = |id: &str| PublicClient {
        id: id.parse().unwrap(),
        name: "Azure CLI".to_owned(),
        loopback: true,
        redirect_uris: Vec::new(),
    };
    IdentitySettings {
        management_audiences: vec![ARM.to_owned()],
        registry_audiences: vec![REGISTRY.to_owned()],
        directory_audiences: vec!["https://graph.example.com".to_owned()],
        clients: vec![client(CLIENT), client(OTHER_CLIENT)],
        ..IdentitySettings::default()
    }
}

fn desk() -> Desk<'static> {
    Desk { issuer: ISSUER, client: HERE }
}

fn wanted(audience: &str) -> Wanted {
    Wanted { audience: Some(audience.to_owned()), openid: true }
}

async fn authority() -> Bench {
    let bench = bench().await;
    bench.core.set_identity(settings(), Arc::new(Nobody));
    bench.core.create_user("alice", PASSWORD, &[owner()]).await.unwrap();
    bench
}

fn owner() -> Assigned {
    Assigned { role: "Owner".to_owned(), scope: "/".to_owned() }
}

fn secret() -> NewCredential {
    NewCredential::Secret { name: "secret".to_owned(), life: YEAR }
}

async fn enroll(core: &Core) -> (Enrolled, String, String) {
    let enrolled = core.create_service_principal("ci", Some(secret()), &[owner()]).await.unwrap();
    let (id, password) = (enrolled.app_id.to_string(), enrolled.password.clone().unwrap());
    (enrolled, id, password)
}

async fn by_secret(core: &Core, id: &str, secret: &str) -> Granted<TokenSet> {
    core.client_credentials(&desk(), id, ClientProof::Secret(secret), &wanted(ARM)).await
}

async fn by_password(core: &Core) -> Granted<TokenSet> {
    core.password_grant(&desk(), CLIENT, "alice", PASSWORD, &wanted(ARM)).await
}

fn refusal<T: std::fmt::Debug>(outcome: Granted<T>) -> Refusal {
    match outcome.unwrap_err() {
        GrantError::Refused(refusal) => refusal,
        GrantError::Failed(error) => panic!("a failure of ours: {error:?}"),
    }
}

fn word<T: std::fmt::Debug>(outcome: Granted<T>) -> Word {
    refusal(outcome).word
}

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of a token, whoever signed it.
fn claims(token: &str) -> Value {
    decode(token.split('.').nth(1).unwrap())
}

fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

fn id_of(tokens: &TokenSet) -> ResourceId {
    claims(&tokens.access_token)["oid"].as_str().unwrap().parse().unwrap()
}
