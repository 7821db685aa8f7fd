//! Resource groups: what holds registries, and what rights are given on.

use crate::behaviour::{Behaviour, Shown};
use crate::declaration::{Holder, Placement, ResourceType, Verb};
use crate::error::Result;
use crate::name_rule::NameRule;
use crate::property::{Kind, Literal, Property};
use crate::representation::Computed;

pub(crate) static RESOURCE_GROUP: ResourceType = ResourceType {
    name: "Microsoft.Resources/subscriptions/resourceGroups",
    holder: Holder::Subscription,
    parameter: "resourceGroupName",
    naming: NameRule::Characters { min: 1, max: 90, also: "-_.()", not_last: "." },
    placement: Placement::Tracked,
    properties: &[
        Property::new("managedBy", Kind::ResourceId).only(&[]),
        Property::new("properties.provisioningState", Kind::Text { max: 32 })
            .read_only()
            .or(Literal::Text("Succeeded")),
    ],
    verbs: &[Verb::Get, Verb::Head, Verb::Put, Verb::Patch, Verb::Delete, Verb::List],
    actions: &[],
    behaviour: &ResourceGroup,
};

#[derive(Debug)]
struct ResourceGroup;

impl Behaviour for ResourceGroup {
    /// Its type has another name in answers than in rights.
    fn computed(&self, _shown: &Shown<'_, '_>) -> Result<Computed> {
        Ok(vec![("type", "Microsoft.Resources/resourceGroups".into())])
    }
}
