//! Development only: an in-process registry, builders and the integration tests.

pub mod challenge;
pub mod content;
pub mod http;
pub mod postgres;
pub mod process;
pub mod registry;
pub mod repository;
pub mod tier;

pub use registry::TestRegistry;
