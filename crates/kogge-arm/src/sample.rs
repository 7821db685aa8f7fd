//! A resource type for tests: a property of every kind.

use crate::behaviour::Behaviour;
use crate::declaration::{Holder, Placement, ResourceType};
use crate::name_rule::NameRule;
use crate::property::Literal::{Bool, Int, Text};
use crate::property::{DEFAULTS, Kind, Property, STATUS};

pub(crate) static SAMPLE: ResourceType = ResourceType {
    name: "Sample.Provider/things",
    holder: Holder::ResourceGroup,
    parameter: "thingName",
    naming: NameRule::Characters { min: 1, max: 9, also: "", not_last: "" },
    placement: Placement::Tracked,
    properties: &[
        Property::new("sku", Kind::Object(&[Property::new("name", Kind::Enum(&["Small", "Large"])).required()])),
        Property::new("properties.enabled", Kind::Bool).or(Bool(false)),
        Property::new("properties.state", Kind::Text { max: 9 }).read_only().or(Text("Succeeded")),
        Property::new("properties.description", Kind::Text { max: 5 }),
        Property::new("properties.since", Kind::Time),
        Property::new("properties.peer", Kind::ResourceId),
        Property::new("properties.scope", Kind::Enum(&["Wide", "Narrow"])).create_only().or(Text("Wide")),
        Property::new("properties.words", Kind::List { of: &Kind::Text { max: 3 }, max: 2 }),
        Property::new(
            "properties.policies.retention",
            Kind::Object(&[
                Property::new("days", Kind::Int { min: 0, max: 365 }).or(Int(7)),
                Property::new("status", STATUS).or(Text("disabled")).only(&[Text("disabled")]),
                Property::new("updated", Kind::Time).read_only(),
            ]),
        )
        .or(DEFAULTS),
        Property::new("properties.encryption", Kind::Object(&[])).only(&[]),
    ],
    verbs: &[],
    actions: &[],
    behaviour: &Plain,
};

/// The behaviour of a type whose declaration says everything.
#[derive(Debug)]
struct Plain;

impl Behaviour for Plain {}
