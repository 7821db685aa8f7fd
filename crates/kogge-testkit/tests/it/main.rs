//! The integration tests of the workspace.

mod authority;
mod cli;
mod clients;
mod conformance;
mod crash;
mod edge;
mod nodes;
mod upgrade;
