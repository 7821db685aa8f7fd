//! Issuers outside: whom they vouch for, whom they cannot, and how they are asked for their keys.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kogge_types::{Action, limits};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use super::*;
use crate::identity::federation::Federation;
use crate::identity::settings::OutsideIssuer;

const ENTRA: &str = "https://login.example.org/tenant/v2.0";
const GITHUB: &str = "https://token.actions.example.org";
const AUDIENCE: &str = "api://kogge";

/// An issuer that tests play.
struct Issuer {
    issuer: &'static str,
    kid: String,
    key: KeyPair,
}

impl Issuer {
    fn new(issuer: &'static str, kid: &str) -> Self {
        Self { issuer, kid: kid.to_owned(), key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key_raw();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid,
            "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }

    fn token(&self, core: &Core, changes: &Value) -> String {
        let now = core.now_us() / 1_000_000;
        let mut claims = json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": "somebody", "nbf": now, "iat": now, "exp": now + 3600,
            "oid": "a0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf", "preferred_username": "somebody@example.org",
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.sign(&claims)
    }
}

/// A network of documents, which counts who asks.
#[derive(Debug, Default)]
struct Network {
    documents: Mutex<HashMap<String, Value>>,
    asked: AtomicUsize,
    /// Nobody is answered while this is locked.
    held: tokio::sync::Mutex<()>,
}

impl Network {
    fn publish(&self, issuer: &str, keys: &[&Issuer]) {
        let keys: Vec<Value> = keys.iter().map(|issuer| issuer.jwk()).collect();
        let jwks_uri = format!("{issuer}/keys");
        let mut documents = self.documents.lock().unwrap();
        documents.insert(
            format!("{issuer}/.well-known/openid-configuration"),
            json!({ "issuer": issuer, "jwks_uri": jwks_uri }),
        );
        documents.insert(jwks_uri, json!({ "keys": keys }));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Network {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            drop(self.held.lock().await);
            tokio::task::yield_now().await;
            let found = self.documents.lock().unwrap().get(url).map(Value::to_string);
            found.map(Bytes::from).ok_or_else(|| FetchError(format!("{url} is not there")))
        })
    }
}

async fn trusting(network: &Arc<Network>) -> Bench {
    let bench = bench().await;
    let issuer = OutsideIssuer {
        issuer: ENTRA.to_owned(),
        audiences: vec![AUDIENCE.to_owned(), format!("{REGISTRY}/")],
        principal_claim: "oid".to_owned(),
        groups_claim: "groups".to_owned(),
    };
    let settings = IdentitySettings { issuers: vec![issuer], ..settings() };
    bench.core.set_identity(settings, Arc::clone(network) as Arc<dyn Fetch>);
    bench
}

#[tokio::test]
async fn a_trusted_issuer_vouches_for_its_people_and_their_groups() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    let bench = trusting(&network).await;
    let core = &bench.core;
    let team = "b0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf";
    let token = entra.token(core, &json!({ "groups": [team, "not an id"] }));
    let caller = core.verify_management_token(&token).await.unwrap();
    assert_eq!(caller.name(), "somebody@example.org");
    assert_eq!(caller.object_id().unwrap().to_string(), "a0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf");
    let (registry, repository) = (bench.registry(), "app".parse().unwrap());
    assert!(!core.permits_action(&caller, &registry, Action::Pull, Some(&repository)));
    assign(core, team).await;
    assert!(core.permits_action(&caller, &registry, Action::Pull, Some(&repository)), "by the group");
    let nobody = core.verify_management_token(&entra.token(core, &json!({}))).await.unwrap();
    assert!(!core.permits_action(&nobody, &registry, Action::Pull, Some(&repository)));
    // The login that comes of it knows the groups too.
    let caller = core.verify_exchange_token(&registry, &token).await.unwrap();
    let refresh = core.issue_refresh_token(&caller, &registry, "localhost").unwrap().token;
    let later = core.verify_refresh_token(&registry, &refresh).unwrap();
    assert!(core.permits_action(&later, &registry, Action::Pull, Some(&repository)));
    // Somebody without an id has one made of issuer and subject, always the same.
    let derived = |sub: &str| entra.token(core, &json!({ "oid": null, "sub": sub }));
    let (one, again) = (derived("a"), derived("a"));
    let id = async |token: &str| core.verify_management_token(token).await.unwrap().object_id();
    assert_eq!(id(&one).await, id(&again).await);
    assert_ne!(id(&one).await, id(&derived("b")).await);
}

/// Gives `holder` the right to pull, as the management API does.
async fn assign(core: &Core, holder: &str) {
    let id: ResourceId = holder.parse().unwrap();
    let roles = core.roles_named(&[Assigned { role: "AcrPull".to_owned(), scope: "default".to_owned() }]).unwrap();
    let entropy = Arc::clone(&core.entropy);
    core.write_policy(move |tx| {
        let (role, scope) = &roles[0];
        let all = &kogge_types::RepositoryPattern::All;
        let kind = kogge_meta::PrincipalKind::Group;
        let change = crate::directory::assign(tx, entropy.as_ref(), id.as_bytes(), kind, role, scope, all)?;
        Ok(kogge_meta::Commit::new((), vec![change]))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_outside_token_must_be_signed_alive_and_meant_for_us() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    let bench = trusting(&network).await;
    let core = &bench.core;
    let now = core.now_us() / 1_000_000;
    let forger = Issuer::new(ENTRA, "one");
    let bad = [
        forger.token(core, &json!({})),
        entra.token(core, &json!({ "aud": "api://other" })),
        entra.token(core, &json!({ "aud": [] })),
        entra.token(core, &json!({ "aud": null })),
        entra.token(core, &json!({ "aud": REGISTRY })),
        entra.token(core, &json!({ "exp": now - 61 })),
        entra.token(core, &json!({ "exp": null })),
        entra.token(core, &json!({ "nbf": now + 120 })),
        entra.token(core, &json!({ "sub": null })),
        entra.token(core, &json!({ "iss": GITHUB })),
    ];
    for token in &bad {
        assert!(core.verify_management_token(token).await.is_err(), "{}", claims(token));
    }
    assert!(core.verify_management_token(&entra.token(core, &json!({}))).await.is_ok());
    let registry = bench.registry();
    assert!(core.verify_exchange_token(&registry, &bad[4]).await.is_ok(), "a registry's audience is for registries");
}

#[tokio::test]
async fn an_outside_issuer_cannot_vouch_for_our_own() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    let bench = trusting(&network).await;
    let core = &bench.core;
    let alice = core.create_user("alice", PASSWORD, &[owner()]).await.unwrap();
    let admins = core.create_group("admins", &[owner()]).await.unwrap();
    let as_alice = entra.token(core, &json!({ "oid": alice }));
    assert!(core.verify_management_token(&as_alice).await.is_err());
    let as_admin = core.verify_management_token(&entra.token(core, &json!({ "groups": [admins] }))).await.unwrap();
    let (registry, repository) = (bench.registry(), "app".parse().unwrap());
    assert!(!core.permits_action(&as_admin, &registry, Action::Pull, Some(&repository)));
}

#[tokio::test]
async fn issuers_are_asked_rarely_and_only_when_trusted() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    network.publish(GITHUB, &[&Issuer::new(GITHUB, "g")]);
    let bench = trusting(&network).await;
    let core = &bench.core;
    let token = entra.token(core, &json!({}));
    let ask = || core.verify_management_token(&token);
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(network.asked(), 2, "discovery and keys, once for all");
    let stranger = Issuer::new(GITHUB, "g").token(core, &json!({}));
    assert!(core.verify_management_token(&stranger).await.is_err());
    assert_eq!(network.asked(), 2, "nobody asks an issuer that is not trusted");
    // A new key is looked for at once, but not more often than once a while.
    let next = Issuer::new(ENTRA, "two");
    network.publish(ENTRA, &[&entra, &next]);
    for _ in 0..20 {
        assert!(core.verify_management_token(&Issuer::new(ENTRA, "made up").token(core, &json!({}))).await.is_err());
    }
    assert_eq!(network.asked(), 2, "it was asked a moment ago");
    bench.clock.advance(limits::ISSUER_REFRESH_MIN);
    assert!(core.verify_management_token(&next.token(core, &json!({}))).await.is_ok());
    assert_eq!(network.asked(), 4);
    // While the issuer is out, what is known stays good.
    network.documents.lock().unwrap().clear();
    bench.clock.advance(limits::ISSUER_KEYS_LIFE);
    assert!(core.verify_management_token(&next.token(core, &json!({}))).await.is_ok());
    assert_eq!(network.asked(), 5);
    assert!(core.verify_management_token(&entra.token(core, &json!({}))).await.is_ok());
    assert_eq!(network.asked(), 5, "and it is left alone for a while");
}

/// Anybody can send a token with a key that nobody knows, and go away.
#[tokio::test]
async fn nobody_waits_for_an_issuer_whom_another_made_us_ask() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    let bench = trusting(&network).await;
    let (core, token) = (&bench.core, entra.token(&bench.core, &json!({})));
    let held = network.held.lock().await;
    assert!(core.verify_management_token(&token).now_or_never().is_none(), "whoever asked first goes away");
    drop(held);
    assert!(core.verify_management_token(&token).await.is_ok(), "what he asked for is there");
    assert_eq!(network.asked(), 2);
    bench.clock.advance(limits::ISSUER_REFRESH_MIN);
    let held = network.held.lock().await;
    let unknown = Issuer::new(ENTRA, "made up").token(core, &json!({}));
    assert!(core.verify_management_token(&unknown).now_or_never().is_none(), "the issuer is asked again");
    assert!(core.verify_management_token(&token).now_or_never().is_some_and(|known| known.is_ok()));
    drop(held);
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_believed() {
    let (network, entra) = (Arc::new(Network::default()), Issuer::new(ENTRA, "one"));
    network.publish(ENTRA, &[&entra]);
    let discovery = format!("{ENTRA}/.well-known/openid-configuration");
    let set = |document: Value| network.documents.lock().unwrap().insert(discovery.clone(), document);
    let bench = trusting(&network).await;
    let core = &bench.core;
    for document in [
        json!({ "issuer": GITHUB, "jwks_uri": format!("{ENTRA}/keys") }),
        json!({ "issuer": ENTRA, "jwks_uri": "http://169.254.169.254/keys" }),
        json!({ "issuer": ENTRA, "jwks_uri": "http://127.0.0.1:1/keys" }),
        json!({ "issuer": ENTRA }),
        json!([]),
    ] {
        set(document);
        assert!(core.verify_management_token(&entra.token(core, &json!({}))).await.is_err());
        bench.clock.advance(limits::ISSUER_REFRESH_MIN);
    }
    set(json!({ "issuer": ENTRA, "jwks_uri": format!("{ENTRA}/keys") }));
    assert!(core.verify_management_token(&entra.token(core, &json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_workload_needs_the_subject_and_the_audience_that_were_registered() {
    let (network, github) = (Arc::new(Network::default()), Issuer::new(GITHUB, "g"));
    network.publish(GITHUB, &[&github]);
    let bench = trusting(&network).await;
    let core = &bench.core;
    let (_, id, _) = enroll(core).await;
    let main = json!({ "aud": "api://AzureADTokenExchange", "sub": "repo:org/app:ref:refs/heads/main" });
    let ask = async |claims: &Value| {
        let token = github.token(core, claims);
        core.client_credentials(&desk(), &id, ClientProof::Assertion(&token), &wanted(ARM)).await
    };
    assert_eq!(word(ask(&main).await), Word::InvalidClient);
    assert_eq!(network.asked(), 0, "an issuer that nobody registered is not asked");
    let rule = Federation {
        issuer: GITHUB.to_owned(),
        subject: "repo:org/app:ref:refs/heads/*".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
    };
    core.add_credential(&id, NewCredential::Federation { name: "main".to_owned(), rule }).await.unwrap();
    let tokens = ask(&main).await.unwrap();
    assert_eq!(core.verify_management_token(&tokens.access_token).await.unwrap().name(), "ci");
    assert!(ask(&main).await.is_ok(), "its issuer lets a workload show it again");
    let now = core.now_us() / 1_000_000;
    for (name, value) in [
        ("sub", json!("repo:org/other:ref:refs/heads/main")),
        ("sub", json!("repo:org/app:pull_request")),
        ("aud", json!(AUDIENCE)),
        ("exp", json!(now - 61)),
    ] {
        let mut claims = main.clone();
        claims[name] = value;
        assert_eq!(word(ask(&claims).await), Word::InvalidClient, "{claims}");
    }
    assert!(core.verify_management_token(&github.token(core, &main)).await.is_err(), "it is no token for us");
}
