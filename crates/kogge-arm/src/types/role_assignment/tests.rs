use std::net::{IpAddr, Ipv4Addr};

use kogge_core::auth::subject::PrincipalId;
use kogge_core::auth::{Caller, Credential, role};
use kogge_meta::{Commit, PrincipalKind, PrincipalRecord};
use kogge_types::ResourceId;
use serde_json::{Value, json};

use crate::fixture::{Bench, bench};

const PASSWORD: &str = "a long password";

/// A user without any role.
async fn person(bench: &Bench, name: &str) -> (Caller, ResourceId) {
    bench.core.put_user(name, PASSWORD, &[]).await.unwrap();
    let registry = bench.rules("default").registry.clone();
    let credential = Credential::Basic { name, password: PASSWORD };
    let caller =
        bench.core.authenticate(&registry, credential, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap().unwrap();
    let PrincipalId::Directory(id) = caller.subject().id else { panic!("{name} is of the directory") };
    (caller, ResourceId::from_bytes(id))
}

fn path_to(scope: &str, number: u8) -> String {
    let id = ResourceId::from_bytes([number; 16]);
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{id}")
}

fn role_path(bench: &Bench, role: &str) -> String {
    let id = role::built_in_by_name(role).unwrap().id;
    format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", bench.deployment.subscription_path())
}

fn body(bench: &Bench, role: &str, principal: ResourceId) -> Value {
    json!({ "properties": { "roleDefinitionId": role_path(bench, role), "principalId": principal } })
}

fn names(listed: &[Value]) -> Vec<String> {
    listed.iter().map(|assignment| assignment["name"].as_str().unwrap()[..2].to_owned()).collect()
}

async fn list(bench: &Bench, scope: &str, filter: &str) -> Vec<String> {
    let list =
        format!("{scope}/providers/Microsoft.Authorization/roleAssignments?$filter={}", filter.replace(' ', "%20"));
    let mut found = names(&bench.all(&list).await);
    // That of the owner, who made the others, has a random name.
    found.retain(|name| name.bytes().all(|b| b == name.as_bytes()[0]) && name.starts_with(['1', '2', '3', '4']));
    found
}

#[tokio::test]
async fn an_assignment_is_shown_as_azure_shows_it() {
    let bench = bench().await;
    let (_, ada) = person(&bench, "ada").await;
    let registry = bench.registry("default", "default");
    let path = path_to(&registry, 0x11);
    // Any scope may stand before a role's id, in any case; answers have one form.
    let role = format!("/PROVIDERS/microsoft.authorization/roledefinitions/{}", role::ACR_PULL);
    let condition = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'app'";
    let body = json!({ "properties": {
        "roleDefinitionId": role, "principalId": ada.to_string().to_uppercase(), "principalType": "user",
        "condition": condition, "description": "for tests",
    } });
    let reply = bench.put(&path, body.clone()).reply().await;
    assert_eq!(reply.status, 201);
    let shown = reply.body.unwrap();
    assert_eq!((&shown["id"], &shown["type"]), (&json!(path), &json!("Microsoft.Authorization/roleAssignments")));
    assert_eq!(
        shown["properties"],
        json!({
            "roleDefinitionId": role_path(&bench, "AcrPull"), "principalId": ada, "principalType": "User",
            "scope": registry, "condition": condition, "conditionVersion": "2.0", "description": "for tests",
            "createdOn": "2026-01-01T00:00:00Z", "updatedOn": "2026-01-01T00:00:00Z",
            "createdBy": "owner", "updatedBy": "owner",
        })
    );
    assert_eq!(bench.get(&path.to_lowercase()).ok().await["id"], path.as_str());
    assert_eq!(bench.put(&path, body).reply().await.status, 200);
    assert_eq!(bench.delete(&path).ok().await["id"], path.as_str());
    assert_eq!(bench.get(&path).refusal().await.0, 404);
}

#[tokio::test]
async fn a_listing_shows_what_reaches_a_scope_and_what_lies_beneath() {
    let bench = bench().await;
    let ((_, ada), (_, bob)) = (person(&bench, "ada").await, person(&bench, "bob").await);
    let team = group(&bench, "team").await;
    let subscription = bench.deployment.subscription_path();
    let (group_path, registry) = (bench.group("default"), bench.registry("default", "default"));
    for (scope, number, who) in
        [("", 0x11, ada), (&subscription, 0x22, bob), (&group_path, 0x33, team), (&registry, 0x44, ada)]
    {
        bench.put(&path_to(scope, number), body(&bench, "Reader", who)).ok().await;
    }
    bench.core.write_policy(member(team, bob)).await.unwrap();
    for (scope, filter, expected) in [
        ("", "", &["11", "22", "33", "44"][..]),
        (&subscription, "", &["11", "22", "33", "44"]),
        (&subscription, "atScope()", &["11", "22"]),
        (&group_path, "", &["11", "22", "33", "44"]),
        (&registry, "atScope()", &["11", "22", "33", "44"]),
        (&registry, &format!("principalId eq '{ada}'"), &["11", "44"]),
        (&group_path, &format!("atScope() and principalId eq '{ada}'"), &["11"]),
        (&subscription, &format!("principalId eq '{bob}'"), &["22"]),
        (&subscription, &format!("assignedTo('{bob}')"), &["22", "33"]),
        ("", "atScope()", &["11"]),
    ] {
        assert_eq!(list(&bench, scope, filter).await, expected, "{scope} {filter}");
    }
    // In pages of one.
    let paged = bench.all(&format!("{registry}/providers/Microsoft.Authorization/roleAssignments?$top=1")).await;
    assert_eq!(paged.len(), 5);
    let scopes: Vec<_> = paged.iter().map(|assignment| assignment["properties"]["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["/", "/", &subscription, &group_path, &registry]);
    let bad = format!("{registry}/providers/Microsoft.Authorization/roleAssignments?$filter=size%20eq%20'1'");
    assert_eq!(bench.get(&bad).refusal().await.1, "InvalidFilterInQueryString");
}

#[tokio::test]
async fn what_cannot_be_assigned_is_refused() {
    let bench = bench().await;
    let (_, ada) = person(&bench, "ada").await;
    let registry = bench.registry("default", "default");
    let path = path_to(&registry, 0x11);
    let with = |key: &str, value: Value| {
        let mut body = body(&bench, "AcrPull", ada);
        body["properties"][key] = value;
        body
    };
    let nobody = ResourceId::from_bytes([9; 16]);
    for (body, code) in [
        (with("roleDefinitionId", json!(path)), "RoleDefinitionDoesNotExist"),
        (
            with("roleDefinitionId", json!(format!("/providers/Microsoft.Authorization/roleDefinitions/{nobody}"))),
            "RoleDefinitionDoesNotExist",
        ),
        (with("principalId", json!("ada")), "InvalidPrincipalId"),
        (with("principalId", json!(nobody)), "PrincipalNotFound"),
        (with("principalType", json!("Group")), "UnmatchedPrincipalType"),
        (with("condition", json!("@Request[x] LooksLike 'y'")), "InvalidCondition"),
        (with("conditionVersion", json!("1.0")), "InvalidParameter"),
    ] {
        assert_eq!(bench.put(&path, body.clone()).refusal().await.1, code, "{body}");
    }
    // An outside issuer's: its kind must be said.
    let mut outside = body(&bench, "AcrPull", nobody);
    outside["properties"]["principalType"] = json!("ServicePrincipal");
    bench.put(&path_to(&registry, 0x44), outside).ok().await;
    bench.put(&path, body(&bench, "AcrPull", ada)).ok().await;
    let twice = bench.put(&path_to(&registry, 0x22), body(&bench, "AcrPull", ada)).refusal().await;
    assert_eq!((twice.0, twice.1.as_str()), (409, "RoleAssignmentExists"));
    let changed = bench.put(&path, body(&bench, "AcrPush", ada)).refusal().await;
    assert_eq!(changed.1, "RoleAssignmentUpdateNotPermitted");
    let nowhere = bench.registry("default", "nowhere");
    assert_eq!(bench.put(&path_to(&nowhere, 0x22), body(&bench, "AcrPull", ada)).refusal().await.0, 404);
    assert_eq!(
        bench.put(&path_to(&registry, 0x33).replace("33333333-", "3-"), body(&bench, "AcrPull", ada)).refusal().await.0,
        400
    );
}

#[tokio::test]
async fn the_last_owner_stays() {
    let bench = bench().await;
    let listed = bench.all("/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()").await;
    let first = listed[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.delete(&first).refusal().await.1, "LastOwnerCannotBeRemoved");
    let mut bounded = listed[0].clone();
    bounded["properties"]["condition"] = json!("!(ActionMatches{'*'})");
    assert_eq!(bench.put(&first, bounded).refusal().await.1, "LastOwnerCannotBeRemoved");
    // An empty group is nobody, and neither is one whom only an outside issuer knows.
    let team = group(&bench, "team").await;
    bench.put(&path_to("", 0x11), body(&bench, "Owner", team)).ok().await;
    let mut outside = body(&bench, "Owner", ResourceId::from_bytes([9; 16]));
    outside["properties"]["principalType"] = json!("User");
    bench.put(&path_to("", 0x22), outside).ok().await;
    assert_eq!(bench.delete(&first).refusal().await.1, "LastOwnerCannotBeRemoved");
    let (_, ada) = person(&bench, "ada").await;
    bench.core.write_policy(member(team, ada)).await.unwrap();
    bench.delete(&first).ok().await;
}

#[tokio::test]
async fn who_may_not_assign_roles_cannot_raise_himself() {
    let bench = bench().await;
    let (ada, id) = person(&bench, "ada").await;
    let registry = bench.registry("default", "default");
    bench.put(&path_to(&registry, 0x11), body(&bench, "Contributor", id)).ok().await;
    let refused = bench.put(&path_to(&registry, 0x22), body(&bench, "Owner", id)).by(&ada).refusal().await;
    assert_eq!((refused.0, refused.1.as_str()), (403, "AuthorizationFailed"));
    // Who may assign roles on a registry may do so there, and not above.
    bench.put(&path_to(&registry, 0x33), body(&bench, "User Access Administrator", id)).ok().await;
    let (_, bob) = person(&bench, "bob").await;
    bench.put(&path_to(&registry, 0x22), body(&bench, "AcrPull", bob)).by(&ada).ok().await;
    let above =
        bench.put(&path_to(&bench.group("default"), 0x44), body(&bench, "AcrPull", bob)).by(&ada).refusal().await;
    assert_eq!(above.0, 403);
    // Nor does a custom role give what its author may not give everywhere that it can be assigned.
    let role =
        format!("{registry}/providers/Microsoft.Authorization/roleDefinitions/{}", ResourceId::from_bytes([5; 16]));
    let define = |scope: &str| json!({ "properties": { "roleName": "Everything", "permissions": [{ "actions": ["*"] }], "assignableScopes": [scope] } });
    assert_eq!(bench.put(&role, define(&bench.deployment.subscription_path())).by(&ada).refusal().await.0, 403);
    bench.put(&role, define(&registry)).by(&ada).ok().await;
    assert_eq!(bench.put(&role, define("/")).by(&ada).refusal().await.0, 403);
}

#[tokio::test]
async fn a_custom_role_in_use_stays_and_is_assigned_only_where_it_can_be() {
    let bench = bench().await;
    let (_, ada) = person(&bench, "ada").await;
    let registry = bench.registry("default", "default");
    let id = ResourceId::from_bytes([5; 16]);
    let role =
        format!("{}/providers/Microsoft.Authorization/roleDefinitions/{id}", bench.deployment.subscription_path());
    let define = |scope: &str| json!({ "properties": { "roleName": "Ours", "permissions": [{ "actions": ["*/read"] }], "assignableScopes": [scope] } });
    bench.put(&role, define(&registry)).ok().await;
    let assign = json!({ "properties": { "roleDefinitionId": role, "principalId": ada } });
    let above = bench.put(&path_to(&bench.group("default"), 0x11), assign.clone()).refusal().await;
    assert_eq!(above.1, "InvalidRoleDefinitionScope");
    bench.put(&path_to(&registry, 0x11), assign).ok().await;
    assert_eq!(bench.delete(&role).refusal().await.1, "RoleDefinitionHasAssignments");
    bench.put(&role, define(&bench.group("default"))).ok().await;
    assert_eq!(bench.put(&role, define(&bench.group("other"))).refusal().await.1, "RoleDefinitionHasAssignments");
    bench.delete(&path_to(&registry, 0x11)).ok().await;
    bench.delete(&role).ok().await;
}

/// Puts one principal into a group.
fn member(
    group: ResourceId,
    member: ResourceId,
) -> impl FnOnce(&mut kogge_meta::Tx<'_>) -> Result<Commit<()>, kogge_core::Error> {
    move |tx| {
        let change = tx.set_group_member(group.as_bytes(), member.as_bytes(), true)?;
        Ok(Commit::new((), vec![change]))
    }
}

/// A group without members.
async fn group(bench: &Bench, name: &'static str) -> ResourceId {
    let id = [0xaa; 16];
    let made = bench.core.write_policy(move |tx| {
        let record = PrincipalRecord { id, kind: PrincipalKind::Group, name, app_id: None, secret: "", enabled: true };
        let change = tx.put_principal(&record)?;
        Ok(Commit::new((), vec![change]))
    });
    made.await.unwrap();
    ResourceId::from_bytes(id)
}
