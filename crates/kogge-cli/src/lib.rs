//! The command line's remote verbs: they speak only the registry's public API.
