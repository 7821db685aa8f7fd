//! The management API: Azure Resource Manager's own paths, JSON, errors and paging, so that the Azure CLI and SDKs work
//! unchanged.
//!
//! A resource type is one declaration ([`declaration::ResourceType`]) in a file of its own beneath `types`. From it come
//! the routes and the right that each needs (`operation`), the validation and storage of bodies (`body`, `value`),
//! the answers (`representation`), and the OpenAPI document (`openapi`).

mod ancestry;
mod behaviour;
mod body;
mod call;
mod condition;
mod declaration;
mod deployment;
mod error;
#[cfg(test)]
mod fixture;
mod functions;
mod later;
mod listing;
mod name_rule;
mod openapi;
mod operation;
mod page;
mod property;
mod query;
mod reading;
mod recording;
mod representation;
#[cfg(test)]
mod sample;
mod segment;
mod selection;
mod service;
mod term;
mod types;
mod value;
mod writing;

pub use call::{Reply, Request};
pub use deployment::Deployment;
pub use error::ArmError;
pub use openapi::document;
pub use operation::{Operation, operations};
pub use service::respond;
