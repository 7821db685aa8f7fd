//! The admin user, and pulling without a login: switches of a registry.

use http::Method;
use serde_json::{Value, json};

use super::{World, logs_in, rights};

#[tokio::test]
async fn the_admin_user_may_everything_while_it_is_enabled() {
    let world = World::start().await;
    let registry = world.path("default");
    let list = format!("{registry}/listCredentials");
    let refused = world.ask(Method::POST, &list, Value::Null).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    world.set("adminUserEnabled", json!(true)).await;
    let credentials = world.post(&list, Value::Null).await;
    assert_eq!(credentials["username"], "default");
    let client = |credentials: &Value, number: usize| {
        let password = credentials["passwords"][number]["value"].as_str().expect("a password");
        world.registry.anonymous().with_basic("default", password)
    };
    let (first, second) = (client(&credentials, 0), client(&credentials, 1));
    assert_eq!(rights(&first, "any/thing").await, "pudrwc");
    assert_eq!(rights(&second, "any/thing").await, "pudrwc");
    // It is the admin of this registry alone, whatever its roles' mode.
    world.put(&world.path("other"), json!({ "location": "local", "sku": { "name": "Premium" } })).await;
    assert!(!logs_in(&first.with_host("other.localhost")).await);
    world.set("roleAssignmentMode", json!("AbacRepositoryPermissions")).await;
    assert_eq!(rights(&first, "any/thing").await, "pudrwc");
    let token = first.token(&["repository:app:*", "registry:catalog:*"]).await.expect("a token");
    let bearer = world.registry.anonymous().with_bearer(&token);
    assert_eq!(rights(&bearer, "app").await, "pudrwc");
    let renewed = world.post(&format!("{registry}/regenerateCredential"), json!({ "name": "password" })).await;
    assert!(!logs_in(&first).await && logs_in(&second).await && logs_in(&client(&renewed, 0)).await);
    assert_eq!(rights(&bearer, "app").await, "");
    world.set("adminUserEnabled", json!(false)).await;
    assert!(!logs_in(&second).await && !logs_in(&client(&renewed, 0)).await);
    // The same passwords are good again when it is.
    world.set("adminUserEnabled", json!(true)).await;
    assert!(logs_in(&second).await && !logs_in(&first).await);
}

#[tokio::test]
async fn anybody_pulls_and_lists_what_is_open_and_nothing_else() {
    let world = World::start().await;
    world.put(&world.path("other"), json!({ "location": "local", "sku": { "name": "Premium" } })).await;
    let anonymous = world.registry.anonymous();
    // What is set, and what anybody may do at two repositories. What is open is listed, wherever one asks.
    let table = [
        (json!({ "anonymousPullEnabled": true }), "prc", "prc"),
        (json!({ "anonymousPullEnabled": false }), "", ""),
        (json!({ "anonymousPullRepositories": ["public/*"] }), "prc", "c"),
        (json!({ "anonymousPullRepositories": ["public/app", "team/app"] }), "prc", "prc"),
        (json!({ "anonymousPullEnabled": true, "anonymousPullRepositories": ["nothing"] }), "prc", "prc"),
        (json!({ "anonymousPullEnabled": false, "anonymousPullRepositories": ["*"] }), "prc", "prc"),
        (json!({ "anonymousPullRepositories": [] }), "", ""),
    ];
    let (stranger, _) = world.user("stranger").await;
    for (properties, at_public, at_team) in table {
        world.patch(&world.path("default"), json!({ "properties": properties })).await;
        assert_eq!(rights(&anonymous, "public/app").await, at_public, "{properties}");
        assert_eq!(rights(&anonymous, "team/app").await, at_team, "{properties}");
        // Whoever logs in may no less.
        assert_eq!(rights(&stranger, "public/app").await, at_public, "{properties}");
        assert_eq!(rights(&anonymous.with_host("other.localhost"), "public/app").await, "", "{properties}");
    }
}

#[tokio::test]
async fn a_registry_does_not_show_what_happened_to_an_earlier_one_of_its_name() {
    let world = World::start().await;
    let (path, made) = (world.path("other"), json!({ "location": "local", "sku": { "name": "Premium" } }));
    let events = async || {
        assert!(world.registry.core().audit().flush().await);
        let told = world.ask(Method::GET, &format!("{path}/auditEvents"), Value::Null).await.expect_status(200).json();
        told["value"].as_array().expect("a list").len()
    };
    world.put(&path, made.clone()).await;
    let wrong = world.registry.anonymous().with_host("other.localhost").with_basic("admin", "wrong");
    assert!(!logs_in(&wrong).await);
    assert!(events().await > 0);
    world.delete(&path).await;
    world.put(&path, made).await;
    // The registry's own making is told: nothing that was before it.
    let told = world.ask(Method::GET, &format!("{path}/auditEvents?kind=denial&kind=login"), Value::Null).await;
    assert_eq!(told.expect_status(200).json()["value"], json!([]));
}
