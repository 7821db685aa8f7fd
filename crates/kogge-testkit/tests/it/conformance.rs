//! The behaviour that the OCI distribution specification asks for, end point by end point, with login.

mod blob_pull_ranges;
mod blob_push;
mod deletes;
mod errors;
mod http2;
mod manifests;
mod mount;
mod multi_tag;
mod ping_and_empty;
mod referrers;
mod tags;
mod upload_sessions;

use kogge_testkit::TestRegistry;
use kogge_testkit::repository::Repository;

/// A new registry and one of its repositories, which does not exist yet, as the administrator sees it. The registry
/// ends with the first value.
async fn new_repository(name: &str) -> (TestRegistry, Repository) {
    let registry = TestRegistry::start().await;
    let repository = Repository::new(&registry.client(), name);
    (registry, repository)
}
