//! From which addresses a registry may be reached (ACR: `networkRuleSet`, `publicNetworkAccess`).

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use kogge_types::{Code, limits};
use serde_json::Value;

use crate::audit::DenialReason;
use crate::auth::policy::Policy;
use crate::core::Core;
use crate::error::Error;

/// What happens to an address that no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultAction {
    #[default]
    Allow,
    Deny,
}

/// From which addresses a registry may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRules {
    pub default_action: DefaultAction,
    /// Networks that are let in whatever the default is, never in IPv6 form when they are IPv4.
    pub ip_rules: Vec<IpNet>,
    /// Whether the registry may be reached from any address at all.
    pub public_access: bool,
}

/// Everybody may come.
impl Default for NetworkRules {
    fn default() -> Self {
        Self { default_action: DefaultAction::Allow, ip_rules: Vec::new(), public_access: true }
    }
}

impl NetworkRules {
    /// Rules that let nobody in.
    pub fn closed() -> Self {
        Self { public_access: false, ..Self::default() }
    }

    /// Reads the value of `networkRuleSet`; `null` is none. Addresses of IPv6 are taken beyond ACR, and private ones.
    ///
    /// # Errors
    /// What is wrong, in a sentence for whoever wrote it.
    pub fn parse(rule_set: &Value, public_access: bool) -> Result<Self, String> {
        let object = match rule_set {
            Value::Null => return Ok(Self { public_access, ..Self::default() }),
            Value::Object(object) => object,
            _ => return Err("networkRuleSet is an object".to_owned()),
        };
        let mut rules = Self { public_access, ..Self::default() };
        for (name, value) in object {
            match name.as_str() {
                "defaultAction" => rules.default_action = default_action(value)?,
                "ipRules" => rules.ip_rules = ip_rules(value)?,
                "virtualNetworkRules" => {
                    if !matches!(value, Value::Null) && value.as_array().is_none_or(|rules| !rules.is_empty()) {
                        return Err("virtual network rules are not supported yet: write ipRules".to_owned());
                    }
                }
                other => return Err(format!("networkRuleSet has no field {other:?}")),
            }
        }
        Ok(rules)
    }

    /// Whether a client at this address may reach the registry.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.public_access
            && (self.default_action == DefaultAction::Allow
                || self.ip_rules.iter().any(|network| network.contains(&client)))
    }
}

fn default_action(value: &Value) -> Result<DefaultAction, String> {
    match value.as_str() {
        Some(text) if text.eq_ignore_ascii_case("Allow") => Ok(DefaultAction::Allow),
        Some(text) if text.eq_ignore_ascii_case("Deny") => Ok(DefaultAction::Deny),
        _ => Err("networkRuleSet.defaultAction is Allow or Deny".to_owned()),
    }
}

fn ip_rules(value: &Value) -> Result<Vec<IpNet>, String> {
    let rules = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(rules) => rules,
        _ => return Err("networkRuleSet.ipRules is a list".to_owned()),
    };
    if rules.len() > limits::NETWORK_RULES_MAX {
        return Err(format!("there are at most {} ipRules", limits::NETWORK_RULES_MAX));
    }
    rules.iter().map(ip_rule).collect()
}

fn ip_rule(rule: &Value) -> Result<IpNet, String> {
    let rule = rule.as_object().ok_or("an ipRule is an object with action and value")?;
    if let Some(field) = rule.keys().find(|field| !matches!(field.as_str(), "action" | "value")) {
        return Err(format!("an ipRule has no field {field:?}"));
    }
    let action = rule.get("action").unwrap_or(&Value::Null);
    if !action.is_null() && !action.as_str().is_some_and(|action| action.eq_ignore_ascii_case("Allow")) {
        return Err("the action of an ipRule is Allow".to_owned());
    }
    let text = rule.get("value").and_then(Value::as_str).ok_or("an ipRule has a value")?;
    network(text).ok_or_else(|| format!("{text:?} is no address and no network: write 203.0.113.7 or 203.0.113.0/24"))
}

/// An address or a network in the form in which clients are compared with it.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))?;
    Some(match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => IpNet::V4(Ipv4Net::new(v4, v6.prefix_len() - 96).ok()?),
            None => network,
        },
        other => other,
    })
}

impl Policy {
    /// Whether a client at this address may reach the registry.
    pub fn network_allows(&self, registry: &kogge_meta::Registry, client: IpAddr) -> bool {
        self.rules(registry.id).is_some_and(|rules| rules.network.allows(client))
    }
}

impl Core {
    /// Lets a client at this address reach the registry, or says what ACR says.
    ///
    /// # Errors
    /// The registry's network rules do not let it.
    pub fn require_network(&self, registry: &kogge_meta::Registry, client: IpAddr) -> Result<(), Error> {
        if self.policy.load().network_allows(registry, client) {
            return Ok(());
        }
        let client = client.to_canonical();
        let message = format!(
            "client with IP '{client}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
        );
        Err(Error::new(Code::Denied, message).because(DenialReason::NetworkRule))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn allows(rules: &NetworkRules, client: &str) -> bool {
        rules.allows(client.parse().unwrap())
    }

    fn denying(values: &[&str]) -> NetworkRules {
        let rules: Vec<_> = values.iter().map(|value| json!({ "action": "Allow", "value": value })).collect();
        NetworkRules::parse(&json!({ "defaultAction": "Deny", "ipRules": rules }), true).unwrap()
    }

    #[test]
    fn without_rules_everybody_may_come() {
        for value in [
            Value::Null,
            json!({}),
            json!({ "defaultAction": "Allow", "virtualNetworkRules": [], "ipRules": [] }),
            json!({ "defaultAction": "allow", "virtualNetworkRules": null, "ipRules": null }),
        ] {
            let rules = NetworkRules::parse(&value, true).unwrap();
            assert_eq!(rules, NetworkRules::default(), "{value}");
            assert!(allows(&rules, "203.0.113.9") && allows(&rules, "2001:db8::1"));
        }
    }

    #[test]
    fn a_table_of_addresses() {
        let rules = denying(&["203.0.113.7", "198.51.100.0/24", "10.1.2.3/8", "2001:db8::/32", "::ffff:192.0.2.0/120"]);
        for (client, allowed) in [
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("::ffff:203.0.113.7", true),
            ("198.51.100.0", true),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::7", true),
            ("2001:db9::7", false),
            ("192.0.2.99", true),
            ("192.0.3.99", false),
            ("::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(allows(&rules, client), allowed, "{client}");
        }
        assert!(!allows(&denying(&[]), "127.0.0.1"));
        assert!(allows(&denying(&["0.0.0.0/0"]), "203.0.113.9"));
        assert!(!allows(&denying(&["0.0.0.0/0"]), "2001:db8::1"));
    }

    #[test]
    fn no_rule_opens_what_is_closed_to_everybody() {
        let open = json!({ "defaultAction": "Allow", "ipRules": [{ "value": "203.0.113.7" }] });
        let rules = NetworkRules::parse(&open, false).unwrap();
        assert!(!allows(&rules, "203.0.113.7"));
        assert!(!allows(&NetworkRules::closed(), "127.0.0.1"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let subnet = json!({ "virtualNetworkSubnetResourceId": "/subscriptions/x" });
        for (value, reason) in [
            (json!([]), "is an object"),
            (json!({ "defaultAction": "Maybe" }), "Allow or Deny"),
            (json!({ "defaultAction": null }), "Allow or Deny"),
            (json!({ "ipRules": {} }), "is a list"),
            (json!({ "ipRules": ["203.0.113.7"] }), "is an object"),
            (json!({ "ipRules": [{ "action": "Deny", "value": "203.0.113.7" }] }), "is Allow"),
            (json!({ "ipRules": [{ "action": "Allow" }] }), "has a value"),
            (json!({ "ipRules": [{ "value": "203.0.113.7", "name": "x" }] }), "no field \"name\""),
            (json!({ "ipRules": [{ "value": "203.0.113" }] }), "no address"),
            (json!({ "ipRules": [{ "value": "203.0.113.0/33" }] }), "no address"),
            (json!({ "ipRules": [{ "value": "registry.example.com" }] }), "no address"),
            (json!({ "virtualNetworkRules": [subnet] }), "not supported yet"),
            (json!({ "virtualNetworkRules": "x" }), "not supported yet"),
            (json!({ "bypass": "x" }), "no field"),
        ] {
            let error = NetworkRules::parse(&value, true).unwrap_err();
            assert!(error.contains(reason), "{value}: {error}");
        }
    }

    #[test]
    fn there_are_two_hundred_rules_and_no_more() {
        let rules = |count: usize| {
            let rules: Vec<_> = (0..count).map(|i| json!({ "value": format!("10.0.0.{i}") })).collect();
            NetworkRules::parse(&json!({ "ipRules": rules }), true)
        };
        assert_eq!(rules(limits::NETWORK_RULES_MAX).unwrap().ip_rules.len(), limits::NETWORK_RULES_MAX);
        assert!(rules(limits::NETWORK_RULES_MAX + 1).is_err());
    }
}
