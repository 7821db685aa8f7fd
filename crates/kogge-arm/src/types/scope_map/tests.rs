use kogge_types::limits;
use serde_json::{Value, json};

use crate::fixture::{Bench, bench};

fn path_of(bench: &Bench, name: &str) -> String {
    format!("{}/scopeMaps/{name}", bench.registry("default", "default"))
}

fn body(actions: &[&str]) -> Value {
    json!({ "properties": { "description": "of the team", "actions": actions } })
}

#[tokio::test]
async fn a_scope_map_is_made_changed_and_deleted() {
    let bench = bench().await;
    let path = path_of(&bench, "TeamPull");
    let made = bench.put(&path, body(&["repositories/team/*/content/read"])).ok().await;
    assert_eq!(made["id"], path.as_str());
    assert_eq!(made["type"], "Microsoft.ContainerRegistry/registries/scopeMaps");
    assert_eq!(
        made["properties"],
        json!({
            "description": "of the team", "type": "UserDefined", "creationDate": "2026-01-01T00:00:00Z",
            "provisioningState": "Succeeded", "actions": ["repositories/team/*/content/read"],
        })
    );
    let more =
        json!({ "properties": { "actions": ["repositories/app/content/read", "repositories/app/content/write"] } });
    let changed = bench.patch(&path.to_lowercase(), more.clone()).ok().await;
    assert_eq!(changed["properties"]["actions"], more["properties"]["actions"]);
    assert_eq!(changed["properties"]["description"], "of the team");
    assert_eq!(bench.get(&path).ok().await, changed);
    assert_eq!(bench.delete(&path).reply().await.status, 200);
    assert_eq!(bench.get(&path).refusal().await.0, 404);
    assert_eq!(bench.delete(&path).reply().await.status, 204);
}

#[tokio::test]
async fn the_systems_scope_maps_are_seen_and_stay() {
    let bench = bench().await;
    bench.put(&path_of(&bench, "own-map"), body(&[])).ok().await;
    let listed = bench.all(&format!("{}/scopeMaps", bench.registry("default", "default"))).await;
    let kinds: Vec<_> =
        listed.iter().map(|map| (&map["name"], &map["properties"]["type"])).map(|(n, t)| format!("{n}{t}")).collect();
    assert_eq!(
        kinds,
        [
            "\"_repositories_admin\"\"SystemDefined\"",
            "\"_repositories_pull\"\"SystemDefined\"",
            "\"_repositories_pull_metadata_read\"\"SystemDefined\"",
            "\"_repositories_push\"\"SystemDefined\"",
            "\"_repositories_push_metadata_write\"\"SystemDefined\"",
            "\"own-map\"\"UserDefined\"",
        ]
    );
    let pull = path_of(&bench, "_repositories_pull");
    assert_eq!(bench.get(&pull).ok().await["properties"]["actions"], json!(["repositories/*/content/read"]));
    for ask in [bench.put(&pull, body(&[])), bench.patch(&pull, body(&[])), bench.delete(&pull)] {
        assert_eq!(ask.refusal().await.1, "ResourceIsBuiltIn");
    }
}

#[tokio::test]
async fn what_is_no_action_is_refused() {
    let bench = bench().await;
    let path = path_of(&bench, "broken-map");
    for action in
        ["repositories/app/content/run", "app/content/read", "repositories/*/x/content/read", "gateway/g/config/read"]
    {
        let (status, code, target) = bench.put(&path, body(&[action])).refusal().await;
        assert_eq!((status, code.as_str(), target.as_deref()), (400, "InvalidParameter", Some("properties.actions")));
    }
    let many: Vec<String> =
        (0..=limits::SCOPE_MAP_ACTIONS_MAX).map(|n| format!("repositories/r{n}/content/read")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(bench.put(&path, body(&many)).refusal().await.0, 400);
    bench.put(&path, body(&many[1..])).ok().await;
    assert_eq!(bench.put(&path, json!({ "properties": {} })).refusal().await.2.as_deref(), Some("properties.actions"));
    for name in ["four", &"n".repeat(51), "with.dot"] {
        assert_eq!(bench.put(&path_of(&bench, name), body(&[])).refusal().await.1, "InvalidResourceName");
    }
}

#[tokio::test]
async fn a_token_outlives_its_scope_map_without_rights() {
    let bench = bench().await;
    bench.put(&bench.group("dev"), json!({ "location": "local" })).ok().await;
    let registry = bench.registry("dev", "other");
    bench.put(&registry, json!({ "location": "local", "sku": { "name": "Premium" } })).ok().await;
    let (map, token) = (format!("{registry}/scopeMaps/in-use"), format!("{registry}/tokens/user1"));
    bench.put(&map, body(&["repositories/app/content/read"])).ok().await;
    bench.put(&token, json!({ "properties": { "scopeMapId": map.to_uppercase() } })).ok().await;
    bench.delete(&map).ok().await;
    bench.patch(&token, json!({ "properties": { "status": "disabled" } })).ok().await;
    let gone = bench.patch(&token, json!({ "properties": { "scopeMapId": map } })).refusal().await;
    assert_eq!(gone.1, "ScopeMapNotFound");
    let system = format!("{registry}/scopeMaps/_repositories_pull");
    bench.patch(&token, json!({ "properties": { "scopeMapId": system } })).ok().await;
    assert!(bench.delete(&registry).reply().await.status.is_success());
}
