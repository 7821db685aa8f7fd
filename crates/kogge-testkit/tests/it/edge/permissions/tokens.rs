//! Repository-scoped tokens: what each action of a scope map gives, and how their passwords live and end.

use http::Method;
use kogge_testkit::http::Client;
use serde_json::{Value, json};

use super::{World, logs_in, rights};

impl World {
    /// A token over a scope map of its own with these actions, and a client with its first password.
    async fn token(&self, name: &str, actions: &[&str]) -> Client {
        let registry = self.path("default");
        let map = format!("{registry}/scopeMaps/{name}-map");
        self.put(&map, json!({ "properties": { "actions": actions } })).await;
        let token = format!("{registry}/tokens/{name}");
        self.put(&token, json!({ "properties": { "scopeMapId": map } })).await;
        self.registry.anonymous().with_basic(name, &self.password(name, "password1").await)
    }

    async fn password(&self, token: &str, name: &str) -> String {
        let registry = self.path("default");
        let body = json!({ "tokenId": format!("{registry}/tokens/{token}"), "name": name });
        let made = self.post(&format!("{registry}/generateCredentials"), body).await;
        made["passwords"][0]["value"].as_str().expect("a password").to_owned()
    }
}

#[tokio::test]
async fn each_action_of_a_scope_map_is_one_right() {
    let world = World::start().await;
    let client = world.token("builder", &[]).await;
    assert_eq!(rights(&client, "app").await, "");
    let map = format!("{}/scopeMaps/builder-map", world.path("default"));
    // Actions, and what they give at repositories. None gives the catalog.
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let table: &[Row<'_>] = &[
        (&["repositories/app/content/read"], &[("app", "p"), ("app/sub", ""), ("other", "")]),
        (&["repositories/app/content/write"], &[("app", "u")]),
        (&["repositories/app/content/delete"], &[("app", "d")]),
        (&["repositories/app/metadata/read"], &[("app", "r")]),
        (&["repositories/app/metadata/write"], &[("app", "w")]),
        (&["repositories/app/content/read", "repositories/app/content/write"], &[("app", "pu")]),
        (&["repositories/app/content/read", "repositories/other/content/delete"], &[("app", "p"), ("other", "d")]),
        (&["repositories/team/*/content/read"], &[("team/app", "p"), ("team/a/b", "p"), ("team", ""), ("teams/a", "")]),
        (&["repositories/*/metadata/read", "repositories/app/content/write"], &[("app", "ur"), ("x/y", "r")]),
    ];
    for (actions, expected) in table {
        world.patch(&map, json!({ "properties": { "actions": actions } })).await;
        for (repository, allowed) in *expected {
            assert_eq!(rights(&client, repository).await, *allowed, "{actions:?} at {repository}");
        }
    }
}

#[tokio::test]
async fn the_systems_scope_maps_give_what_they_are_named_for() {
    let world = World::start().await;
    let client = world.token("builder", &[]).await;
    let token = format!("{}/tokens/builder", world.path("default"));
    for (map, expected) in [
        ("_repositories_admin", "pudrw"),
        ("_repositories_pull", "p"),
        ("_repositories_pull_metadata_read", "pr"),
        ("_repositories_push", "pu"),
        ("_repositories_push_metadata_write", "purw"),
    ] {
        let id = format!("{}/scopeMaps/{map}", world.path("default"));
        world.patch(&token, json!({ "properties": { "scopeMapId": id } })).await;
        assert_eq!(rights(&client, "any/thing").await, expected, "{map}");
    }
}

#[tokio::test]
async fn a_tokens_passwords_end_at_once_and_alone() {
    let world = World::start().await;
    let first = world.token("builder", &["repositories/app/content/read"]).await;
    let registry = world.path("default");
    let ended = json!({
        "tokenId": format!("{registry}/tokens/builder"), "name": "password2", "expiry": "2026-01-01T00:00:00Z",
    });
    let ended = world.post(&format!("{registry}/generateCredentials"), ended).await;
    let ended = ended["passwords"][0]["value"].as_str().expect("a password");
    assert!(!logs_in(&world.registry.anonymous().with_basic("builder", ended)).await);
    let second = world.registry.anonymous().with_basic("builder", &world.password("builder", "password2").await);
    assert!(logs_in(&first).await && logs_in(&second).await);
    let bearer = async |client: &Client| {
        let token = client.token(&["repository:app:pull"]).await.expect("a token");
        world.registry.anonymous().with_bearer(&token)
    };
    let issued = bearer(&first).await;
    assert_eq!(rights(&issued, "app").await, "p");
    // Made anew: the old one and what was issued for it are void, the other password stays.
    let renewed = world.registry.anonymous().with_basic("builder", &world.password("builder", "password1").await);
    assert!(!logs_in(&first).await && logs_in(&renewed).await && logs_in(&second).await);
    assert_eq!(rights(&issued, "app").await, "");
    let issued = bearer(&renewed).await;
    // Deleted, as `az acr token credential delete` does it.
    let path = format!("{}/tokens/builder", world.path("default"));
    let shown = world.ask(Method::GET, &path, Value::Null).await.expect_status(200).json();
    let kept = &shown["properties"]["credentials"]["passwords"][1];
    world.patch(&path, json!({ "properties": { "credentials": { "passwords": [kept] } } })).await;
    assert!(!logs_in(&renewed).await && logs_in(&second).await);
    assert_eq!(rights(&issued, "app").await, "");
    // Disabled and enabled again.
    let issued = bearer(&second).await;
    world.patch(&path, json!({ "properties": { "status": "disabled" } })).await;
    assert!(!logs_in(&second).await);
    assert_eq!(rights(&issued, "app").await, "");
    world.patch(&path, json!({ "properties": { "status": "enabled" } })).await;
    assert!(logs_in(&second).await);
    // Deleted with all that it had.
    let issued = bearer(&second).await;
    world.delete(&path).await;
    assert!(!logs_in(&second).await);
    assert_eq!(rights(&issued, "app").await, "");
}

#[tokio::test]
async fn a_token_is_of_one_registry_and_of_no_other_api() {
    let world = World::start().await;
    world.put(&world.path("other"), json!({ "location": "local", "sku": { "name": "Premium" } })).await;
    let client = world.token("builder", &["repositories/*/content/read"]).await;
    assert!(logs_in(&client).await);
    assert!(!logs_in(&client.with_host("other.localhost")).await);
    let issued = client.token(&["repository:app:pull"]).await.expect("a token");
    let bearer = world.registry.anonymous().with_bearer(&issued);
    assert_eq!(rights(&bearer, "app").await, "p");
    assert_eq!(rights(&bearer.with_host("other.localhost"), "app").await, "");
    super::ask(&bearer, Method::GET, &world.path("default"), Value::Null).await.expect_status(401);
}
