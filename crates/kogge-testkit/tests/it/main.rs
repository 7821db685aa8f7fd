//! The integration tests of the workspace.

mod conformance;
