//! Role assignments: made by the CLI, effective at once.

use serde_json::Value;

use super::{Azure, Principal, REGISTRY, fields, text};

/// A registry with `team/app:v1` and `other/app:v1`, a principal without rights, and the registry's id.
fn with_guest() -> (Azure, Principal, String) {
    let azure = Azure::start_with_registry();
    azure.log_in_oras();
    azure.push("team/app:v1", "team");
    azure.push("other/app:v1", "other");
    let guest = Principal::create(&azure.sandbox, "guest", None);
    let registry = azure.az(&format!("acr show -n {REGISTRY}"));
    let id = text(&registry, "id").to_owned();
    (azure, guest, id)
}

#[test]
fn a_role_is_assigned_listed_and_taken_away() {
    let (azure, guest, scope) = with_guest();
    let tags = format!("acr repository show-tags -n {REGISTRY} --repository team/app");
    let delete = format!("acr repository delete -n {REGISTRY} --image team/app:v1 -y");
    azure.log_in(&guest).refused(&tags);

    let assignment = assign(&azure, &guest, "AcrPull", &scope, &[]);
    let terminal = azure.console(&guest.name);
    terminal.az(&guest.login());
    assert_eq!(assignment["properties"]["principalId"], guest.object_id.as_str());
    let listed = azure.az(&format!("role assignment list --scope {scope} --fill-principal-name false"));
    assert_eq!(fields(&listed, "roleDefinitionName"), ["AcrPull"]);
    let of_guest = format!("role assignment list --all --assignee-object-id {}", guest.object_id);
    assert_eq!(fields(&azure.az(&of_guest), "scope"), [scope.as_str()]);
    // The same once more is the same assignment.
    let again = assign(&azure, &guest, "AcrPull", &scope, &[]);
    assert_eq!(again["id"], assignment["id"]);
    // The guest cannot see the registry, so its name and the domain lead there.
    assert_eq!(terminal.az("acr list"), serde_json::json!([]));
    assert_eq!(terminal.az(&tags), serde_json::json!(["v1"]));
    terminal.refused(&delete);
    terminal.refused(&format!("acr update -n {REGISTRY} -g default --admin-enabled true"));

    assign(&azure, &guest, "AcrDelete", &scope, &[]);
    terminal.az(&delete);
    for role in ["AcrPull", "AcrDelete"] {
        let whose = format!("--assignee-object-id {} --role {role} --scope {scope}", guest.object_id);
        azure.az(&format!("role assignment delete {whose}"));
    }
    assert_eq!(azure.az(&of_guest), serde_json::json!([]));
    terminal.refused(&format!("acr repository show-tags -n {REGISTRY} --repository other/app"));
}

#[test]
fn a_condition_bounds_a_role_to_repositories() {
    let (azure, guest, scope) = with_guest();
    azure.az(&format!("acr update -n {REGISTRY} --role-assignment-mode rbac-abac"));
    let tags = |repository: &str| format!("acr repository show-tags -n {REGISTRY} --repository {repository}");
    let right = "Microsoft.ContainerRegistry/registries/repositories";
    let condition = format!(
        "((!(ActionMatches{{'{right}/content/read'}}) AND !(ActionMatches{{'{right}/metadata/read'}})) OR \
         (@Request[{right}:name] StringStartsWithIgnoreCase 'team/'))"
    );
    let words = ["--condition", &condition, "--condition-version", "2.0"];
    let assignment = assign(&azure, &guest, "Container Registry Repository Reader", &scope, &words);
    assert_eq!(assignment["properties"]["condition"], condition.as_str());
    let terminal = azure.log_in(&guest);
    assert_eq!(terminal.az(&tags("team/app")), serde_json::json!(["v1"]));
    terminal.refused(&tags("other/app"));
    azure.az(&format!("role assignment delete --ids {}", text(&assignment, "id")));
    terminal.refused(&tags("team/app"));
}

#[test]
fn a_principal_is_found_by_its_application_and_a_role_is_made() {
    let (azure, guest, scope) = with_guest();
    azure.sandbox.write(
        "role.json",
        serde_json::json!({
            "Name": "Tag Reader", "IsCustom": true, "Description": "pulls and looks up tags",
            "Actions": ["Microsoft.ContainerRegistry/registries/pull/read"],
            "NotActions": [], "AssignableScopes": [scope],
        })
        .to_string(),
    );
    let file = azure.sandbox.path("role.json").display().to_string();
    let made = azure.az(&format!("role definition create --role-definition {file}"));
    let made = &made["properties"];
    assert_eq!((&made["roleName"], &made["roleType"]), (&"Tag Reader".into(), &"CustomRole".into()), "{made}");
    let custom = format!("role definition list --custom-role-only --scope {scope}");
    assert_eq!(azure.az(&custom)[0]["properties"]["roleName"], "Tag Reader");

    let owner = azure.console(&azure.owner.name);
    let assign = format!("role assignment create --scope {scope} --assignee {}", guest.app_id);
    let assignment = owner.az_with(&assign, &["--role", "Tag Reader"]);
    assert_eq!(assignment["properties"]["principalId"], guest.object_id.as_str());
    let listed = owner.az(&format!("role assignment list --scope {scope} --assignee {}", guest.app_id));
    assert_eq!(fields(&listed, "roleDefinitionName"), ["Tag Reader"]);
    assert_eq!(fields(&listed, "principalName"), [guest.app_id.as_str()]);
    let terminal = azure.log_in(&guest);
    terminal.az(&format!("acr manifest show -r {REGISTRY} -n team/app:v1"));

    // A role in use stays.
    let delete = ["--name", "Tag Reader", "--scope", &scope];
    owner.refused_with("role definition delete", &delete);
    owner.az(&format!("role assignment delete --ids {}", text(&assignment, "id")));
    owner.az_with("role definition delete", &delete);
    terminal.refused(&format!("acr manifest show -r {REGISTRY} -n team/app:v1"));
}

#[test]
fn roles_are_listed_and_defined() {
    let azure = Azure::start(&[]);
    let pull = azure.az("role definition list --name AcrPull");
    assert_eq!(text(&pull[0], "name"), "7f951dda-4ed3-4680-a7ca-43fe172d538d");
    assert_eq!(pull[0]["roleType"], "BuiltInRole");
    let all = azure.az("role definition list");
    let names = fields(&all, "roleName");
    for name in ["AcrDelete", "AcrPush", "Owner", "Contributor", "Reader", "Container Registry Repository Writer"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!(azure.az("role definition list --custom-role-only"), serde_json::json!([]));
}

/// Assigns a role to a principal; `words` may hold a condition.
fn assign(azure: &Azure, principal: &Principal, role: &str, scope: &str, words: &[&str]) -> Value {
    let whom = format!("--assignee-object-id {} --assignee-principal-type ServicePrincipal", principal.object_id);
    let words: Vec<&str> = ["--role", role].iter().chain(words).copied().collect();
    azure.console(&azure.owner.name).az_with(&format!("role assignment create --scope {scope} {whom}"), &words)
}
