//! The cache is exact: whoever reads after a write was acknowledged sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kogge_types::{Digest, Reference, limits};

use crate::attributes::Attributes;
use crate::change::{Change, Commit};
use crate::error::MetaError;
use crate::meta::Meta;
use crate::repository::{Registry, RepositoryKey};
use crate::sql::Tx;
use crate::suite::{Bench, image, repository, tag};
use crate::tests::bench;

const ROUNDS: usize = 60;

struct Stage {
    meta: Arc<Meta>,
    registry: Registry,
    key: RepositoryKey,
}

impl Stage {
    async fn change<F>(&self, change: F)
    where
        F: FnOnce(&mut Tx<'_>, &Registry, RepositoryKey) -> crate::Result<Vec<Change>> + Send + 'static,
    {
        let (registry, key) = (self.registry.clone(), self.key);
        let changed = self.meta.write(move |tx| Ok::<_, MetaError>(Commit::new((), change(tx, &registry, key)?)));
        changed.await.unwrap();
    }

    async fn get(&self, reference: &str) -> Option<(Digest, Attributes)> {
        let reference: Reference = reference.parse().unwrap();
        let found = self.meta.manifest(self.registry.key, &repository("app"), &reference).await.unwrap();
        found.map(|manifest| (manifest.digest, manifest.attributes))
    }

    async fn serves(&self, digest: &Digest) -> bool {
        self.meta.link(self.registry.key, &repository("app"), digest).await.unwrap().is_some()
    }
}

/// Readers that never stop asking, so that every fill there can be races with every write.
fn readers(
    stage: &Stage,
    references: &[String],
    blobs: &[Digest],
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<u64>> {
    (0..3)
        .map(|_| {
            let (meta, key, stop) = (Arc::clone(&stage.meta), stage.registry.key, Arc::clone(stop));
            let references: Vec<Reference> = references.iter().map(|reference| reference.parse().unwrap()).collect();
            let blobs = blobs.to_vec();
            tokio::spawn(async move {
                let (app, mut reads) = (repository("app"), 0);
                while !stop.load(Ordering::Relaxed) {
                    for reference in &references {
                        meta.manifest(key, &app, reference).await.unwrap();
                    }
                    for blob in &blobs {
                        meta.link(key, &app, blob).await.unwrap();
                    }
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_very_next_read_shows_an_acknowledged_write() {
    let (_folders, bench) = bench().await;
    let app = repository("app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    let two = bench.push(&app, &["two"], None).await;
    let key = bench.key(&app).await;
    let Bench { meta, registry, .. } = bench;
    let stage = Stage { meta: Arc::new(meta), registry, key };
    let loose = Digest::sha256(b"loose");
    let stop = Arc::new(AtomicBool::new(false));
    let references = ["v1".to_owned(), one.to_string(), two.to_string()];
    let tasks = readers(&stage, &references, &[loose, Digest::sha256(b"one")], &stop);
    for round in 0..ROUNDS {
        let (target, other) = if round % 2 == 0 { (two, one) } else { (one, two) };
        stage.change(move |tx, r, key| Ok(vec![tx.set_tag(r, key, &repository("app"), &tag("v1"), &target)?])).await;
        assert_eq!(stage.get("v1").await, Some((target, Attributes::OPEN)), "moved");
        let locked = Attributes { write_enabled: false, ..Attributes::OPEN };
        for attributes in [locked, Attributes::OPEN] {
            stage
                .change(move |tx, r, key| {
                    let app = repository("app");
                    Ok(match round % 3 {
                        0 => tx.set_tag_attributes(r, key, &app, &tag("v1"), attributes)?.into_iter().collect(),
                        1 => tx.set_manifest_attributes(r, key, &app, &target, attributes)?.into_iter().collect(),
                        _ => vec![tx.set_repository_attributes(r, key, &app, attributes)?],
                    })
                })
                .await;
            assert_eq!(stage.get("v1").await, Some((target, attributes)), "locked and unlocked");
        }
        stage
            .change(move |tx, r, key| Ok(tx.delete_tag(r, key, &repository("app"), &tag("v1"))?.into_iter().collect()))
            .await;
        assert_eq!(stage.get("v1").await, None, "untagged");
        stage.change(move |tx, r, key| tx.delete_manifest(r, key, &repository("app"), &other)).await;
        assert_eq!(stage.get(&other.to_string()).await, None, "deleted");
        let content = if other == one { "one" } else { "two" };
        stage
            .change(move |tx, r, key| Ok(vec![tx.put_manifest(r, key, &repository("app"), &image(&[content]))?]))
            .await;
        assert!(stage.get(&other.to_string()).await.is_some(), "put again");
        let copy = crate::suite::copy_id();
        stage
            .change(move |tx, r, key| {
                tx.put_blob(&loose, 5, copy, i64::MAX)?;
                tx.link_blob(r.key, key, &repository("app"), &loose, i64::MAX)?;
                Ok(vec![])
            })
            .await;
        assert!(stage.serves(&loose).await, "linked");
        stage
            .change(move |tx, r, key| Ok(tx.unlink_blob(r, key, &repository("app"), &loose)?.into_iter().collect()))
            .await;
        assert!(!stage.serves(&loose).await, "unlinked");
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_has_a_bound_and_one_large_record_does_not_empty_it() {
    let (_folders, bench) = bench().await;
    let app = repository("app");
    let mut digests = Vec::new();
    for number in 0..40 {
        let mut new = image(&[&number.to_string()]);
        // Ten of them are larger than what one shard may hold.
        let bytes = if number % 4 == 0 { limits::MANIFEST_BYTES_MAX } else { 1_000_000 };
        new.body = vec![b' '; bytes].into();
        digests.push((bench.put(&app, new, None).await, bytes));
    }
    for _ in 0..2 {
        for (digest, bytes) in &digests {
            let found =
                bench.meta.manifest(bench.registry.key, &app, &Reference::Digest(*digest)).await.unwrap().unwrap();
            assert_eq!(found.body.len(), *bytes);
        }
        let (records, held) = bench.meta.cached();
        assert!(held <= limits::RECORD_CACHE_BYTES_MAX, "{held}");
        assert!(records > 0 && held >= records * 1_000_000);
    }
}
