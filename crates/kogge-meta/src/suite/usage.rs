//! What is held, page by page.

use std::collections::BTreeMap;

use kogge_types::{Digest, RepositoryPattern};

use super::{Bench, cases, repository};
use crate::repository::RegistryKey;
use crate::usage::{HeldBlob, HeldManifest};

cases! {
    links_come_a_page_at_a_time_those_of_a_blob_together
    manifests_come_a_page_at_a_time
    a_blob_is_found_within_a_pattern
}

async fn all_blobs(bench: &Bench, limit: usize) -> Vec<HeldBlob> {
    let (mut all, mut after) = (Vec::<HeldBlob>::new(), None);
    loop {
        let page = bench.meta.read(move |snapshot| {
            let after = after.as_ref().map(|(digest, repository)| (digest, *repository));
            snapshot.held_blobs(after, limit)
        });
        let page = page.await.expect("a page");
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return all };
        after = Some((last.digest, last.repository));
        all.extend(page);
    }
}

async fn all_manifests(bench: &Bench, limit: usize) -> Vec<HeldManifest> {
    let (mut all, mut after) = (Vec::<HeldManifest>::new(), 0);
    loop {
        let page = bench.meta.read(move |snapshot| snapshot.held_manifests(after, limit)).await.expect("a page");
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return all };
        after = last.row;
        all.extend(page);
    }
}

async fn links_come_a_page_at_a_time_those_of_a_blob_together(bench: &Bench) {
    for (name, blobs) in [("a", &["one", "three", "seven"][..]), ("b", &["one"]), ("c", &["three", "one"])] {
        for blob in blobs {
            bench.push_blob(&repository(name), blob).await;
        }
    }
    bench.push(&repository("dead"), &["one"], None).await;
    bench.delete_repository(&repository("dead")).await;
    let whole = all_blobs(bench, 100).await;
    assert_eq!(whole.len(), 7);
    for limit in 1..8 {
        assert_eq!(all_blobs(bench, limit).await, whole, "{limit}");
    }
    assert!(whole.is_sorted_by_key(|held| (held.digest, held.repository.0)));
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for held in &whole {
        assert_eq!(held.registry, bench.registry.key);
        assert_eq!(held.dead, held.name.as_str() == "dead");
        *sizes.entry(held.name.to_string()).or_default() += held.size;
    }
    let expected = [("a", 13), ("b", 3), ("c", 8), ("dead", 3)].map(|(name, bytes)| (name.to_owned(), bytes));
    assert_eq!(sizes, BTreeMap::from(expected));
}

async fn manifests_come_a_page_at_a_time(bench: &Bench) {
    for name in ["a", "b", "c"] {
        bench.push(&repository(name), &["one", "two"], Some("v1")).await;
    }
    let whole = all_manifests(bench, 100).await;
    let names: Vec<&str> = whole.iter().map(|held| held.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(whole.iter().all(|held| held.size == super::image(&["one", "two"]).body.len() as u64 && !held.dead));
    for limit in 1..4 {
        assert_eq!(all_manifests(bench, limit).await, whole, "{limit}");
    }
}

async fn a_blob_is_found_within_a_pattern(bench: &Bench) {
    let digest = bench.push_blob(&repository("team/app"), "one").await;
    bench.push(&repository("gone"), &["one"], None).await;
    bench.delete_repository(&repository("gone")).await;
    let within = async |registry: RegistryKey, pattern: &str, digest: Digest| {
        let pattern: RepositoryPattern = pattern.parse().expect("a pattern");
        bench.meta.read(move |snapshot| snapshot.is_held_within(registry, &pattern, &digest)).await.expect("an answer")
    };
    let here = bench.registry.key;
    for (pattern, found) in
        [("*", true), ("team/*", true), ("team/app", true), ("team/ap", false), ("gone", false), ("tea/*", false)]
    {
        assert_eq!(within(here, pattern, digest).await, found, "{pattern}");
    }
    assert!(!within(here, "*", Digest::sha256(b"two")).await);
    let other = super::put_registry(&bench.meta, "other").await;
    assert!(!within(other.key, "*", digest).await);
}
