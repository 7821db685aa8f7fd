//! The command line's remote verbs. They speak only the registry's public API, so they work with any OCI registry.
//!
//! The binary flattens [`Command`] and [`GlobalArgs`] into its own command line and hands them to [`run`].

mod args;
mod blob_source;
mod client;
mod commands;
mod context;
mod credentials;
mod doctor;
mod error;
mod image_reference;
mod layout;
mod location;
mod management;
mod output;
mod platform;
mod progress;
mod prompt;
mod transfer;
mod when;

pub use args::{Command, GlobalArgs};
pub use commands::run;
