//! The metadata on PostgreSQL does what it does on SQLite.

use kogge_meta::{Environment, Meta};
use kogge_testkit::postgres::Server;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_conforms() {
    let server = Server::shared();
    let fresh = |environment: &Environment| {
        let url = block_in_place(|| server.database().url());
        block_in_place(|| Handle::current().block_on(Meta::connect(&url, environment))).expect("the database opens")
    };
    kogge_meta::suite::conform(&fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_version_beyond_is_refused() {
    let database = Server::shared().database();
    kogge_meta::suite::newer::conform(&database.url()).await;
}
