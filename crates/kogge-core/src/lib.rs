//! The registry's rules as use cases: no HTTP, no SQL text.
