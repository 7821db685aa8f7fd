//! Listing, showing and deleting.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use serde_json::json;

use super::{Cli, index, repository, signature};

#[tokio::test(flavor = "multi_thread")]
async fn repositories_and_tags_are_listed_shown_and_deleted() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    let seed = &mut Seed::new(1);
    for name in ["team/app", "team/web", "x"] {
        let image = ImageBuilder::new(seed).build();
        repository(&registry, name).push_tagged(&image, "v1").await;
        repository(&registry, name).put_manifest("v2", image.root()).await.expect_status(201);
    }
    assert_eq!(cli.run(&format!("repo list {host}")).expect_code(0).stdout, "team/app\nteam/web\nx\n");
    assert_eq!(cli.run(&format!("tag list {host}/team/app --output json")).json(), json!(["v1", "v2"]));
    let shown = cli.run(&format!("repo show {host}/team/app --output json")).expect_code(0).json();
    assert_eq!((&shown["imageName"], &shown["tagCount"]), (&json!("team/app"), &json!(2)));

    cli.run(&format!("tag delete {host}/team/app:v1")).expect_code(0);
    assert_eq!(cli.run(&format!("tag list {host}/team/app")).stdout, "v2\n");
    cli.run(&format!("tag delete {host}/team/app:v1")).expect_code(3);
    cli.run(&format!("tag delete {host}/team/app")).expect_code(2);

    let unasked = cli.run(&format!("repo delete {host}/team/web")).expect_code(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let deleted = cli.run(&format!("repo delete {host}/team/web --yes")).expect_code(0);
    assert!(deleted.stdout.contains("1 manifests, 2 tags"), "{}", deleted.stdout);
    assert_eq!(cli.run(&format!("repo list {host}")).stdout, "team/app\nx\n");
    cli.run(&format!("repo show {host}/team/web")).expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_shown_listed_and_deleted_with_their_referrers() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    let (tree, app) = (index(1, false), repository(&registry, "team/app"));
    app.push_tagged(&tree, "v1").await;
    app.push(&signature(2, tree.root())).await;
    let image = format!("{host}/team/app:v1");
    let raw = cli.run(&format!("manifest show {image} --raw")).expect_code(0);
    assert_eq!(raw.stdout.as_bytes(), &tree.root().bytes[..]);
    let shown = cli.run(&format!("manifest show {image}")).expect_code(0).stdout;
    assert!(shown.contains("linux/arm64") && shown.contains(&tree.root().digest.to_string()), "{shown}");
    let child = cli.run(&format!("manifest show {image} --platform linux/amd64 --output json")).json();
    assert_eq!(child["digest"], json!(tree.manifests[0].digest));
    let absent = cli.run(&format!("manifest show {image} --platform plan9/mips")).expect_code(3);
    assert!(absent.stderr.contains("it has linux/amd64, linux/arm64"), "{}", absent.stderr);
    let listed = cli.run(&format!("manifest list {host}/team/app --output json")).expect_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(4));

    cli.run(&format!("manifest delete {image} --yes")).expect_code(0);
    let left = cli.run(&format!("manifest list {host}/team/app --output json")).expect_code(0).json();
    assert_eq!(left.as_array().map(Vec::len), Some(2), "the children stay, the signature goes: {left}");
    cli.run(&format!("manifest show {image}")).expect_code(3);
    cli.run(&format!("manifest delete {image} --yes")).expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_failures_apart() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    cli.run(&format!("pull {host}/none:v1 layout")).expect_code(3);
    assert!(!cli.path("layout").exists(), "nothing is left behind");
    Cli::new().run(&format!("pull {host}/none:v1 layout")).expect_code(4);
    cli.run("pull 127.0.0.1:1/none:v1 layout").expect_code(5);
    cli.run("pull https://x/y layout").expect_code(2);
    cli.run("pull").expect_code(2);
    cli.run(&format!("push layout {host}/none:v1")).expect_code(3);
    let script = cli.run("completions bash").expect_code(0).stdout;
    assert!(script.contains("doctor") && script.contains("serve"));
}
