//! What a program does with a database that a newer one has migrated. For engines that several processes share.

use std::sync::Arc;

use kogge_types::ManualClock;

use super::{START_US, environment};
use crate::error::MetaError;
use crate::meta::Meta;

/// Runs the case on the new, empty database at `url`.
pub async fn conform(url: &str) {
    let environment = environment(Arc::new(ManualClock::at(START_US)));
    drop(Meta::connect(url, &environment).await.expect("the database opens"));
    // In a rolling upgrade, what a newer version leaves can be worked beside, or not.
    run(url, "UPDATE schema_version SET version = 1000").await;
    drop(Meta::connect(url, &environment).await.expect("compatible"));
    run(url, "UPDATE schema_version SET compatible = 1000").await;
    let refused = Meta::connect(url, &environment).await.expect_err("too new");
    assert!(matches!(refused, MetaError::Newer { found: 1000, .. }), "{refused}");
}

async fn run(url: &str, sql: &'static str) {
    let url = url.to_owned();
    let run = move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).expect("the database answers");
        client.batch_execute(sql).expect("the statement runs");
    };
    tokio::task::spawn_blocking(run).await.expect("no panic");
}
