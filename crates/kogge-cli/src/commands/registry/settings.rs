//! What the flags of `registry create` and `registry update` make of a registry.

use serde_json::{Map, Value, json};

use crate::args::registry::{DefaultAction, RoleMode, SettingArgs, Sku, Switch};
use crate::error::{Error, Result};

/// What is taken out of lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Removals {
    pub(super) addresses: Vec<String>,
    pub(super) tags: Vec<String>,
}

/// The body that makes a registry.
pub(super) fn new_registry(settings: &SettingArgs, location: Value) -> Value {
    let mut body = body(settings, &Removals::default(), &Value::Null);
    body.insert("location".to_owned(), location);
    body.entry("sku").or_insert_with(|| json!({ "name": "Premium" }));
    body.entry("properties").or_insert_with(|| json!({}));
    Value::Object(body)
}

/// The body that changes a registry which is now as `before` says.
///
/// # Errors
/// Nothing is to be changed.
pub(super) fn change(settings: &SettingArgs, removals: &Removals, before: &Value) -> Result<Value> {
    let body = body(settings, removals, before);
    if body.is_empty() {
        return Err(Error::usage("nothing is to be changed").hint("`kogge help registry update` tells the flags"));
    }
    Ok(Value::Object(body))
}

fn body(settings: &SettingArgs, removals: &Removals, before: &Value) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(sku) = settings.sku {
        body.insert("sku".to_owned(), json!({ "name": sku_word(sku) }));
    }
    if !settings.tag.is_empty() || !removals.tags.is_empty() {
        let mut tags = before["tags"].as_object().cloned().unwrap_or_default();
        tags.retain(|name, _| !removals.tags.contains(name));
        tags.extend(settings.tag.iter().map(|tag| (tag.name.clone(), tag.value.clone().into())));
        body.insert("tags".to_owned(), Value::Object(tags));
    }
    let properties = properties(settings, removals, &before["properties"]);
    if !properties.is_empty() {
        body.insert("properties".to_owned(), Value::Object(properties));
    }
    body
}

fn properties(settings: &SettingArgs, removals: &Removals, before: &Value) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        properties.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("adminUserEnabled", settings.admin_enabled.map(Value::from));
    set("anonymousPullEnabled", settings.anonymous_pull.map(Value::from));
    let mode = settings.role_mode.map(|mode| match mode {
        RoleMode::Rbac => "LegacyRegistryPermissions",
        RoleMode::RbacAbac => "AbacRepositoryPermissions",
    });
    set("roleAssignmentMode", mode.map(Value::from));
    let access = settings.public_network.map(|switch| match switch {
        Switch::Enabled => "Enabled",
        Switch::Disabled => "Disabled",
    });
    set("publicNetworkAccess", access.map(Value::from));
    set("networkRuleSet", network_rules(settings, removals, &before["networkRuleSet"]));
    set("anonymousPullRepositories", anonymous_repositories(settings, &before["anonymousPullRepositories"]));
    set("quotas", quotas(settings, &before["quotas"]));
    properties
}

fn sku_word(sku: Sku) -> &'static str {
    match sku {
        Sku::Basic => "Basic",
        Sku::Standard => "Standard",
        Sku::Premium => "Premium",
    }
}

/// The entries of a list; none when there is no list.
fn entries(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

fn network_rules(settings: &SettingArgs, removals: &Removals, before: &Value) -> Option<Value> {
    let mut rules = Map::new();
    if let Some(action) = settings.default_action {
        let action = match action {
            DefaultAction::Allow => "Allow",
            DefaultAction::Deny => "Deny",
        };
        rules.insert("defaultAction".to_owned(), action.into());
    }
    if !settings.allow_ip.is_empty() || !removals.addresses.is_empty() {
        let mut allowed = entries(&before["ipRules"]);
        let is_one_of = |rule: &Value, addresses: &[String]| {
            rule["value"].as_str().is_some_and(|value| addresses.iter().any(|address| address == value))
        };
        allowed.retain(|rule| !is_one_of(rule, &removals.addresses) && !is_one_of(rule, &settings.allow_ip));
        allowed.extend(settings.allow_ip.iter().map(|address| json!({ "action": "Allow", "value": address })));
        rules.insert("ipRules".to_owned(), allowed.into());
    }
    (!rules.is_empty()).then_some(Value::Object(rules))
}

fn anonymous_repositories(settings: &SettingArgs, before: &Value) -> Option<Value> {
    let mut patterns = entries(before);
    for pattern in &settings.anonymous_repositories {
        match pattern.as_str() {
            "none" => patterns.clear(),
            pattern if patterns.iter().any(|known| known == pattern) => {}
            pattern => patterns.push(pattern.into()),
        }
    }
    (!settings.anonymous_repositories.is_empty()).then(|| patterns.into())
}

fn quotas(settings: &SettingArgs, before: &Value) -> Option<Value> {
    let mut quotas = entries(before);
    for change in &settings.quota {
        let pattern = change.repositories.to_string();
        quotas.retain(|quota| quota["repositories"] != pattern.as_str());
        quotas.extend(change.bytes.map(|bytes| json!({ "repositories": pattern, "bytes": bytes })));
    }
    (!settings.quota.is_empty()).then(|| quotas.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_registry_says_what_the_flags_say() {
        let plain = new_registry(&SettingArgs::default(), "home".into());
        assert_eq!(plain, json!({ "location": "home", "sku": { "name": "Premium" }, "properties": {} }));
        let settings = SettingArgs {
            sku: Some(Sku::Basic),
            admin_enabled: Some(true),
            anonymous_pull: Some(false),
            anonymous_repositories: vec!["public/*".to_owned()],
            role_mode: Some(RoleMode::RbacAbac),
            public_network: Some(Switch::Enabled),
            default_action: Some(DefaultAction::Deny),
            allow_ip: vec!["203.0.113.0/24".to_owned()],
            quota: vec!["team/*=1KiB".parse().expect("a quota")],
            tag: vec!["env=test".parse().expect("a tag")],
        };
        let expected = json!({
            "location": "home",
            "sku": { "name": "Basic" },
            "tags": { "env": "test" },
            "properties": {
                "adminUserEnabled": true,
                "anonymousPullEnabled": false,
                "anonymousPullRepositories": ["public/*"],
                "roleAssignmentMode": "AbacRepositoryPermissions",
                "publicNetworkAccess": "Enabled",
                "networkRuleSet": {
                    "defaultAction": "Deny",
                    "ipRules": [{ "action": "Allow", "value": "203.0.113.0/24" }],
                },
                "quotas": [{ "repositories": "team/*", "bytes": 1024 }],
            },
        });
        assert_eq!(new_registry(&settings, "home".into()), expected);
    }

    #[test]
    fn a_change_keeps_the_rest_of_each_list() {
        let before = json!({
            "tags": { "a": "1", "b": "2", "c": "3" },
            "properties": {
                "networkRuleSet": { "defaultAction": "Deny", "ipRules": [{ "value": "10.0.0.1" }, { "value": "10.0.0.2" }] },
                "anonymousPullRepositories": ["x"],
                "quotas": [{ "repositories": "*", "bytes": 1 }, { "repositories": "a/*", "bytes": 2 }],
            },
        });
        let settings = SettingArgs {
            allow_ip: vec!["10.0.0.3".to_owned(), "10.0.0.2".to_owned()],
            anonymous_repositories: vec!["none".to_owned(), "y".to_owned()],
            quota: vec!["*=none".parse().expect("a quota"), "a/*=3".parse().expect("a quota")],
            tag: vec!["b=".parse().expect("a tag")],
            ..SettingArgs::default()
        };
        let removals = Removals { addresses: vec!["10.0.0.1".to_owned()], tags: vec!["a".to_owned()] };
        let expected = json!({
            "tags": { "b": "", "c": "3" },
            "properties": {
                "networkRuleSet": {
                    "ipRules": [{ "action": "Allow", "value": "10.0.0.3" }, { "action": "Allow", "value": "10.0.0.2" }],
                },
                "anonymousPullRepositories": ["y"],
                "quotas": [{ "repositories": "a/*", "bytes": 3 }],
            },
        });
        assert_eq!(change(&settings, &removals, &before).expect("a change"), expected);
        assert!(change(&SettingArgs::default(), &Removals::default(), &before).is_err());
    }
}
