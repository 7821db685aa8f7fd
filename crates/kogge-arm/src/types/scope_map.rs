//! Scope maps: what repository-scoped tokens may do (ACR: "Create a token with repository-scoped permissions"). One can be
//! deleted while tokens have it; they may nothing then.

use kogge_core::auth::scope_map::{SYSTEM, ScopeMap as Rights, SystemScopeMap};
use kogge_core::kind;
use kogge_meta::{Resource, Snapshot};
use kogge_types::limits;
use serde_json::{Value, json};

use crate::behaviour::{Behaviour, Draft, Shown};
use crate::declaration::{Holder, Placement, ResourceType, Verb};
use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::property::{Kind, Literal, Property};
use crate::representation::{Computed, time};
use crate::types::built_in;
use crate::types::registry::REGISTRY;

pub(crate) static SCOPE_MAP: ResourceType = ResourceType {
    name: "Microsoft.ContainerRegistry/registries/scopeMaps",
    holder: Holder::Resource(&REGISTRY),
    parameter: "scopeMapName",
    naming: NameRule::Characters { min: 5, max: 50, also: "-_", not_last: "" },
    placement: Placement::Proxy,
    properties: &[
        Property::new("properties.description", Kind::Text { max: limits::DESCRIPTION_CHARS_MAX }),
        Property::new("properties.type", Kind::Text { max: 32 }).read_only(),
        Property::new("properties.creationDate", Kind::Time).read_only(),
        Property::new("properties.provisioningState", Kind::Text { max: 32 })
            .read_only()
            .or(Literal::Text("Succeeded")),
        Property::new(
            ACTIONS,
            Kind::List { of: &Kind::Text { max: limits::ACTION_CHARS_MAX }, max: limits::SCOPE_MAP_ACTIONS_MAX },
        )
        .required(),
    ],
    verbs: &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete, Verb::List],
    actions: &[],
    behaviour: &ScopeMap,
};

const ACTIONS: &str = "properties.actions";

#[derive(Debug)]
struct ScopeMap;

impl Behaviour for ScopeMap {
    fn computed(&self, shown: &Shown<'_, '_>) -> Result<Computed> {
        let system = system(&shown.resource.name).is_some();
        let mut computed = vec![("properties.type", Value::from(if system { "SystemDefined" } else { "UserDefined" }))];
        if !system {
            computed.push(("properties.creationDate", time(shown.resource.created.at_us)));
        }
        Ok(computed)
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        let actions = draft.desired.registers.get(ACTIONS).and_then(Value::as_array);
        let actions = actions.into_iter().flatten().filter_map(Value::as_str);
        Rights::parse(actions).map(drop).map_err(|error| ArmError::parameter(ACTIONS, format!("{error}.")))
    }

    fn built_in(&self, _deployment: &Deployment, parent: &str) -> Vec<Resource> {
        let resource = |map: &SystemScopeMap| {
            let registers = [("properties.description", json!(map.description)), (ACTIONS, json!(map.actions))];
            built_in::resource(&SCOPE_MAP, parent, map.name, registers)
        };
        SYSTEM.iter().map(resource).collect()
    }
}

/// The system's scope map of this name.
fn system(name: &str) -> Option<&'static SystemScopeMap> {
    SYSTEM.iter().find(|map| map.name.eq_ignore_ascii_case(name))
}

/// Whether a registry, whose path in lower case this is, has a scope map of this name.
pub(super) fn exists(snapshot: &Snapshot<'_>, registry: &str, name: &str) -> Result<bool> {
    Ok(system(name).is_some() || snapshot.resource(kind::SCOPE_MAP, registry, name)?.is_some())
}

#[cfg(test)]
mod tests;
