//! The registry's rules as use cases: no HTTP, no SQL text.
//!
//! [`Core`] holds what a node needs to answer; its verbs are in one file a use case. Every verb that a caller may
//! ask for takes a [`Target`] whose right has been decided by [`auth::Caller::require`].

pub mod audit;
pub mod auth;
pub mod backup;
mod blob;
mod core;
mod currency;
pub mod directory;
mod error;
#[cfg(test)]
mod fixture;
pub mod gc;
mod hashing;
pub mod identity;
pub mod jobs;
pub mod kind;
mod listing;
mod lock;
mod manifest;
pub mod network;
mod platform;
pub mod quota;
pub mod scrub;
pub mod seal;
mod session;
mod turn;
mod upload;

pub use blob::OpenBlob;
pub use core::{Core, DEFAULT_REGISTRY, Settings, SystemEntropy, Target};
pub use error::{Error, Result};
pub use listing::{NamePage, TagPage, TagQuery};
pub use lock::AttributesPatch;
pub use manifest::{PutManifest, PutOutcome, TagCondition};
pub use upload::{BodyError, Progress, UploadStart, Window};
