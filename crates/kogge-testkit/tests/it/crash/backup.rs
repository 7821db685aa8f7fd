//! Backups under load, and what is made out of them.

use std::path::{Path, PathBuf};

use kogge_testkit::content::{ImageBuilder, Seed, Tree};
use kogge_testkit::process::{Outcome, Site};
use kogge_testkit::repository::Repository;
use kogge_types::Digest;

use super::load::{self, Gauge, Worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data")).with("KOGGE_GC_GRACE", "2s").with("KOGGE_GC_INTERVAL", "1s");
    let process = site.serve();
    let gauge = Gauge::new();
    let before: Vec<_> = (0..3).map(|n| Worker::new(&format!("before{n}"), 10 + n)).collect();
    let working = load::start(before, &process, &gauge);
    gauge.wait_for(200).await;
    gauge.end();
    let before = working.join_all().await;

    let gauge = Gauge::new();
    let meanwhile: Vec<_> = (0..3).map(|n| Worker::new(&format!("meanwhile{n}"), 20 + n)).collect();
    let working = load::start(meanwhile, &process, &gauge);
    gauge.wait_for(60).await;
    let backup = folder.path().join("backup");
    let report = run_beside(&site, "backup", &backup).await.json();
    assert!(report["blobs"].as_u64() > Some(0), "{report}");
    gauge.end();
    let meanwhile = working.join_all().await;
    let again = run_beside(&site, "backup", &backup).await.json();
    assert!(again["unchanged"].as_u64() > Some(0), "a second backup copies everything again: {again}");
    let (before, found) = load::check(before, &process).await;
    assert!(found.images > 0 && found.tags > 0, "nothing was pushed");
    process.stop();

    let restored = Site::new(folder.path().join("restored"));
    restored.run(&["restore", text(&backup)]).expect_success();
    let process = restored.serve();
    let ledgers = before.iter().map(|worker| worker.ledger.without_sessions());
    for mut ledger in ledgers.chain(meanwhile.iter().map(|worker| worker.ledger.of_any_time())) {
        ledger.check(&process.client()).await;
    }
    assert_eq!(restored.run(&["scrub"]).json()["corrupt"], 0);
    process.stop();
}

/// An installation with the image `backup/app:one`, and its backup in the folder `backup`.
async fn backed_up(folder: &Path) -> (PathBuf, Tree) {
    let site = Site::new(folder.join("data"));
    let process = site.serve();
    let image = ImageBuilder::new(&mut Seed::new(4)).build();
    Repository::new(&process.client(), "backup/app").push_tagged(&image, "one").await;
    process.stop();
    let backup = folder.join("backup");
    site.run(&["backup", text(&backup)]).expect_success();
    (backup, image)
}

/// Flips a bit of a file's first byte.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("a file of the backup");
    bytes[0] ^= 1;
    std::fs::write(file, bytes).expect("a file of the backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_state_or_key_is_damaged_is_refused_and_a_good_one_can_follow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (backup, image) = backed_up(folder.path()).await;
    let restored = Site::new(folder.path().join("restored"));
    let (state, key) = (backup.join("meta.db"), backup.join("secret.key"));
    let sound = std::fs::read(&state).expect("the backup's state");
    for damaged in [&b"no database"[..], &sound[..sound.len() / 2], &sound[..100]] {
        std::fs::write(&state, damaged).expect("the backup's state");
        restored.run(&["restore", text(&backup)]).expect_failure(&[]);
        restored.run(&["gc", "status"]).expect_failure(&["there is no registry"]);
    }
    std::fs::write(&state, sound).expect("the backup's state");
    std::fs::rename(&key, backup.join("elsewhere")).expect("the backup's key");
    restored.run(&["restore", text(&backup)]).expect_failure(&["secret.key"]);
    restored.run(&["gc", "status"]).expect_failure(&["there is no registry"]);
    std::fs::rename(backup.join("elsewhere"), &key).expect("the backup's key");

    restored.run(&["restore", text(&backup)]).expect_success();
    restored.run(&["restore", text(&backup)]).expect_failure(&["meta.db"]);
    let process = restored.serve();
    let repository = Repository::new(&process.client(), "backup/app");
    repository.get_manifest("one").await.expect_status(200).expect_body(&image.root().bytes);
    for blob in &image.blobs {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
    process.stop();
    // What the first key sealed cannot be read with another one, and nothing is made anew in its place.
    flip(&restored.data_dir().join("secret.key"));
    drop(restored.try_serve().expect_err("the key is not the one that sealed the secrets"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_is_named_and_the_rest_is_restored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (backup, image) = backed_up(folder.path()).await;
    let lost = &image.blobs[1];
    let file = blob_file(&backup, &lost.digest);
    let restored = ["flipped", "missing"].map(|name| Site::new(folder.path().join(name)));
    for site in &restored {
        match site.data_dir().ends_with("flipped") {
            true => flip(&file),
            false => std::fs::remove_file(&file).expect("a file of the backup"),
        }
        let outcome = site.run(&["restore", text(&backup)]);
        outcome.expect_failure(&["1 blob(s)"]);
        assert!(outcome.stdout.contains(&lost.digest.to_string()), "{outcome:#?}");
        let process = site.serve();
        let repository = Repository::new(&process.client(), "backup/app");
        repository.get_manifest("one").await.expect_status(200).expect_body(&image.root().bytes);
        repository.get_blob(&image.blobs[0].digest).await.expect_status(200).expect_body(&image.blobs[0].bytes);
        repository.get_blob(&lost.digest).await.expect_status(404);
        repository.push_blob(lost).await;
        repository.get_blob(&lost.digest).await.expect_status(200).expect_body(&lost.bytes);
        assert_eq!(site.run(&["scrub"]).json()["corrupt"], 0);
        process.stop();
    }
}

/// Runs a verb with a folder while the tasks of the test go on.
async fn run_beside(site: &Site, verb: &'static str, folder: &Path) -> Outcome {
    let (site, folder) = (site.clone(), folder.to_owned());
    let verb = tokio::task::spawn_blocking(move || site.run(&[verb, text(&folder)]));
    verb.await.expect("running a verb does not panic")
}

/// Where a blob lies in a backup.
fn blob_file(backup: &Path, digest: &Digest) -> PathBuf {
    let folder = backup.join("blobs").join(digest.algorithm().as_str()).join(&digest.hex()[..2]);
    let entries = std::fs::read_dir(folder).expect("the blob's folder");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.to_string_lossy().contains(&digest.hex()[..])).expect("the blob's file")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
