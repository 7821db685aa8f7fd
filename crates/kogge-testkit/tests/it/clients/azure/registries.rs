//! Registries: made, shown, changed and deleted.

use super::{Azure, DOMAIN, REGISTRY, fields, text};

#[test]
fn a_registry_lives_from_its_creation_to_its_deletion() {
    let azure = Azure::start(&[]);
    let server = format!("{REGISTRY}.{DOMAIN}");
    let free = azure.az(&format!("acr check-name -n {REGISTRY}"));
    assert_eq!(free["nameAvailable"], true);
    assert_eq!(free["availableLoginServerName"], server.as_str());

    let made = azure.az(&format!("acr create -n {REGISTRY} -g default --sku Premium --tags env=test"));
    assert_eq!(text(&made, "name"), REGISTRY);
    assert_eq!(made["loginServer"], server.as_str());
    assert_eq!(made["provisioningState"], "Succeeded");
    assert_eq!(made["sku"]["name"], "Premium");
    assert_eq!(made["adminUserEnabled"], false);
    assert_eq!(made["tags"]["env"], "test");
    assert_eq!(made["systemData"]["createdByType"], "Application");
    let taken = azure.az(&format!("acr check-name -n {REGISTRY}"));
    assert_eq!((&taken["nameAvailable"], &taken["reason"]), (&false.into(), &"AlreadyExists".into()));
    azure.az("group create -n second -l home");
    azure.az_refused(&format!("acr create -n {REGISTRY} -g second --sku Basic"));
    assert_eq!(azure.az("acr check-name -n no_name")["nameAvailable"], false);

    assert_eq!(fields(&azure.az("acr list"), "name"), ["default", REGISTRY]);
    assert_eq!(azure.az("acr list -g second"), serde_json::json!([]));
    assert_eq!(azure.az(&format!("acr show -n {REGISTRY} -g default --query loginServer")), server.as_str());
    assert_eq!(azure.az(&format!("acr show-endpoints -n {REGISTRY}"))["loginServer"], server.as_str());
    let usage = azure.az(&format!("acr show-usage -n {REGISTRY}"));
    assert!(fields(&usage["value"], "name").contains(&"Size"), "{usage}");

    azure.az(&format!("acr delete -n {REGISTRY} -y"));
    azure.az_refused(&format!("acr show -n {REGISTRY}"));
    azure.az_refused(&format!("acr show -n {REGISTRY} -g default"));
    assert_eq!(azure.az(&format!("acr check-name -n {REGISTRY}"))["nameAvailable"], true);
    let again = azure.az(&format!("acr create -n {REGISTRY} -g second --sku Basic --admin-enabled true"));
    assert_eq!(again["adminUserEnabled"], true);
    assert_eq!(again["tags"], serde_json::json!({}));
    azure.az("group delete -n second -y");
    assert_eq!(fields(&azure.az("acr list"), "name"), ["default"]);
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let azure = Azure::start_with_registry();
    let update = |options: &str| azure.az(&format!("acr update -n {REGISTRY} {options}"));
    let before = azure.az(&format!("acr show -n {REGISTRY}"));
    assert_eq!(update("--admin-enabled true")["adminUserEnabled"], true);
    assert_eq!(update("--anonymous-pull-enabled true --tags a=b")["anonymousPullEnabled"], true);
    let tagged = update("--set tags.c=d");
    assert_eq!((&tagged["tags"]["c"], &tagged["adminUserEnabled"]), (&"d".into(), &true.into()));
    assert_eq!(update("--sku Standard")["sku"]["name"], "Standard");
    assert_eq!(update("--role-assignment-mode rbac-abac")["roleAssignmentMode"], "AbacRepositoryPermissions");
    assert_eq!(update("--role-assignment-mode rbac")["roleAssignmentMode"], "LegacyRegistryPermissions");
    update("--anonymous-pull-enabled false --admin-enabled false --sku Premium --tags");
    let mut after = azure.az(&format!("acr show -n {REGISTRY}"));
    after["systemData"] = before["systemData"].clone();
    assert_eq!(after, before);
}

#[test]
fn a_policy_is_shown_and_changed() {
    let azure = Azure::start_with_registry();
    let policy = format!("acr config authentication-as-arm show -r {REGISTRY}");
    assert_eq!(azure.az(&policy)["status"], "enabled");
    let change = format!("acr config authentication-as-arm update -r {REGISTRY} --status");
    assert_eq!(azure.az(&format!("{change} disabled"))["status"], "disabled");
    assert_eq!(azure.az(&policy)["status"], "disabled");
    // The CLI's own token is for registries, so it still opens them.
    azure.az(&format!("acr login -n {REGISTRY} --expose-token"));
    assert_eq!(azure.az(&format!("{change} enabled"))["status"], "enabled");
}
