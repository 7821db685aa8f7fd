//! The scrubber: what it finds, and what it leaves alone.

use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use kogge_types::{Clock, CopyId, Digest};

use crate::fixture::{Bench, GRACE, bench};

const SECOND: Duration = Duration::from_secs(1);

fn flip(bench: &Bench, digest: &Digest) {
    let path = bench.file_of(digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_and_a_push_repairs_it() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config", b"layer"]).await;
    let digest = Digest::sha256(b"layer");
    bench.clock.advance(SECOND);
    let report = bench.core.scrub(true).await.unwrap();
    assert_eq!((report.blobs_read, report.bytes_read, report.corrupt), (2, 11, 0));
    flip(&bench, &digest);
    bench.clock.advance(SECOND);
    let report = bench.core.scrub(true).await.unwrap();
    assert_eq!((report.blobs_read, report.corrupt), (2, 1));
    assert_eq!(bench.core.counters().blobs_corrupt.load(Ordering::Relaxed), 1);
    assert_eq!(bench.read("app", &digest).await, None, "never a wrong byte");
    assert!(bench.read("app", &Digest::sha256(b"config")).await.is_some());
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(true).await.unwrap().corrupt, 0, "it is out of service, not found again");
    bench.push_blob("app", b"layer").await;
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(&b"layer"[..]));
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(true).await.unwrap().corrupt, 0);
    assert_eq!(bench.core.collect_garbage().await.unwrap().links_ended, 0, "the manifest holds it as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_short_file_is_found() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config", b"layer"]).await;
    std::fs::remove_file(bench.file_of(&Digest::sha256(b"config"))).unwrap();
    std::fs::write(bench.file_of(&Digest::sha256(b"layer")), b"lay").unwrap();
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(true).await.unwrap().corrupt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_due_is_read() {
    let bench = bench().await;
    bench.push_blob("app", b"old").await;
    let interval = bench.core.settings().scrub_interval;
    bench.clock.advance(interval);
    bench.push_blob("app", b"new").await;
    assert_eq!(bench.core.scrub(false).await.unwrap().blobs_read, 0);
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(false).await.unwrap().blobs_read, 1);
    assert_eq!(bench.core.scrub(false).await.unwrap().blobs_read, 0, "it was just verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_collected_while_it_is_read_is_not_called_corrupt() {
    let bench = bench().await;
    bench.push_blob("app", b"content").await;
    let hold = bench.store.hold(kogge_store::Operation::Open);
    bench.clock.advance(GRACE);
    let core = std::sync::Arc::clone(&bench.core);
    let scrub = tokio::spawn(async move { core.scrub(true).await });
    bench.core.collect_garbage().await.unwrap();
    drop(hold);
    assert_eq!(scrub.await.unwrap().unwrap().corrupt, 0);
    assert!(bench.copies().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_orphan_goes_and_what_is_young_or_known_stays() {
    let bench = bench().await;
    let known = bench.push_blob("app", b"known").await;
    bench.push("app", "v1", &[b"known"]).await;
    let known_file = bench.file_of(&known);
    let orphan = |number: u8| {
        let file = known_file.file_name().unwrap().to_string_lossy().into_owned();
        let (hash, copy) = file.split_at(64);
        let separator: String = copy.chars().take_while(|c| !c.is_ascii_hexdigit()).collect();
        known_file.with_file_name(format!("{hash}{separator}{}", CopyId::from_bytes([number; 16])))
    };
    let now = UNIX_EPOCH + Duration::from_micros(bench.clock.now_us().unsigned_abs());
    for (number, age) in [(1, GRACE * 2), (2, GRACE / 2)] {
        std::fs::write(orphan(number), b"known").unwrap();
        std::fs::File::options().write(true).open(orphan(number)).unwrap().set_modified(now - age).unwrap();
    }
    std::fs::File::options().write(true).open(&known_file).unwrap().set_modified(now - GRACE * 2).unwrap();
    assert_eq!(bench.copies().await.len(), 3, "the files are where the store looks");
    assert_eq!(bench.core.sweep_orphans().await.unwrap(), 1);
    assert!(!orphan(1).exists() && orphan(2).exists() && known_file.exists());
    bench.clock.advance(GRACE);
    assert_eq!(bench.core.sweep_orphans().await.unwrap(), 1);
    assert_eq!(bench.read("app", &known).await.as_deref(), Some(&b"known"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_about_to_be_recorded_is_no_orphan() {
    let bench = bench().await;
    let known = bench.push_blob("app", b"content").await;
    let copy = bench.copies().await[0].copy;
    // As between the store's commit and the record, with a last byte that is older than the grace.
    let forgotten = bench.meta.write(move |tx| {
        tx.quarantine_blob(&known, &copy, 7)?;
        tx.put_blob(&known, 7, CopyId::from_bytes([9; 16]), 0).map(kogge_meta::Commit::quiet)
    });
    forgotten.await.unwrap();
    bench.clock.advance(GRACE * 2);
    let pending = bench.core.pending.announce(copy);
    assert_eq!(bench.core.sweep_orphans().await.unwrap(), 0);
    drop(pending);
    assert_eq!(bench.core.sweep_orphans().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_sound_after_all_serves_again() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config", b"layer"]).await;
    let digest = Digest::sha256(b"layer");
    flip(&bench, &digest);
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(true).await.unwrap().corrupt, 1);
    bench.clock.advance(GRACE * 2);
    bench.core.collect_garbage().await.unwrap();
    assert_eq!(bench.core.sweep_orphans().await.unwrap(), 0, "it is kept to be looked at");
    flip(&bench, &digest);
    bench.clock.advance(SECOND);
    assert_eq!(bench.core.scrub(true).await.unwrap().reinstated, 1);
    assert_eq!(bench.read("app", &digest).await.as_deref(), Some(&b"layer"[..]));
    assert_eq!(bench.core.collect_garbage().await.unwrap().links_ended, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gives_nothing_does_not_empty_the_registry() {
    let bench = bench().await;
    for number in 0..9_u8 {
        bench.push("app", &format!("v{number}"), &[&[number]]).await;
    }
    bench.clock.advance(SECOND);
    bench.store.refuse(true);
    assert!(bench.core.scrub(true).await.is_err());
    bench.store.refuse(false);
    bench.clock.advance(SECOND);
    let report = bench.core.scrub(true).await.unwrap();
    assert!(report.reinstated > 0 && report.reinstated < 9, "{report:?}");
    for number in 0..9_u8 {
        assert_eq!(bench.read("app", &Digest::sha256(&[number])).await.as_deref(), Some(&[number][..]));
    }
}
