//! Backups under load, and what is made out of them.

use std::path::{Path, PathBuf};

use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::process::{Outcome, Site};
use kogge_testkit::repository::Repository;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_and_a_good_one_can_follow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let process = site.serve();
    let image = ImageBuilder::new(&mut Seed::new(4)).build();
    Repository::new(&process.client(), "backup/app").push_tagged(&image, "one").await;
    process.stop();
    let backup = folder.path().join("backup");
    site.run(&["backup", text(&backup)]).expect_success();

    let restored = Site::new(folder.path().join("restored"));
    let blob = a_blob(&backup);
    let damages: [(&Path, &str); 3] =
        [(&blob, "damaged"), (&backup.join("meta.db"), ""), (&backup.join("secret.key"), "")];
    for (file, message) in damages {
        let sound = std::fs::read(file).expect("a file of the backup");
        let mut damaged = sound.clone();
        damaged[0] ^= 1;
        std::fs::write(file, damaged).expect("a file of the backup");
        if file.ends_with("secret.key") {
            // Only a start can tell that the key is another one.
            restored.run(&["restore", text(&backup)]);
            drop(restored.try_serve().expect_err("the key is not the one that sealed the secrets"));
            std::fs::remove_dir_all(restored.data_dir()).expect("the folder can be removed");
        } else {
            restored.run(&["restore", text(&backup)]).expect_failure(&[message]);
            restored.run(&["gc", "status"]).expect_failure(&["there is no registry"]);
        }
        std::fs::write(file, sound).expect("a file of the backup");
    }
    std::fs::rename(&blob, backup.join("elsewhere")).expect("a file of the backup");
    restored.run(&["restore", text(&backup)]).expect_failure(&[]);
    std::fs::rename(backup.join("elsewhere"), &blob).expect("a file of the backup");

    restored.run(&["restore", text(&backup)]).expect_success();
    restored.run(&["restore", text(&backup)]).expect_failure(&["restore into"]);
    let process = restored.serve();
    let repository = Repository::new(&process.client(), "backup/app");
    repository.get_manifest("one").await.expect_status(200).expect_body(&image.root().bytes);
    for blob in &image.blobs {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
    process.stop();
}

/// Runs a verb with a folder while the tasks of the test go on.
async fn run_beside(site: &Site, verb: &'static str, folder: &Path) -> Outcome {
    let (site, folder) = (site.clone(), folder.to_owned());
    let verb = tokio::task::spawn_blocking(move || site.run(&[verb, text(&folder)]));
    verb.await.expect("running a verb does not panic")
}

/// Any one of the blobs in a backup.
fn a_blob(backup: &Path) -> PathBuf {
    let mut path = backup.join("blobs");
    while path.is_dir() {
        let mut entries = std::fs::read_dir(&path).expect("a folder of the backup");
        path = entries.next().expect("no folder of the backup is empty").expect("an entry").path();
    }
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
