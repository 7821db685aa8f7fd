//! The life of garbage, by the clock and in a race.

mod race;

use std::sync::atomic::Ordering;
use std::time::Duration;

use kogge_types::{Code, Digest};

use crate::fixture::{Bench, GRACE, bench, body, code, image, name};
use crate::gc::GcReport;
use crate::upload::UploadStart;

const MICRO: Duration = Duration::from_micros(1);

async fn is_empty(bench: &Bench) {
    assert!(bench.copies().await.is_empty());
    assert_eq!(bench.uploads().await, 0);
    assert_eq!(bench.core.count_garbage().await.unwrap(), kogge_meta::GarbageCount::default());
    assert!(bench.meta.read(|s| s.blobs_after(None, 10)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreferenced_blob_goes_after_the_grace_and_not_before() {
    let bench = bench().await;
    let digest = bench.push_blob("app", b"content").await;
    bench.clock.advance(GRACE - MICRO);
    assert_eq!(bench.core.collect_garbage().await.unwrap(), GcReport::default());
    assert!(bench.read("app", &digest).await.is_some());
    // The read above was a promise for half a grace at least.
    bench.clock.advance(GRACE);
    let dry = bench.core.count_garbage().await.unwrap();
    assert_eq!((dry.links_due, dry.blobs_due, dry.bytes_due), (1, 1, 7));
    let report = bench.core.collect_garbage().await.unwrap();
    assert_eq!(report, GcReport { links_ended: 1, blobs_fenced: 1, copies_removed: 1, bytes_removed: 7 });
    assert_eq!(bench.core.counters().bytes_removed.load(Ordering::Relaxed), 7);
    assert_eq!(bench.read("app", &digest).await, None);
    is_empty(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_pushes_the_end_out_when_less_than_half_is_left() {
    let bench = bench().await;
    let digest = bench.push_blob("app", b"content").await;
    let target = bench.target("app");
    let end = || async {
        let link = bench.meta.link(target.registry.key, &target.repository, &digest).await.unwrap();
        link.unwrap().expires_at_us.unwrap()
    };
    let first = end().await;
    bench.clock.advance(GRACE / 2 - MICRO);
    bench.core.stat_blob(&target, &digest).await.unwrap();
    assert_eq!(end().await, first, "more than half is left: no write");
    bench.clock.advance(MICRO);
    bench.core.stat_blob(&target, &digest).await.unwrap();
    assert_eq!(end().await, bench.core.grace_end_us());
    for _ in 0..10 {
        bench.clock.advance(GRACE / 2);
        bench.core.collect_garbage().await.unwrap();
        bench.core.stat_blob(&target, &digest).await.unwrap();
    }
    bench.clock.advance(GRACE);
    bench.core.collect_garbage().await.unwrap();
    assert_eq!(code(bench.core.stat_blob(&target, &digest).await), Code::BlobUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_blob_never_goes_and_a_released_one_after_another_grace() {
    let bench = bench().await;
    let digest = bench.push("app", "v1", &[b"config", b"layer"]).await;
    bench.clock.advance(GRACE * 1_000);
    assert_eq!(bench.core.collect_garbage().await.unwrap(), GcReport::default());
    assert_eq!(bench.read("app", &Digest::sha256(b"layer")).await.as_deref(), Some(&b"layer"[..]));
    bench.core.delete_manifest(&bench.target("app"), &digest).await.unwrap();
    bench.core.collect_garbage().await.unwrap();
    bench.clock.advance(GRACE - MICRO);
    assert_eq!(bench.core.collect_garbage().await.unwrap(), GcReport::default());
    bench.clock.advance(MICRO);
    assert_eq!(bench.core.collect_garbage().await.unwrap().copies_removed, 2);
    is_empty(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_pushed_again_before_the_collection_keeps_its_blobs() {
    let bench = bench().await;
    let target = bench.target("app");
    for follow_between in [false, true] {
        let digest = bench.push("app", "v1", &[b"config", b"layer"]).await;
        bench.core.delete_manifest(&target, &digest).await.unwrap();
        if follow_between {
            bench.core.follow_deletions().await.unwrap();
        }
        bench.put("app", "v1", image(&[b"config", b"layer"])).await.unwrap();
        bench.clock.advance(GRACE * 2);
        assert_eq!(bench.core.collect_garbage().await.unwrap(), GcReport::default());
        assert!(bench.read("app", &Digest::sha256(b"layer")).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_keeps_the_blob_and_needs_a_link_at_its_source() {
    let bench = bench().await;
    let digest = bench.push_blob("source", b"content").await;
    let target = bench.target("target");
    assert!(!bench.core.mount_blob(&target, &name("nowhere"), &digest).await.unwrap());
    assert_eq!(bench.read("target", &digest).await, None);
    bench.clock.advance(GRACE - MICRO);
    assert!(bench.core.mount_blob(&target, &name("source"), &digest).await.unwrap());
    bench.clock.advance(GRACE - MICRO);
    assert_eq!(bench.core.collect_garbage().await.unwrap().links_ended, 1, "the source's own");
    assert!(!bench.core.mount_blob(&bench.target("late"), &name("source"), &digest).await.unwrap());
    assert!(bench.read("target", &digest).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_repository_is_reclaimed_and_its_successor_is_not() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config", b"old"]).await;
    bench.push("other", "v1", &[b"config", b"shared"]).await;
    let taken = bench.core.delete_repository(&bench.target("app")).await.unwrap();
    assert_eq!((taken.manifests.len(), taken.tags.len()), (1, 1));
    let again = bench.push("app", "v2", &[b"config", b"new"]).await;
    let report = bench.core.collect_garbage().await.unwrap();
    assert_eq!(report.copies_removed, 1, "what it alone held goes at once");
    assert_eq!(bench.resolve("app", "v2").await, Some(again));
    assert!(bench.read("app", &Digest::sha256(b"new")).await.is_some());
    assert_eq!(bench.read("app", &Digest::sha256(b"old")).await, None);
    assert!(bench.read("other", &Digest::sha256(b"shared")).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_blob_goes_and_a_named_one_is_not_deleted() {
    let bench = bench().await;
    let target = bench.target("app");
    let loose = bench.push_blob("app", b"loose").await;
    bench.push("app", "v1", &[b"config"]).await;
    assert_eq!(code(bench.core.delete_blob(&target, &Digest::sha256(b"config")).await), Code::Unsupported);
    assert_eq!(code(bench.core.delete_blob(&bench.target("other"), &loose).await), Code::BlobUnknown);
    bench.core.delete_blob(&target, &loose).await.unwrap();
    assert_eq!(code(bench.core.delete_blob(&target, &loose).await), Code::BlobUnknown);
    assert_eq!(bench.core.collect_garbage().await.unwrap().copies_removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_uploads_end_and_their_bytes_go() {
    let bench = bench().await;
    let target = bench.target("app");
    let start = UploadStart { algorithm: kogge_types::Algorithm::Sha256 };
    let empty = bench.core.start_upload(&target, start).await.unwrap();
    let upload = bench.core.start_upload(&target, start).await.unwrap();
    bench.core.write_chunk(&target, upload.id, None, body(b"some", 2)).await.unwrap();
    bench.clock.advance(GRACE - MICRO);
    assert_eq!(bench.core.expire_uploads().await.unwrap(), 0);
    bench.core.write_chunk(&target, upload.id, None, body(b" more", 2)).await.unwrap();
    bench.clock.advance(MICRO);
    assert_eq!(bench.core.expire_uploads().await.unwrap(), 1);
    assert_eq!(code(bench.core.upload_progress(&target, empty.id).await), Code::BlobUploadUnknown);
    assert_eq!(bench.core.upload_progress(&target, upload.id).await.unwrap().bytes, 9);
    bench.clock.advance(GRACE);
    assert_eq!(bench.core.expire_uploads().await.unwrap(), 1);
    is_empty(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_tells_why_it_is_kept() {
    let bench = bench().await;
    let manifest = bench.push("app", "v1", &[b"config"]).await;
    let story = bench.core.tell_blob(&Digest::sha256(b"config")).await.unwrap();
    assert_eq!(story.blob.unwrap().size, 6);
    assert_eq!(story.holders[0].manifests, [manifest]);
    let story = bench.core.tell_blob(&Digest::sha256(b"unknown")).await.unwrap();
    assert!(story.blob.is_none() && story.holders.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_leaves_the_copy_to_the_next_collection() {
    let bench = bench().await;
    bench.push_blob("app", b"content").await;
    bench.clock.advance(GRACE);
    bench.store.fail(kogge_store::Operation::Remove, 1);
    assert!(bench.core.collect_garbage().await.is_err());
    assert_eq!(bench.core.count_garbage().await.unwrap().condemned, 1);
    assert_eq!(bench.core.collect_garbage().await.unwrap().copies_removed, 1);
    is_empty(&bench).await;
}
