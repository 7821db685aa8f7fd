//! Network rules: kept by the management API, enforced where images are.

use super::{Azure, REGISTRY};

#[test]
fn network_rules_open_and_close_a_registry() {
    let azure = Azure::start_with_registry();
    let list = format!("acr network-rule list -n {REGISTRY}");
    let repositories = format!("acr repository list -n {REGISTRY}");
    assert_eq!(azure.az(&list)["ipRules"], serde_json::json!([]));
    azure.az(&repositories);

    let added = azure.az(&format!("acr network-rule add -n {REGISTRY} --ip-address 192.0.2.0/24"));
    assert_eq!(added["networkRuleSet"]["ipRules"][0]["ipAddressOrRange"], "192.0.2.0/24");
    azure.az(&repositories);
    let closed = azure.az(&format!("acr update -n {REGISTRY} --default-action Deny"));
    assert_eq!(closed["networkRuleSet"]["defaultAction"], "Deny");
    assert_eq!(closed["networkRuleSet"]["ipRules"][0]["ipAddressOrRange"], "192.0.2.0/24");
    azure.az_refused(&repositories);

    azure.az(&format!("acr network-rule add -n {REGISTRY} --ip-address 127.0.0.0/8"));
    azure.az(&repositories);
    azure.az(&format!("acr network-rule remove -n {REGISTRY} --ip-address 127.0.0.0/8"));
    azure.az_refused(&repositories);
    azure.az(&format!("acr update -n {REGISTRY} --default-action Allow"));
    azure.az(&repositories);
    let rules = azure.az(&list);
    assert_eq!(rules["ipRules"].as_array().map(Vec::len), Some(1), "{rules}");

    let sealed = azure.az(&format!("acr update -n {REGISTRY} --public-network-enabled false"));
    assert_eq!(sealed["publicNetworkAccess"], "Disabled");
    azure.az_refused(&repositories);
    // When it sealed the registry, the CLI closed its default as well.
    azure.az(&format!("acr update -n {REGISTRY} --public-network-enabled true"));
    azure.az_refused(&repositories);
    azure.az(&format!("acr update -n {REGISTRY} --default-action Allow"));
    azure.az(&repositories);
}
