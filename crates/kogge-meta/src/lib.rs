//! Metadata: every SQL statement of the registry, its schema, its journal and its jobs.
