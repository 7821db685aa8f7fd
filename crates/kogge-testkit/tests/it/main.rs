//! The integration tests of the workspace.

mod clients;
mod conformance;
mod crash;
