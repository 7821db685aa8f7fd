//! What a registry holds against what it may hold (`az acr show-usage`).

use http::Method;
use kogge_core::auth::policy::rules::property::NETWORK_RULE_SET;
use kogge_core::kind;
use kogge_types::limits;
use serde_json::{Value, json};

use super::REGISTRY;
use crate::call::{Call, Reply};
use crate::declaration::Action;
use crate::error::Result;
use crate::property::{Kind, Property};

const WORD: Kind = Kind::Text { max: 256 };
const COUNT: Kind = Kind::Int { min: 0, max: i64::MAX };

pub(super) const LIST: Action = Action {
    name: "listUsages",
    method: Method::GET,
    request: &[],
    response: &[Property::new(
        "value",
        Kind::List {
            of: &Kind::Object(&[
                Property::new("name", WORD),
                Property::new("limit", COUNT),
                Property::new("currentValue", COUNT),
                Property::new("unit", Kind::Enum(&["Bytes", "Count"])),
            ]),
            max: 16,
        },
    )],
    handler: |call| Box::pin(list(call)),
};

/// What nothing bounds has no limit.
async fn list(call: &Call<'_>) -> Result<Reply> {
    let (resource, _) = call.find(&REGISTRY).await?;
    let (_, name) = super::identity(&resource)?;
    let size = match call.core.registry(&name) {
        Some(registry) => Some(call.core.registry_usage(&registry).await?),
        None => None,
    };
    let path = resource.path();
    let counted = call.read(move |snapshot| {
        Ok((snapshot.count_resources(kind::SCOPE_MAP, &path)?, snapshot.count_resources(kind::TOKEN, &path)?))
    });
    let (scope_maps, tokens) = counted.await?;
    let rules = resource.registers.get(NETWORK_RULE_SET).and_then(|rules| rules.get("ipRules")?.as_array());
    let usage = |name: &str, current: u64, limit: Option<u64>, unit: &str| {
        let mut usage = json!({ "name": name, "currentValue": current, "unit": unit });
        if let Some(limit) = limit {
            usage["limit"] = Value::from(limit);
        }
        usage
    };
    let count = |name: &str, current: usize, limit: usize| usage(name, current as u64, Some(limit as u64), "Count");
    let mut usages = vec![
        usage(
            "Size",
            size.as_ref().map_or(0, |size| size.bytes),
            size.as_ref().and_then(|size| size.limit_bytes),
            "Bytes",
        ),
        count("Webhooks", 0, 0),
        count("Geo-replications", 0, 0),
        count("IPRules", rules.map_or(0, Vec::len), limits::NETWORK_RULES_MAX),
        count("VNetRules", 0, 0),
        count("PrivateEndpointConnections", 0, 0),
    ];
    usages.push(usage("ScopeMaps", scope_maps, None, "Count"));
    usages.push(usage("Tokens", tokens, None, "Count"));
    Ok(Reply::ok(json!({ "value": usages })))
}
