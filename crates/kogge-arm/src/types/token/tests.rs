use std::net::{IpAddr, Ipv4Addr};

use kogge_core::auth::Credential;
use kogge_types::Action;
use serde_json::{Value, json};

use super::child_of;
use crate::fixture::{Bench, bench};

const REGISTRY: &str = "default";

fn path(bench: &Bench, name: &str) -> String {
    format!("{}/tokens/{name}", bench.registry("default", REGISTRY))
}

/// A token as `az acr token create` makes it, over a scope map with these actions.
async fn token(bench: &Bench, name: &str, actions: &[&str]) -> String {
    let (path, map) = (path(bench, name), format!("{}/scopeMaps/{name}-map", bench.registry("default", REGISTRY)));
    bench.put(&map, json!({ "properties": { "actions": actions } })).ok().await;
    bench.put(&path, json!({ "properties": { "status": "enabled", "scopeMapId": map } })).ok().await;
    path
}

async fn generate(bench: &Bench, body: Value) -> Value {
    bench.post(&format!("{}/generateCredentials", bench.registry("default", REGISTRY)), body).ok().await
}

/// What a login with this password may do in the repository `app`: one letter each for pull, push, delete, metadata read
/// and write; `None` when the login is refused.
async fn rights(bench: &Bench, name: &str, password: &str) -> Option<String> {
    let registry = bench.rules(REGISTRY).registry.clone();
    let credential = Credential::Basic { name, password };
    let login = bench.core.authenticate(&registry, credential, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
    let (caller, repository) = (login.ok()?, "app".parse().unwrap());
    let may = |action| bench.core.permits_action(&caller, &registry, action, Some(&repository));
    let letters = Action::OF_REPOSITORY.into_iter().zip("pudrw".chars());
    Some(letters.filter(|(action, _)| may(*action)).map(|(_, letter)| letter).collect())
}

#[tokio::test]
async fn a_token_logs_in_with_its_passwords() {
    let bench = bench().await;
    let path = token(&bench, "builder", &["repositories/app/content/read", "repositories/app/content/write"]).await;
    let shown = bench.get(&path).ok().await;
    assert_eq!(shown["properties"]["status"], "enabled");
    assert_eq!(shown["properties"]["credentials"], json!({ "certificates": [], "passwords": [] }));
    let made = generate(&bench, json!({ "tokenId": path.to_uppercase() })).await;
    assert_eq!(made["username"], "builder");
    let passwords: Vec<&str> = (0..2).map(|n| made["passwords"][n]["value"].as_str().unwrap()).collect();
    assert_eq!(
        (&made["passwords"][0]["name"], &made["passwords"][1]["name"]),
        (&json!("password1"), &json!("password2"))
    );
    assert_eq!(made["passwords"][0]["expiry"], Value::Null);
    for password in &passwords {
        assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some("pu"));
        assert_eq!(rights(&bench, "BUILDER", password).await.as_deref(), Some("pu"));
    }
    assert_eq!(rights(&bench, "builder", "password").await, None);
    // They are never shown again.
    let shown = bench.get(&path).ok().await;
    let held = json!([
        { "creationTime": "2026-01-01T00:00:00Z", "name": "password1" },
        { "creationTime": "2026-01-01T00:00:00Z", "name": "password2" },
    ]);
    assert_eq!(shown["properties"]["credentials"]["passwords"], held);
    // A new one takes the place of the old one of its name alone.
    let again = generate(&bench, json!({ "tokenId": path, "name": "Password2" })).await;
    assert_eq!(again["passwords"].as_array().unwrap().len(), 1);
    assert_eq!(rights(&bench, "builder", passwords[1]).await, None);
    assert!(rights(&bench, "builder", passwords[0]).await.is_some());
    assert!(rights(&bench, "builder", again["passwords"][0]["value"].as_str().unwrap()).await.is_some());
}

#[tokio::test]
async fn a_change_holds_at_once() {
    let bench = bench().await;
    let path = token(&bench, "builder", &["repositories/app/content/read"]).await;
    let made = generate(&bench, json!({ "tokenId": path, "name": "password1" })).await;
    let password = made["passwords"][0]["value"].as_str().unwrap();
    assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some("p"));
    let map = format!("{}/scopeMaps/builder-map", bench.registry("default", REGISTRY));
    let wider =
        json!({ "properties": { "actions": ["repositories/*/content/delete", "repositories/app/metadata/read"] } });
    bench.patch(&map, wider).ok().await;
    assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some("dr"));
    // Without its scope map it may nothing.
    bench.delete(&map).ok().await;
    assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some(""));
    let narrower = json!({ "properties": { "actions": ["repositories/app/metadata/read"] } });
    bench.put(&map, narrower).ok().await;
    assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some("r"));
    bench.patch(&path, json!({ "properties": { "status": "disabled" } })).ok().await;
    assert_eq!(rights(&bench, "builder", password).await, None);
    bench.patch(&path, json!({ "properties": { "status": "Enabled" } })).ok().await;
    assert_eq!(rights(&bench, "builder", password).await.as_deref(), Some("r"));
    bench.delete(&path).ok().await;
    assert_eq!(rights(&bench, "builder", password).await, None);
    // One of the same name is another one.
    bench.put(&path, json!({ "properties": { "scopeMapId": map } })).ok().await;
    assert_eq!(rights(&bench, "builder", password).await, None);
}

#[tokio::test]
async fn passwords_end_and_are_deleted_as_the_command_line_does_it() {
    let bench = bench().await;
    let path = token(&bench, "builder", &["repositories/app/content/read"]).await;
    let ended =
        generate(&bench, json!({ "tokenId": path, "name": "password1", "expiry": "2026-01-01T00:00:00Z" })).await;
    assert_eq!(rights(&bench, "builder", ended["passwords"][0]["value"].as_str().unwrap()).await, None);
    let expiry = "2026-02-01T00:00:00.123456Z";
    let made = generate(&bench, json!({ "tokenId": path, "expiry": expiry })).await;
    assert_eq!(made["passwords"][1]["expiry"], expiry);
    let credentials = bench.get(&path).ok().await["properties"]["credentials"].clone();
    assert_eq!(credentials["passwords"][0]["expiry"], expiry);
    // What was read is sent back without the one to delete.
    let kept = json!({ "properties": { "credentials": { "passwords": [credentials["passwords"][1]] } } });
    let changed = bench.patch(&path, kept.clone()).ok().await;
    assert_eq!(changed["properties"]["credentials"]["passwords"], json!([credentials["passwords"][1]]));
    assert_eq!(rights(&bench, "builder", made["passwords"][0]["value"].as_str().unwrap()).await, None);
    assert!(rights(&bench, "builder", made["passwords"][1]["value"].as_str().unwrap()).await.is_some());
    // Other changes leave passwords alone, a full update among them.
    let status = json!({ "properties": { "status": "enabled" } });
    bench.patch(&path, status).ok().await;
    let whole = json!({ "properties": { "scopeMapId": changed["properties"]["scopeMapId"] } });
    assert_eq!(
        bench.put(&path, whole).ok().await["properties"]["credentials"]["passwords"].as_array().unwrap().len(),
        1
    );
    let target = Some("properties.credentials.passwords");
    let lost = json!({ "properties": { "credentials": { "passwords": [{ "name": "password1" }] } } });
    assert_eq!(bench.patch(&path, lost).refusal().await.2.as_deref(), target);
    let longer = json!({ "properties": { "credentials": { "passwords": [{ "name": "password2", "expiry": "2027-01-01T00:00:00Z" }] } } });
    assert_eq!(bench.patch(&path, longer).refusal().await.2.as_deref(), target);
    let none = json!({ "properties": { "credentials": { "passwords": [] } } });
    bench.patch(&path, none).ok().await;
    assert_eq!(rights(&bench, "builder", made["passwords"][1]["value"].as_str().unwrap()).await, None);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let bench = bench().await;
    let registry = bench.registry("default", REGISTRY);
    let path = path(&bench, "builder");
    for map in [
        format!("{registry}/scopeMaps/nothing"),
        "scopeMaps/nothing".to_owned(),
        format!("{registry}2/scopeMaps/_repositories_pull"),
    ] {
        let (_, code, target) = bench.put(&path, json!({ "properties": { "scopeMapId": map } })).refusal().await;
        assert_eq!(target.as_deref(), Some("properties.scopeMapId"), "{map} {code}");
    }
    assert_eq!(
        bench.put(&path, json!({ "properties": {} })).refusal().await.2.as_deref(),
        Some("properties.scopeMapId")
    );
    bench
        .put(&path, json!({ "properties": { "scopeMapId": format!("{registry}/scopeMaps/_repositories_pull") } }))
        .ok()
        .await;
    let generate = format!("{registry}/generateCredentials");
    for (body, target) in [
        (json!({}), "tokenId"),
        (json!({ "tokenId": format!("{registry}/tokens/other") }), "tokenId"),
        (json!({ "tokenId": path, "name": "password3" }), "name"),
        (json!({ "tokenId": path, "expiry": "soon" }), "expiry"),
    ] {
        let (status, _, found) = bench.post(&generate, body.clone()).refusal().await;
        let found = found.unwrap_or_default();
        assert_eq!((status, found.trim_start_matches('.')), (400, target), "{body}");
    }
    let nowhere = bench.registry("default", "nowhere");
    assert_eq!(
        bench.post(&format!("{nowhere}/generateCredentials"), json!({ "tokenId": path })).refusal().await.1,
        "ResourceNotFound"
    );
}

#[tokio::test]
async fn tokens_list_in_pages() {
    let bench = bench().await;
    let map = format!("{}/scopeMaps/_repositories_pull", bench.registry("default", REGISTRY));
    for number in 0..7 {
        bench.put(&path(&bench, &format!("token{number}")), json!({ "properties": { "scopeMapId": map } })).ok().await;
    }
    let listed = bench.all(&format!("{}/tokens?$top=3", bench.registry("default", REGISTRY))).await;
    let names: Vec<_> = listed.iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["token0", "token1", "token2", "token3", "token4", "token5", "token6"]);
}

#[test]
fn a_child_is_directly_beneath_its_registry() {
    let registry = "/s/registries/r";
    for (path, expected) in [
        ("/S/registries/R/tokens/Name", Some("name")),
        ("/s/registries/r/tokens/", None),
        ("/s/registries/r/tokens/a/b", None),
        ("/s/registries/r2/tokens/a", None),
        ("/s/registries/r/scopeMaps/a", None),
        ("tokens/a", None),
    ] {
        assert_eq!(child_of(registry, "tokens", path).as_deref(), expected, "{path}");
    }
}
