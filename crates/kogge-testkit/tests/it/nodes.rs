//! Several nodes over one PostgreSQL database and one store.

mod engine;
mod outage;
mod together;

use std::path::Path;

use kogge_testkit::TestRegistry;
use kogge_testkit::postgres::{Database, Server};
use tempfile::TempDir;

/// A region: nodes that share a database and a store.
struct Region {
    database: Database,
    store: TempDir,
}

impl Region {
    fn new(server: &std::sync::Arc<Server>) -> Self {
        Self { database: server.database(), store: TempDir::new().expect("a temporary folder") }
    }

    fn store(&self) -> &Path {
        self.store.path()
    }

    async fn node(&self) -> TestRegistry {
        TestRegistry::start_node(&self.database, self.store()).await
    }

    /// A node that makes the administrator's password when there is none.
    async fn founder(&self) -> TestRegistry {
        TestRegistry::start_founder(&self.database, self.store()).await
    }
}
