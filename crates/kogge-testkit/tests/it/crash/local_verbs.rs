//! Local verbs: by the running server, and without one.

use kogge_testkit::content::{ImageBuilder, Seed, Tree};
use kogge_testkit::http::Client;
use kogge_testkit::process::{PASSWORD, Site};
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use serde_json::json;
use tempfile::TempDir;

/// A data directory with one image, `verbs/app:one`, and one blob that nothing names.
async fn prepared() -> (TempDir, Site, Tree, Digest) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data")).with("KOGGE_GC_GRACE", "0s").with("KOGGE_GC_INTERVAL", "1h");
    // The first collection comes with the first start, the next one an hour later: not between a blob and its manifest.
    site.serve().stop();
    let process = site.serve();
    let repository = Repository::new(&process.client(), "verbs/app");
    let seed = &mut Seed::new(6);
    let (image, loose) = (ImageBuilder::new(seed).build(), ImageBuilder::new(seed).build());
    repository.push_tagged(&image, "one").await;
    repository.push_blob(&loose.blobs[1]).await;
    process.stop();
    (folder, site, image, loose.blobs[1].digest)
}

/// Collects, explains and scrubs. The answers are the same whoever carries the verbs out.
fn collect_and_explain(site: &Site, image: &Tree, loose: Digest) {
    let (kept, loose) = (image.blobs[1].digest.to_string(), loose.to_string());
    let why = site.run(&["blob", "why", &kept]).json();
    assert_eq!((&why["kept"], &why["size"]), (&json!(true), &json!(image.blobs[1].bytes.len())), "{why}");
    assert_eq!(why["holders"][0]["repository"], "verbs/app");
    assert_eq!(why["holders"][0]["manifests"], json!([image.root().digest]));
    let counted = site.run(&["gc", "--dry-run"]).json();
    assert_eq!((&counted["links_due"], &counted["blobs_due"]), (&json!(1), &json!(1)), "{counted}");
    let why = site.run(&["blob", "why", &loose]).json();
    assert_eq!(why["holders"][0]["manifests"], json!([]), "{why}");
    let collected = site.run(&["gc"]).json();
    assert_eq!((&collected["links_ended"], &collected["copies_removed"]), (&json!(1), &json!(1)), "{collected}");
    let status = site.run(&["gc", "status"]).json();
    assert_eq!(status["garbage"]["blobs_due"], 0, "{status}");
    let jobs = status["jobs"].as_array().expect("a list of jobs");
    assert!(jobs.iter().any(|job| job["job"] == "collect-garbage"), "{status}");
    site.run(&["blob", "why", &loose]).expect_failure(&[&loose, "not stored"]);
    let scrubbed = site.run(&["scrub"]).json();
    assert_eq!((&scrubbed["blobs_read"], &scrubbed["corrupt"]), (&json!(2), &json!(0)), "{scrubbed}");
    site.run(&["blob", "why", "sha256:short"]).expect_failure(&["sha256:short"]);
}

/// Makes a registry and users.
fn make_users(site: &Site) {
    let made = site.run(&["admin", "registry", "put", "second", "--anonymous-pull"]).json();
    assert_eq!((&made["registry"], &made["anonymousPull"]), (&json!("second"), &json!(true)), "{made}");
    let listed = site.run(&["admin", "registry", "list"]).json();
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|registry| &registry["registry"]).collect();
    assert_eq!(names, ["default", "second"]);
    let put = ["admin", "user", "put", "reader", "--role", "AcrPull", "--repositories", "verbs/*"];
    site.run_with(&put, "a long enough secret\n").expect_success();
    site.run_with(&put, "").expect_failure(&["no password"]);
    let unknown = ["admin", "user", "put", "nobody", "--role", "Emperor"];
    site.run_with(&unknown, "a long enough secret\n").expect_failure(&["AcrPull", "AcrPush"]);
    let missing = ["admin", "user", "put", "nobody", "--role", "AcrPull", "--registry", "missing"];
    site.run_with(&missing, "a long enough secret\n").expect_failure(&[]);
}

/// The reader may pull and not push.
async fn expect_reader(anonymous: &Client) {
    let reader = Repository::new(&anonymous.with_basic("reader", "a long enough secret"), "verbs/app");
    reader.get_manifest("one").await.expect_status(200);
    reader.delete_manifest("one").await.expect_status(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_carries_local_verbs_out() {
    let (_folder, site, image, loose) = prepared().await;
    let process = site.serve();
    collect_and_explain(&site, &image, loose);
    make_users(&site);
    let anonymous = Client::new(process.addr());
    expect_reader(&anonymous).await;
    assert_eq!(site.run(&["admin", "user", "delete", "reader"]).json()["deleted"], "reader");
    site.run(&["admin", "user", "delete", "reader"]).expect_failure(&["no user reader"]);
    let gone = Repository::new(&anonymous.with_basic("reader", "a long enough secret"), "verbs/app");
    assert!(gone.client().get(gone.manifest_path("one")).try_send().await.map_or(true, |reply| reply.status == 401));
    let shown = site.run(&["config", "show"]);
    let shown = shown.expect_success();
    assert!(shown.contains("of the running server") && shown.contains("interval = \"1h\""), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn local_verbs_work_without_a_server() {
    let (_folder, site, image, loose) = prepared().await;
    collect_and_explain(&site, &image, loose);
    make_users(&site);
    let process = site.serve();
    expect_reader(&Client::new(process.addr())).await;
    process.stop();
    site.run(&["admin", "user", "delete", "reader"]).expect_success();
    let shown = site.run(&["config", "show"]);
    let shown = shown.expect_success();
    assert!(!shown.contains("of the running server") && shown.contains("interval = \"1h\""), "{shown}");
}

#[test]
fn a_bad_configuration_is_refused_with_all_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    site.run(&["config", "check"]).expect_success();
    let bad = site.clone().with("KOGGE_GC_GRACE", "soon").with("KOGGE_SERVER_COLOUR", "red");
    bad.run(&["config", "check"]).expect_failure(&["KOGGE_GC_GRACE", "KOGGE_SERVER_COLOUR"]);
    drop(bad.try_serve().expect_err("a bad configuration does not serve"));
    assert!(!site.data_dir().exists(), "looking at a configuration made a data directory");
}

#[test]
fn a_verb_does_not_make_the_registry_that_it_asks_about() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    for words in [&["gc"][..], &["gc", "status"], &["scrub"], &["admin", "registry", "list"]] {
        site.run(words).expect_failure(&["there is no registry"]);
    }
    assert!(!site.data_dir().exists(), "a verb made a data directory");
}
