//! Development only: an in-process registry, builders and the integration tests.
