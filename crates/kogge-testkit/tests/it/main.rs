//! The integration tests of the workspace.

mod cli;
mod clients;
mod conformance;
mod crash;
mod edge;
mod upgrade;
