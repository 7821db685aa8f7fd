//! The resource types: the complete list, one file a type. `registry` is the model for others.

mod assignment_listing;
mod authorization;
mod built_in;
pub(crate) mod registry;
mod replication;
pub(crate) mod resource_group;
pub(crate) mod role_assignment;
pub(crate) mod role_definition;
mod scope_map;
pub(crate) mod token;

use crate::declaration::ResourceType;

/// Every resource type.
pub(crate) static TYPES: &[&ResourceType] = &[
    &resource_group::RESOURCE_GROUP,
    &registry::REGISTRY,
    &scope_map::SCOPE_MAP,
    &token::TOKEN,
    &replication::REPLICATION,
    &role_definition::ROLE_DEFINITION,
    &role_assignment::ROLE_ASSIGNMENT,
];
