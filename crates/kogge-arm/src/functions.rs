//! What the API is asked that is about no resource type: the complete list, one concept a file.

mod activity_log;
mod audit_events;
mod endpoints;
mod name_availability;
mod provider;
mod resources;
mod subscription;

use crate::declaration::Function;
use crate::types::{role_assignment, role_definition};

/// Everything that can be asked for beside resources.
pub(crate) static FUNCTIONS: &[&Function] = &[
    &endpoints::ENDPOINTS,
    &subscription::TENANTS,
    &subscription::SUBSCRIPTIONS,
    &subscription::SUBSCRIPTION,
    &subscription::LOCATIONS,
    &provider::TENANT_PROVIDERS,
    &provider::TENANT_PROVIDER,
    &provider::OPERATIONS,
    &provider::PROVIDERS,
    &provider::PROVIDER,
    &provider::REGISTER,
    &resources::OF_SUBSCRIPTION,
    &resources::OF_GROUP,
    &name_availability::CHECK_NAME,
    &role_definition::LIST,
    &role_assignment::LIST,
    &activity_log::OF_SUBSCRIPTION,
    &activity_log::OF_TENANT,
    &audit_events::OF_REGISTRY,
    &audit_events::OF_SUBSCRIPTION,
];
