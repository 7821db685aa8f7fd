//! The kinds of resource that the rules themselves read, in the lower case in which the metadata keeps them.

pub const RESOURCE_GROUP: &str = "microsoft.resources/subscriptions/resourcegroups";
pub const REGISTRY: &str = "microsoft.containerregistry/registries";
pub const SCOPE_MAP: &str = "microsoft.containerregistry/registries/scopemaps";
pub const TOKEN: &str = "microsoft.containerregistry/registries/tokens";
pub const ROLE_ASSIGNMENT: &str = "microsoft.authorization/roleassignments";
pub const ROLE_DEFINITION: &str = "microsoft.authorization/roledefinitions";
