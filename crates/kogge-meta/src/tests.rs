//! The SQLite engine: the suite, and what only this engine must show.

mod cost;
mod engine;
mod exact;
mod migration;
mod model;
mod resources;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kogge_types::ManualClock;

use crate::meta::{Environment, Meta};
use crate::suite::{self, Bench};

/// Makes installations in folders of its own.
struct Folders {
    root: tempfile::TempDir,
    made: AtomicUsize,
}

impl Folders {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), made: AtomicUsize::new(0) }
    }

    fn open(&self, environment: &Environment) -> Meta {
        let folder = self.root.path().join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&folder).unwrap();
        Meta::open(&folder, environment).unwrap()
    }
}

/// An installation in a folder that lives as long as the first part.
async fn bench() -> (Folders, Bench) {
    let folders = Folders::new();
    let bench = Bench::new(&|environment| folders.open(environment)).await;
    (folders, bench)
}

fn environment() -> Environment {
    suite::environment(Arc::new(ManualClock::at(suite::START_US)))
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let folders = Folders::new();
    suite::conform(&|environment| folders.open(environment)).await;
}
