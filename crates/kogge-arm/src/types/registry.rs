//! Registries: what hosts images, with everything that can be set on it.

mod credentials;
mod properties;
#[cfg(test)]
mod tests;
mod usages;

use kogge_core::DEFAULT_REGISTRY;
use kogge_core::auth::policy::rules::property;
use kogge_core::network::NetworkRules;
use kogge_core::quota::Quotas;
use kogge_meta::{Change, Resource, Tx};
use kogge_types::{RegistryId, RegistryName, RepositoryPattern};
use serde_json::Value;

pub(crate) use properties::LABEL_SCOPES;

use crate::behaviour::{Asker, Behaviour, Draft, Shown};
use crate::body::{Desired, Registers};
use crate::declaration::{Holder, Placement, ResourceType, Verb};
use crate::error::{ArmError, Result};
use crate::name_rule::NameRule;
use crate::representation::{Computed, time};
use crate::types::token;

pub(crate) static REGISTRY: ResourceType = ResourceType {
    name: "Microsoft.ContainerRegistry/registries",
    holder: Holder::ResourceGroup,
    parameter: "registryName",
    naming: NameRule::Characters { min: 5, max: 50, also: "", not_last: "" },
    placement: Placement::Tracked,
    properties: properties::PROPERTIES,
    verbs: &[Verb::Get, Verb::Put, Verb::Patch, Verb::Delete, Verb::List, Verb::ListBySubscription],
    actions: &[usages::LIST, credentials::LIST, credentials::REGENERATE, token::GENERATE_CREDENTIALS],
    behaviour: &Registry,
};

#[derive(Debug)]
struct Registry;

impl Behaviour for Registry {
    fn computed(&self, shown: &Shown<'_, '_>) -> Result<Computed> {
        let (_, name) = identity(shown.resource)?;
        let sku = shown.resource.registers.get("sku").and_then(|sku| sku.get("name")).cloned();
        Ok(vec![
            ("sku.tier", sku.unwrap_or_else(|| Value::from("Premium"))),
            ("properties.loginServer", shown.deployment.login_server(&name).into()),
            ("properties.creationDate", time(shown.resource.created.at_us)),
        ])
    }

    fn prepare(&self, draft: &mut Draft<'_, '_>) -> Result<()> {
        if draft.existing.is_none() {
            let name = registry_name(draft.name)?;
            if draft.snapshot.registries()?.iter().any(|registry| registry.name == name) {
                return Err(taken(&name));
            }
        }
        check(&draft.desired.registers)
    }

    /// The registry's row has the id of its resource.
    fn written(
        &self,
        tx: &mut Tx<'_>,
        resource: &Resource,
        before: Option<&Resource>,
        _desired: &Desired,
    ) -> Result<Vec<Change>> {
        if before.is_some() {
            return Ok(Vec::new());
        }
        let (id, name) = identity(resource)?;
        let (_, change) = tx.put_registry(id, &name)?;
        Ok(vec![change])
    }

    fn deleting(&self, tx: &mut Tx<'_>, resource: &Resource, _asker: &Asker) -> Result<Vec<Change>> {
        let (id, name) = identity(resource)?;
        if name.as_str() == DEFAULT_REGISTRY {
            let message = "The registry 'default' belongs to the deployment; it cannot be deleted.";
            return Err(ArmError::conflict("RegistryIsDefault", message));
        }
        let registry = tx.registries()?.into_iter().find(|registry| registry.id == id);
        Ok(registry.map(|registry| tx.delete_registry(&registry)).transpose()?.into_iter().collect())
    }
}

/// Of which registry `resource` tells.
fn identity(resource: &Resource) -> Result<(RegistryId, RegistryName)> {
    Ok((RegistryId::from_bytes(*resource.id.as_bytes()), registry_name(&resource.name)?))
}

fn registry_name(name: &str) -> Result<RegistryName> {
    name.parse().map_err(|_| ArmError::bad("InvalidResourceName", REGISTRY.naming.describe()).about("name"))
}

/// The refusal of a name that another registry of the deployment has.
pub(crate) fn taken(name: &RegistryName) -> ArmError {
    let message = format!("The registry name '{name}' is already in use.");
    ArmError::conflict("AlreadyInUse", message).about("name")
}

/// What the rules read is checked by the rules.
fn check(registers: &Registers) -> Result<()> {
    let get = |path: &str| registers.get(path).unwrap_or(&Value::Null);
    let public = get(property::PUBLIC_NETWORK_ACCESS) != "Disabled";
    NetworkRules::parse(get(property::NETWORK_RULE_SET), public)
        .map_err(|what| ArmError::parameter(property::NETWORK_RULE_SET, what))?;
    Quotas::parse(get(property::QUOTAS)).map_err(|what| ArmError::parameter(property::QUOTAS, what))?;
    let patterns =
        get(property::ANONYMOUS_PULL_REPOSITORIES).as_array().into_iter().flatten().filter_map(Value::as_str);
    for pattern in patterns {
        pattern.parse::<RepositoryPattern>().map_err(|error| {
            ArmError::parameter(
                property::ANONYMOUS_PULL_REPOSITORIES,
                format!("'{pattern}' is not a pattern: {error}."),
            )
        })?;
    }
    Ok(())
}
