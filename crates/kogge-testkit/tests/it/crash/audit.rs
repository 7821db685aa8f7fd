//! The audit across crashes, and the verb that asks it.

use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::process::{PASSWORD, Site};
use kogge_testkit::repository::Repository;
use serde_json::Value;

/// The events that `kogge admin audit` prints with these flags, the oldest first.
fn ask(site: &Site, flags: &[&str]) -> Vec<Value> {
    let words: Vec<&str> = ["admin", "audit"].iter().chain(flags).copied().collect();
    let outcome = site.run(&words);
    let text = outcome.expect_success();
    let mut events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    events.reverse();
    events
}

fn operations(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["OperationName"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_survives_a_kill_and_is_told_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let process = site.serve();
    let repository = Repository::new(&process.client(), "team/app");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push_tagged(&image, "v1").await;
    repository.get_manifest("v1").await.expect_status(200);
    repository.delete_manifest("absent").await.expect_status(404);
    let told = ask(&site, &["--kind", "repository"]);
    assert_eq!(operations(&told), ["Push", "Push", "Pull", "Untag"]);
    process.kill();
    // A line that was being written when the machine went down.
    let last = std::fs::read_dir(site.data_dir().join("audit")).expect("the audit's folder");
    let last = last.map(|entry| entry.expect("an entry").path()).max().expect("a file");
    let mut torn = std::fs::read(&last).expect("a file");
    torn.extend_from_slice(b"{\"TimeGenerated\":\"2026-");
    std::fs::write(&last, torn).expect("write");
    assert_eq!(ask(&site, &["--kind", "repository"]), told, "without a server");
    let process = site.serve();
    let repository = Repository::new(&process.client(), "team/app");
    repository.get_manifest("v1").await.expect_status(200);
    let events = ask(&site, &["--kind", "repository,denial"]);
    assert_eq!(events[..4], told[..]);
    assert_eq!(operations(&events), ["Push", "Push", "Pull", "Untag", "Pull"]);
    process.stop();
    assert_eq!(ask(&site, &["--kind", "repository"]), events, "after a stop in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_filters_and_local_changes_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let process = site.serve();
    site.run(&["admin", "registry", "put", "second"]).expect_success();
    site.run(&["admin", "registry", "list"]).expect_success();
    site.run_with(&["admin", "user", "put", "ann", "--role", "AcrPull"], "a long enough secret\n").expect_success();
    let changes = ask(&site, &["--kind", "management"]);
    let names: Vec<_> = changes.iter().map(|event| (&event["ResourceId"], &event["Identity"])).collect();
    assert_eq!(operations(&changes), ["Kogge.Local/put-registry/action", "Kogge.Local/put-user/action"], "{names:?}");
    assert_eq!(names[1], (&Value::from("/local/ann"), &Value::from("operator")));
    Repository::new(&process.client(), "team/app").get_manifest("v1").await.expect_status(404);
    for (flags, expected) in [
        (&["--result", "404"][..], 1),
        (&["--result", "404", "--since", "1h"], 1),
        (&["--until", "1h"], 0),
        (&["--kind", "management", "--limit", "1"], 1),
        (&["--identity", "admin", "--registry", "default", "--repository", "team/*"], 1),
        (&["--identity", "nobody"], 0),
    ] {
        assert_eq!(ask(&site, flags).len(), expected, "{flags:?}");
    }
    site.run(&["admin", "audit", "--kind", "gossip"]).expect_failure(&["gossip"]);
    site.run(&["admin", "audit", "--since", "soon"]).expect_failure(&["30m"]);
    let everything = format!("{:?}", ask(&site, &["--limit", "1000"]));
    assert!(!everything.contains("a long enough secret") && !everything.contains(PASSWORD), "{everything}");
    process.stop();
}
