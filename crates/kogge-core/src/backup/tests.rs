//! Backup and restore, while others push and delete.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kogge_store::{BlobStore, DiskStore};
use kogge_types::{Code, Digest, ManualClock};

use crate::backup::{BackupReport, restore};
use crate::core::SystemEntropy;
use crate::fixture::{Bench, GRACE, bench, files, image, open, settings};

async fn back_up(bench: &Bench, folder: &Path) -> BackupReport {
    bench.core.back_up(folder, &|_| {}).await.unwrap()
}

/// An installation made of the backup in `folder`.
async fn restored(folder: &Path, clock: &Arc<ManualClock>) -> (Bench, BackupReport) {
    let root = Arc::new(tempfile::tempdir().unwrap());
    std::fs::copy(folder.join(kogge_meta::STATE_FILE), root.path().join(kogge_meta::STATE_FILE)).unwrap();
    let environment = kogge_meta::Environment {
        clock: Arc::clone(clock) as _,
        entropy: Arc::new(SystemEntropy),
        boot: "a boot".to_owned(),
    };
    let meta = kogge_meta::Meta::open(root.path(), &environment).unwrap();
    let store = DiskStore::open(&root.path().join("store")).unwrap();
    let report = restore(folder, &meta, &store, &SystemEntropy, &|_| {}).await.unwrap();
    assert!(store.uploads(None).await.unwrap().is_empty(), "nothing half done is left");
    drop((meta, store));
    (open(root, Arc::clone(clock), "a boot", settings()).await, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restores_and_a_second_run_copies_what_is_new() {
    let bench = bench().await;
    let folder = tempfile::tempdir().unwrap();
    let one = bench.push("app", "v1", &[b"config", b"layer", b""]).await;
    let report = back_up(&bench, folder.path()).await;
    assert_eq!((report.blobs, report.bytes, report.unchanged, report.damaged.len()), (3, 11, 0, 0));
    let two = bench.push("app", "v2", &[b"config", b"newer"]).await;
    let report = back_up(&bench, folder.path()).await;
    assert_eq!((report.blobs, report.unchanged), (4, 3));
    let (copy, report) = restored(folder.path(), &bench.clock).await;
    assert_eq!((report.blobs, report.bytes, report.damaged.len()), (4, 16, 0));
    assert_eq!((copy.resolve("app", "v1").await, copy.resolve("app", "v2").await), (Some(one), Some(two)));
    for content in [&b"config"[..], b"layer", b"", b"newer"] {
        assert_eq!(copy.read("app", &Digest::sha256(content)).await.as_deref(), Some(content));
    }
    copy.clock.advance(GRACE * 2);
    assert_eq!(copy.core.collect_garbage().await.unwrap().copies_removed, 0);
    copy.push("app", "v3", &[b"config", b"after"]).await;
    copy.core.delete_repository(&copy.target("app")).await.unwrap();
    copy.core.collect_garbage().await.unwrap();
    assert!(copy.copies().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_is_whole() {
    let bench = bench().await;
    for number in 0..8_u8 {
        bench.push("kept", &format!("v{number}"), &[b"config", &[number; 3_000]]).await;
        bench.push("gone", &format!("v{number}"), &[b"config", &[100 + number; 3_000]]).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (core, target, stop) = (Arc::clone(&bench.core), bench.target("busy"), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                let content = number.to_be_bytes();
                let digest = Digest::sha256(&content);
                core.put_blob(&target, &digest, crate::fixture::body(&content, 4)).await.unwrap();
                let put = crate::fixture::put("latest", image(&[&content]));
                let put = core.put_manifest(&target, put).await.unwrap();
                core.delete_manifest(&target, &put.digest).await.unwrap();
                core.delete_blob(&target, &digest).await.ok();
                number += 1;
            }
        })
    };
    let (core, gone) = (Arc::clone(&bench.core), bench.target("gone"));
    let deletion = tokio::spawn(async move { core.delete_repository(&gone).await.unwrap() });
    let collector = {
        let (core, stop) = (Arc::clone(&bench.core), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                core.collect_garbage().await.unwrap();
            }
        })
    };
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        assert_eq!(back_up(&bench, folder.path()).await.damaged, [], "what a backup names stays while it runs");
        let (copy, report) = restored(folder.path(), &bench.clock).await;
        assert_eq!(report.damaged, []);
        for number in 0..8_u8 {
            let digest = Digest::sha256(&[number; 3_000]);
            assert_eq!(copy.read("kept", &digest).await.as_deref(), Some(&[number; 3_000][..]));
            assert!(copy.resolve("kept", &format!("v{number}")).await.is_some());
        }
    }
    stop.store(true, Ordering::Relaxed);
    deletion.await.unwrap();
    load.await.unwrap();
    collector.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_never_serves_a_wrong_byte() {
    let bench = bench().await;
    let folder = tempfile::tempdir().unwrap();
    bench.push("app", "v1", &[b"config", b"layer", b"other"]).await;
    back_up(&bench, folder.path()).await;
    let file_of = |content: &[u8]| {
        let hex = Digest::sha256(content).hex();
        let mut found = files(folder.path());
        found.retain(|path| path.to_string_lossy().contains(&hex));
        found.remove(0)
    };
    std::fs::write(file_of(b"layer"), b"lAyer").unwrap();
    std::fs::remove_file(file_of(b"other")).unwrap();
    let (copy, report) = restored(folder.path(), &bench.clock).await;
    let mut damaged = [Digest::sha256(b"layer"), Digest::sha256(b"other")];
    damaged.sort_unstable();
    assert_eq!(report.damaged, damaged);
    assert_eq!(copy.read("app", &Digest::sha256(b"config")).await.as_deref(), Some(&b"config"[..]));
    for digest in &damaged {
        assert_eq!(copy.read("app", digest).await, None);
    }
    copy.push_blob("app", b"layer").await;
    assert_eq!(copy.read("app", &Digest::sha256(b"layer")).await.as_deref(), Some(&b"layer"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_already_does_not_keep_the_rest_from_being_saved() {
    let bench = bench().await;
    let folder = tempfile::tempdir().unwrap();
    bench.push("app", "v1", &[b"config", b"layer"]).await;
    std::fs::remove_file(bench.file_of(&Digest::sha256(b"layer"))).unwrap();
    assert_eq!(back_up(&bench, folder.path()).await.damaged, [Digest::sha256(b"layer")]);
    let (copy, _) = restored(folder.path(), &bench.clock).await;
    assert!(copy.read("app", &Digest::sha256(b"config")).await.is_some());
    let lost = copy.core.stat_blob(&copy.target("app"), &Digest::sha256(b"layer")).await;
    assert_eq!(lost.unwrap_err().code, Code::BlobUnknown);
}
