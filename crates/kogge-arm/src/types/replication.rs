//! Replications of a registry. There is one so far: the registry itself, in its own region.

use kogge_meta::Resource;
use serde_json::{Value, json};

use crate::behaviour::{Behaviour, Draft, Shown};
use crate::declaration::{Holder, Placement, ResourceType, Verb};
use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::property::{Kind, Literal, Property, SWITCH};
use crate::representation::Computed;
use crate::types::built_in;
use crate::types::registry::REGISTRY;

pub(crate) static REPLICATION: ResourceType = ResourceType {
    name: "Microsoft.ContainerRegistry/registries/replications",
    holder: Holder::Resource(&REGISTRY),
    parameter: "replicationName",
    naming: NameRule::Characters { min: 1, max: 64, also: "-", not_last: "-" },
    placement: Placement::Tracked,
    properties: &[
        Property::new("properties.provisioningState", Kind::Text { max: 32 })
            .read_only()
            .or(Literal::Text("Succeeded")),
        Property::new("properties.status", Kind::Object(STATUS)).read_only(),
        Property::new("properties.regionEndpointEnabled", Kind::Bool).or(Literal::Bool(true)),
        Property::new("properties.zoneRedundancy", SWITCH)
            .or(Literal::Text("Disabled"))
            .only(&[Literal::Text("Disabled")]),
    ],
    verbs: &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete, Verb::List],
    actions: &[],
    behaviour: &Replication,
};

const STATUS: &[Property] = &[
    Property::new("displayStatus", Kind::Text { max: 64 }),
    Property::new("message", Kind::Text { max: 256 }),
    Property::new("timestamp", Kind::Time),
];

#[derive(Debug)]
struct Replication;

impl Behaviour for Replication {
    fn computed(&self, _shown: &Shown<'_, '_>) -> Result<Computed> {
        Ok(vec![("properties.status", json!({ "displayStatus": "Ready" }))])
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        let location = draft.desired.location.as_deref().unwrap_or(draft.name);
        let message = format!(
            "Geo-replication is not available in this version yet: the registry cannot be replicated to '{location}'. It \
             is in '{}' alone.",
            draft.asker.deployment.location
        );
        Err(ArmError::bad("FeatureNotAvailable", message).about("location"))
    }

    fn built_in(&self, deployment: &Deployment, parent: &str) -> Vec<Resource> {
        let registers: [(&str, Value); 0] = [];
        let home = built_in::resource(&REPLICATION, parent, &deployment.location, registers);
        vec![Resource { location: Some(deployment.location.clone()), ..home }]
    }
}

#[cfg(test)]
mod tests;
