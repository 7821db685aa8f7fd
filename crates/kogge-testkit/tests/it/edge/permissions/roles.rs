//! Roles: what each gives, on which scopes, by which groups.

use http::Method;
use kogge_core::auth::role;
use kogge_meta::PrincipalKind;
use kogge_testkit::http::Client;
use kogge_types::ResourceId;
use serde_json::{Value, json};

use super::{World, ask, logs_in, management, rights};
use crate::edge::PASSWORD;

const LEGACY: &str = "LegacyRegistryPermissions";
const ABAC: &str = "AbacRepositoryPermissions";

/// What a role gives in repositories with each mode of the registry, and what it may manage: one letter each for reading
/// and writing the registry, listing tokens, making their passwords, seeing the admin user's, and assigning roles.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("Owner", "pudrwc", "", "rwtgla"),
    ("Contributor", "pudrwc", "", "rwtgl"),
    ("Reader", "prc", "", "rt"),
    ("User Access Administrator", "prc", "", "rta"),
    ("Role Based Access Control Administrator", "prc", "", "rta"),
    ("AcrPull", "prc", "", ""),
    ("AcrPush", "purc", "", ""),
    ("AcrDelete", "d", "", ""),
    ("AcrImageSigner", "", "", ""),
    ("AcrQuarantineReader", "", "", ""),
    ("AcrQuarantineWriter", "", "", ""),
    ("Container Registry Repository Reader", "", "pr", ""),
    ("Container Registry Repository Writer", "", "purw", ""),
    ("Container Registry Repository Contributor", "", "pudrw", ""),
    ("Container Registry Repository Catalog Lister", "", "c", ""),
    ("Container Registry Contributor and Data Access Configuration Administrator", "", "", "rwtgl"),
    ("Container Registry Configuration Reader and Data Access Configuration Reader", "", "", "rtl"),
    ("Container Registry Tasks Contributor", "", "", "r"),
    ("Container Registry Transfer Pipeline Contributor", "", "", ""),
    ("Container Registry Data Importer and Data Reader", "prc", "prc", "r"),
];

/// What `manager` may do to the default registry; each try changes nothing.
async fn manages(world: &World, manager: &Client) -> String {
    let path = world.path("default");
    let assignment =
        format!("{path}/providers/Microsoft.Authorization/roleAssignments/{}", ResourceId::from_bytes([7; 16]));
    let tries = [
        ('r', Method::GET, path.clone()),
        ('w', Method::PATCH, path.clone()),
        ('t', Method::GET, format!("{path}/tokens")),
        ('g', Method::POST, format!("{path}/generateCredentials")),
        ('l', Method::POST, format!("{path}/listCredentials")),
        ('a', Method::PUT, assignment),
    ];
    let mut allowed = String::new();
    for (letter, method, path) in tries {
        let body = if method == Method::GET { Value::Null } else { json!({}) };
        match ask(manager, method, &path, body).await.status.as_u16() {
            403 => {}
            200 | 400 => allowed.push(letter),
            other => panic!("{path}: {other}"),
        }
    }
    allowed
}

#[tokio::test]
async fn every_built_in_role_gives_what_azure_says() {
    let world = World::start().await;
    let (client, id) = world.user("somebody").await;
    let manager = management(&world.registry, "somebody", PASSWORD).await;
    let registry = world.path("default");
    for role in role::built_in() {
        let row = TABLE.iter().find(|row| row.0 == role.name);
        let (name, legacy, abac, managed) = row.unwrap_or_else(|| panic!("{} is not in the table", role.name));
        let assignment = world.assign(&world.role(name), id, &registry, None).await;
        for (mode, expected) in [(LEGACY, legacy), (ABAC, abac)] {
            world.set("roleAssignmentMode", json!(mode)).await;
            assert_eq!(rights(&client, "team/app").await, **expected, "{name} {mode}");
            assert_eq!(manages(&world, &manager).await, **managed, "{name} {mode}");
        }
        world.delete(&assignment).await;
        assert_eq!(manages(&world, &manager).await, "", "{name} was taken away");
    }
    assert_eq!(rights(&client, "team/app").await, "");
}

#[tokio::test]
async fn a_role_reaches_down_from_its_scope() {
    let world = World::start().await;
    world.put(&world.group("dev"), json!({ "location": "local" })).await;
    let other = format!("{}/providers/Microsoft.ContainerRegistry/registries/other", world.group("dev"));
    world.put(&other, json!({ "location": "local", "sku": { "name": "Premium" } })).await;
    let beside = world.path("beside");
    world.put(&beside, json!({ "location": "local", "sku": { "name": "Premium" } })).await;
    let (client, id) = world.user("somebody").await;
    // Where the role is held, and what it gives in the registries `default` and `beside` of one group, and in `other`.
    let table = [
        (String::new(), "prc", "prc", "prc"),
        (world.subscription(), "prc", "prc", "prc"),
        (world.group("default"), "prc", "prc", ""),
        (world.group("dev"), "", "", "prc"),
        (world.path("default"), "prc", "", ""),
        (beside, "", "prc", ""),
        (other, "", "", "prc"),
    ];
    for (scope, in_default, in_beside, in_other) in table {
        let assignment = world.assign(&world.role("AcrPull"), id, &scope, None).await;
        let beside = client.with_host("beside.localhost");
        let other = client.with_host("other.localhost");
        assert_eq!(rights(&client, "app").await, in_default, "at '{scope}'");
        assert_eq!(rights(&beside, "app").await, in_beside, "at '{scope}'");
        assert_eq!(rights(&other, "app").await, in_other, "at '{scope}'");
        world.delete(&assignment).await;
    }
    assert_eq!(rights(&client.with_host("other.localhost"), "app").await, "");
}

#[tokio::test]
async fn groups_give_their_roles_to_their_members() {
    let world = World::start().await;
    let core = world.registry.core();
    let (client, id) = world.user("somebody").await;
    let pullers = core.create_group("pullers", &[]).await.expect("a group");
    let deleters = core.create_group("deleters", &[]).await.expect("a group");
    let registry = world.path("default");
    world.assign(&world.role("AcrPull"), pullers, &registry, None).await;
    let deleting = world.assign(&world.role("AcrDelete"), deleters, &registry, None).await;
    assert_eq!(rights(&client, "app").await, "");
    core.set_group_member("pullers", "somebody", true).await.expect("a member");
    assert_eq!(rights(&client, "app").await, "prc");
    core.set_group_member("deleters", "somebody", true).await.expect("a member");
    assert_eq!(rights(&client, "app").await, "pdrc");
    // A token that was made before follows, too.
    let token = client.token(&["repository:app:*", "registry:catalog:*"]).await.expect("a token");
    let bearer = world.registry.anonymous().with_bearer(&token);
    assert_eq!(rights(&bearer, "app").await, "pdrc");
    core.set_group_member("pullers", "somebody", false).await.expect("no member");
    assert_eq!(rights(&client, "app").await, "d");
    assert_eq!(rights(&bearer, "app").await, "d");
    world.delete(&deleting).await;
    world.assign(&world.role("AcrPush"), id, &registry, None).await;
    assert_eq!(rights(&client, "app").await, "purc");
}

#[tokio::test]
async fn custom_roles_give_what_they_say() {
    let world = World::start().await;
    let (client, id) = world.user("somebody").await;
    let registry = world.path("default");
    let role = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions/{}",
        world.subscription(),
        ResourceId::from_bytes([5; 16])
    );
    const HERE: &str = "Microsoft.ContainerRegistry/registries";
    // Actions and those left out, of the control plane and the data plane, and what they give in each mode.
    type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], &'a [&'a str], &'a str, &'a str);
    let table: &[Row<'_>] = &[
        (&["*"], &[], &[], &[], "pudrwc", ""),
        (&["*"], &["*/delete", "*/write"], &[], &[], "prc", ""),
        (&["*/registries/push/write"], &[], &[], &[], "u", ""),
        (&["*/metadata/read", "*/metadata/write"], &[], &[], &[], "rw", ""),
        (&["*/artifacts/delete", "*/pull/read"], &["*/pull/*"], &[], &[], "d", ""),
        (&[], &[], &["*"], &[], "", "pudrwc"),
        (&[], &[], &["*"], &["*/content/delete", "*/catalog/read"], "", "purw"),
        (&[], &[], &["*/repositories/*/read"], &[], "", "pr"),
        (&[], &[], &["*/content/*"], &["*/content/delete"], "", "pu"),
        (&["*/pull/read"], &[], &["*/catalog/read"], &[], "prc", "c"),
        (&[], &[], &[], &[], "", ""),
    ];
    let mut assignment = None;
    for (actions, not_actions, data, not_data, legacy, abac) in table {
        let spelled = |patterns: &[&str]| {
            patterns.iter().map(|pattern| pattern.replace("*/registries", HERE)).collect::<Vec<_>>()
        };
        let permissions = json!([{
            "actions": spelled(actions), "notActions": spelled(not_actions),
            "dataActions": spelled(data), "notDataActions": spelled(not_data),
        }]);
        let body = json!({ "properties": {
            "roleName": "Ours", "permissions": permissions, "assignableScopes": [world.subscription()],
        } });
        world.put(&role, body).await;
        if assignment.is_none() {
            assignment = Some(world.assign(&role, id, &registry, None).await);
        }
        for (mode, expected) in [(LEGACY, legacy), (ABAC, abac)] {
            world.set("roleAssignmentMode", json!(mode)).await;
            assert_eq!(rights(&client, "app").await, **expected, "{permissions} {mode}");
        }
    }
}

#[tokio::test]
async fn who_is_disabled_may_nothing() {
    let world = World::start().await;
    let core = world.registry.core();
    let (client, id) = world.user("somebody").await;
    world.assign(&world.role("Owner"), id, &world.path("default"), None).await;
    let manager = management(&world.registry, "somebody", PASSWORD).await;
    assert_eq!(rights(&client, "app").await, "pudrwc");
    let token = client.token(&["repository:app:*"]).await.expect("a token");
    let bearer = world.registry.anonymous().with_bearer(&token);
    assert_eq!(rights(&bearer, "app").await, "pudrw");
    ask(&manager, Method::GET, &world.path("default"), Value::Null).await.expect_status(200);
    core.enable_principal("somebody", PrincipalKind::User, false).await.expect("disabled");
    assert!(!logs_in(&client).await);
    assert_eq!(rights(&bearer, "app").await, "");
    ask(&manager, Method::GET, &world.path("default"), Value::Null).await.expect_status(401);
    core.enable_principal("somebody", PrincipalKind::User, true).await.expect("enabled");
    assert_eq!(rights(&client, "app").await, "pudrwc");
    // What was issued before stays void.
    assert_eq!(rights(&bearer, "app").await, "");
    ask(&manager, Method::GET, &world.path("default"), Value::Null).await.expect_status(401);
}

#[tokio::test]
async fn refusals_and_changes_are_in_the_audit() {
    let world = World::start().await;
    world.user("somebody").await;
    let stranger = management(&world.registry, "somebody", PASSWORD).await;
    let registry = world.path("default");
    ask(&stranger, Method::GET, &registry, Value::Null).await.expect_status(403);
    let forged = world.registry.anonymous().with_bearer("e30.e30.c2ln");
    ask(&forged, Method::DELETE, &registry, Value::Null).await.expect_status(401);
    ask(&world.registry.anonymous(), Method::GET, &registry, Value::Null).await.expect_status(401);
    world.set("adminUserEnabled", json!(true)).await;
    let told = |event: &Value| {
        let text = |column: &str| event[column].as_str().unwrap_or_default().to_owned();
        let operation = text("OperationName").replace("Microsoft.ContainerRegistry/registries/", "");
        format!(
            "{operation} by '{}' {}{} {}",
            text("Identity"),
            text("Reason"),
            text("Status"),
            text("ResultDescription")
        )
    };
    let events = async |address: String| {
        let page = world.ask(Method::GET, &address, Value::Null).await.expect_status(200).json();
        page["value"].as_array().expect("events").iter().map(told).collect::<Vec<String>>()
    };
    let here = events(format!("{registry}/auditEvents?order=oldest")).await;
    let expected = ["read by 'somebody' Policy 403", "read by '' Authentication 401", "write by 'admin' Succeeded 200"];
    assert_eq!(here, expected);
    // A token that is not good is of nobody, and for no registry.
    let all = format!("{}/providers/Microsoft.ContainerRegistry/auditEvents?kind=denial", world.subscription());
    assert_eq!(events(all).await.len(), 3);
    let log = format!("{}/providers/Microsoft.Insights/eventtypes/management/values", world.subscription());
    let log = format!("{log}?$filter=resourceUri%20eq%20'{registry}'");
    let log = world.ask(Method::GET, &log, Value::Null).await.expect_status(200).json();
    assert_eq!(log["value"].as_array().map(Vec::len), Some(3), "{log}");
    assert_eq!(log["value"][0]["operationName"]["value"], "Microsoft.ContainerRegistry/registries/write");
}
