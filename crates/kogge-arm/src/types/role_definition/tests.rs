use kogge_core::auth::role;
use serde_json::{Value, json};

use super::{Asked, PERMISSIONS, complete_permissions};
use crate::body::Registers;
use crate::fixture::{Bench, bench};

const ID: &str = "11111111-2222-4333-8444-555555555555";

fn path_to(bench: &Bench, id: &str) -> String {
    format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", bench.deployment.subscription_path())
}

fn body(bench: &Bench, name: &str, actions: &[&str]) -> Value {
    json!({ "properties": {
        "roleName": name, "description": "ours", "type": "CustomRole",
        "permissions": [{ "actions": actions }],
        "assignableScopes": [bench.deployment.subscription_path()],
    } })
}

#[tokio::test]
async fn a_role_is_found_by_name_at_every_scope() {
    let bench = bench().await;
    let expected = path_to(&bench, &role::ACR_PULL.to_string());
    for scope in
        ["", &bench.deployment.subscription_path(), &bench.group("default"), &bench.registry("default", "default")]
    {
        let list =
            format!("{scope}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName%20eq%20%27AcrPull%27");
        let found = bench.all(&list).await;
        assert_eq!(found.len(), 1, "{scope}");
        assert_eq!((&found[0]["id"], &found[0]["properties"]["type"]), (&json!(expected), &json!("BuiltInRole")));
        assert_eq!(
            found[0]["properties"]["permissions"],
            json!([{
                "actions": ["Microsoft.ContainerRegistry/registries/pull/read"], "notActions": [], "dataActions": [],
                "notDataActions": [],
            }])
        );
        let one = format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{}", role::ACR_PULL);
        assert_eq!(bench.get(&one).ok().await, found[0], "{scope}");
    }
    let nowhere = format!("{}/providers/Microsoft.Authorization/roleDefinitions", bench.registry("default", "nowhere"));
    assert_eq!(bench.get(&nowhere).refusal().await.0, 404);
}

#[tokio::test]
async fn a_custom_role_is_made_changed_listed_and_deleted() {
    let bench = bench().await;
    let path = path_to(&bench, ID);
    let made =
        bench.put(&path, body(&bench, "Puller", &["Microsoft.ContainerRegistry/registries/pull/read"])).ok().await;
    assert_eq!((&made["id"], &made["properties"]["type"]), (&json!(path), &json!("CustomRole")));
    assert_eq!(made["properties"]["createdBy"], "owner");
    let list = format!("{}/providers/Microsoft.Authorization/roleDefinitions", bench.group("default"));
    assert_eq!(bench.all(&list).await.len(), role::built_in().len() + 1);
    assert_eq!(bench.all(&format!("{list}?$top=4")).await, bench.all(&list).await);
    assert_eq!(bench.all(&format!("{list}?$filter=type%20eq%20'CustomRole'")).await, std::slice::from_ref(&made));
    assert_eq!(bench.all(&format!("{list}?$filter=roleName%20eq%20'puller'")).await, [made]);
    // The same role, asked for at another scope.
    let there = format!("{}/providers/Microsoft.Authorization/roleDefinitions/{ID}", bench.group("default"));
    let changed = bench.put(&there, body(&bench, "Reader of ours", &["*/read"])).ok().await;
    assert_eq!(changed["id"], path.as_str());
    assert_eq!(bench.get(&path).ok().await["properties"]["roleName"], "Reader of ours");
    bench.delete(&there).ok().await;
    assert_eq!(bench.get(&path).refusal().await.0, 404);
}

#[tokio::test]
async fn what_is_no_role_is_refused() {
    let bench = bench().await;
    let path = path_to(&bench, ID);
    let with = |key: &str, value: Value| {
        let mut body = body(&bench, "Ours", &["*/read"]);
        body["properties"][key] = value;
        body
    };
    for (body, code) in [
        (with("roleName", json!("AcrPull")), "RoleDefinitionWithSameNameExists"),
        (with("roleName", json!(" ")), "InvalidParameter"),
        (with("permissions", json!([{ "actions": ["no action"] }])), "InvalidActionOrNotAction"),
        (with("permissions", json!([{ "condition": "@Request[x] StringEquals 'y'" }])), "FeatureNotSupported"),
        (with("assignableScopes", json!([])), "InvalidParameter"),
        (with("assignableScopes", json!(["/subscriptions/other"])), "InvalidAssignableScope"),
    ] {
        assert_eq!(bench.put(&path, body.clone()).refusal().await.1, code, "{body}");
    }
    let owner = path_to(&bench, &role::OWNER.to_string());
    assert_eq!(bench.put(&owner, with("roleName", json!("Mine"))).refusal().await.1, "ResourceIsBuiltIn");
    assert_eq!(bench.delete(&owner).refusal().await.1, "ResourceIsBuiltIn");
    let named = path_to(&bench, "my-role");
    assert_eq!(bench.put(&named, body(&bench, "Ours", &[])).refusal().await.1, "InvalidResourceName");
}

#[test]
fn a_filter_of_roles() {
    let asked = |filter| Asked::read(Some(filter));
    assert_eq!(asked("roleName eq 'AcrPull'").expect("a filter").name.as_deref(), Some("AcrPull"));
    assert_eq!(asked("atScope() and type eq 'CustomRole'").expect("a filter").built_in, Some(false));
    assert!(asked("atScopeAndBelow()").is_ok() && Asked::read(None).is_ok());
    for bad in ["principalId eq 'x'", "roleName ne 'x'", "atScope('x')", "assignedTo('x')"] {
        assert_eq!(asked(bad).expect_err(bad).code, "InvalidFilterInQueryString", "{bad}");
    }
}

#[test]
fn permissions_are_completed_and_checked() {
    let permissions = |value: Value| {
        let mut registers = Registers::from([(PERMISSIONS.to_owned(), value)]);
        complete_permissions(&mut registers).map(|()| registers[PERMISSIONS].clone())
    };
    assert_eq!(
        permissions(json!([{ "actions": ["*/read"] }])).expect("complete"),
        json!([{ "actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": [] }])
    );
    let error = permissions(json!([{}, { "notDataActions": ["no action"] }])).expect_err("no action");
    assert_eq!(error.target.as_deref(), Some("properties.permissions[1].notDataActions"));
}
