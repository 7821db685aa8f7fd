//! `kill -9` in the middle of a mixed load, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kogge_testkit::content::Seed;
use kogge_testkit::process::Site;
use kogge_testkit::tier;
use kogge_types::Digest;

use super::load::{self, Gauge, Worker};
use super::store_folder::StoreFolder;

const WORKERS: u64 = 4;
/// How long the registry may take to collect what nothing names, once the grace is over.
const COLLECTION_MAX: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_and_nothing_else_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data")).with("KOGGE_GC_GRACE", "2s").with("KOGGE_GC_INTERVAL", "1s");
    let site = site.with("KOGGE_UPLOADS_LIFE", "1s");
    let rounds = if tier::is_long() { 100 } else { 8 };
    let mut seed = Seed::new(0x6b6f_6767);
    let mut workers: Vec<_> = (0..WORKERS).map(|n| Worker::new(&n.to_string(), 77 + n)).collect();
    let mut resumed = 0;
    for _ in 0..rounds {
        let process = site.serve();
        let (checked, found) = load::check(workers, &process).await;
        resumed += found.resumed;
        let gauge = Gauge::new();
        let mut working = load::start(checked, &process, &gauge);
        gauge.wait_for(40 + seed.word() % 200).await;
        gauge.end();
        process.kill();
        workers = Vec::new();
        while let Some(worker) = working.join_next().await {
            workers.push(worker.expect("a worker does not panic"));
        }
    }
    let process = site.serve();
    let (workers, found) = load::check(workers, &process).await;
    assert!(found.images > 0 && found.tags > 0, "nothing was pushed");
    assert!(resumed + found.resumed > 0, "no upload was resumed");
    let named: BTreeSet<Digest> = workers.iter().flat_map(|worker| worker.ledger.blobs()).collect();
    collect_until(&site, &named);
    let (_, again) = load::check(workers, &process).await;
    assert_eq!((again.images, again.tags), (found.images, found.tags));
    process.stop();
}

/// Collects until the store holds one copy of each blob of `named`, and nothing else.
fn collect_until(site: &Site, named: &BTreeSet<Digest>) {
    let begun = Instant::now();
    let wanted: BTreeMap<Digest, usize> = named.iter().map(|digest| (*digest, 1)).collect();
    loop {
        site.run(&["gc"]).expect_success();
        let report = site.run(&["scrub"]).json();
        assert_eq!(report["corrupt"], 0, "{report}");
        let stored = StoreFolder::read(site.data_dir());
        if stored.copies == wanted && stored.others.is_empty() {
            return;
        }
        let missing: Vec<_> = named.iter().filter(|digest| !stored.copies.contains_key(digest)).collect();
        assert!(missing.is_empty(), "a manifest names blobs that are gone: {missing:?}");
        if begun.elapsed() > COLLECTION_MAX {
            let mut left = stored.copies;
            left.retain(|digest, count| wanted.get(digest) != Some(count));
            panic!("left in the store: {left:#?} {:#?}; {}", stored.others, site.run(&["gc", "status"]).stdout);
        }
    }
}
