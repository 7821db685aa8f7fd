//! `pull`, `push` and `copy`.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Seed, Tree};
use kogge_types::Algorithm;
use kogge_types::media_type::OCI_LAYER_GZIP;
use serde_json::json;

use super::{Cli, assert_has, index, repository, signature};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_through_layouts_and_tars_byte_for_byte() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    let tree = index(1, false);
    let (signed, countersigned) = (signature(2, tree.root()), signature(3, signature(2, tree.root()).root()));
    let first = repository(&registry, "first");
    first.push_tagged(&tree, "v1").await;
    first.push(&signed).await;
    first.push(&countersigned).await;
    cli.run(&format!("pull {host}/first:v1 layout --referrers")).expect_code(0);
    cli.run("copy oci:layout oci-archive:image.tar:v2 --referrers").expect_code(0);
    cli.run(&format!("push image.tar {host}/second --tag more --tag v3 --referrers")).expect_code(0);
    let second = repository(&registry, "second");
    for tree in [&tree, &signed, &countersigned] {
        assert_has(&second, tree).await;
    }
    assert_eq!(second.tags("").await.json()["tags"], json!(["more", "v2", "v3"]));
    for tag in ["more", "v2", "v3"] {
        second.get_manifest(tag).await.expect_status(200).expect_body(&tree.root().bytes);
    }
    let referrers = second.referrers(tree.root().digest, "").await.expect_status(200).json();
    assert_eq!(referrers["manifests"][0]["digest"], json!(signed.root().digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_within_a_registry_moves_no_bytes_and_a_second_one_nothing_at_all() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    repository(&registry, "first").push_tagged(&index(1, false), "v1").await;
    let line = format!("copy {host}/first:v1 {host}/second --output json");
    let copied = cli.run(&line).expect_code(0).json();
    assert_eq!((&copied["blobsMounted"], &copied["blobsSent"]), (&json!(4), &json!(0)));
    let again = cli.run(&line).expect_code(0).json();
    assert_eq!((&again["blobsMounted"], &again["manifestsCopied"]), (&json!(0), &json!(0)));
    assert_has(&repository(&registry, "second"), &index(1, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_nested_and_sha512_images_are_copied() {
    let (from, to) = (TestRegistry::start().await, TestRegistry::start().await);
    let cli = Cli::logged_in(&from);
    cli.log_in(&to);
    let seed = &mut Seed::new(1);
    let sha512 = ImageBuilder::new(seed).algorithm(Algorithm::Sha512).build();
    let trees: [Tree; 3] = [IndexBuilder::new().child(index(2, false), "any").build(), index(3, true), sha512];
    for (position, tree) in trees.iter().enumerate() {
        let source = repository(&from, "image");
        source.push(tree).await;
        let root = tree.root();
        source.put_manifest(format_args!("{}?tag=t{position}", root.digest), root).await.expect_status(201);
        let (source, target) = (from.addr(), to.addr());
        cli.run(&format!("copy {source}/image:t{position} {target}/image")).expect_code(0);
        assert_has(&repository(&to, "image"), tree).await;
        let tagged = repository(&to, "image").get_manifest(format_args!("t{position}")).await;
        tagged.expect_status(200).expect_header("docker-content-digest", root.digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_of_an_index_can_be_taken() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    let tree = index(1, false);
    repository(&registry, "first").push_tagged(&tree, "v1").await;
    cli.run(&format!("pull {host}/first:v1 arm.tar --platform linux/arm64")).expect_code(0);
    cli.run(&format!("push arm.tar {host}/second:arm")).expect_code(0);
    let second = repository(&registry, "second").get_manifest("arm").await;
    second.expect_status(200).expect_body(&tree.manifests[1].bytes);
    cli.run(&format!("pull {host}/first:v1 mips.tar --platform linux/mips")).expect_code(3);
    assert!(!cli.path("mips.tar").exists() && !cli.path("mips.tar.partial").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_layers_go_in_chunks_and_an_interrupted_pull_goes_on() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    let layer = Seed::new(7).bytes(70 * 1024 * 1024);
    let image = ImageBuilder::new(&mut Seed::new(1)).layer(OCI_LAYER_GZIP, layer.clone()).build();
    repository(&registry, "large").push_tagged(&image, "v1").await;
    let digest = image.blobs.last().expect("the large layer").digest;
    // What a killed command leaves: the first half of a blob.
    let partial = cli.path("layout/.kogge-partial");
    std::fs::create_dir_all(&partial).expect("made");
    std::fs::write(cli.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    std::fs::write(partial.join(format!("sha256-{}", digest.hex())), &layer[..layer.len() / 2]).expect("written");
    cli.run(&format!("pull {host}/large:v1 layout")).expect_code(0);
    assert_eq!(std::fs::read(cli.path("layout/blobs/sha256").join(digest.hex())).expect("there"), layer);
    assert!(!partial.exists());
    cli.run(&format!("push layout {host}/again")).expect_code(0);
    assert_has(&repository(&registry, "again"), &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_registry_is_copied_and_a_second_run_finds_nothing_to_do() {
    let (from, to) = (TestRegistry::start().await, TestRegistry::start().await);
    let cli = Cli::logged_in(&from);
    let line = format!("copy --all {} {} --output json", from.addr(), to.addr());
    let mut pushed = Vec::new();
    for (seed, name) in [(1, "team/app"), (2, "team/web"), (3, "x")] {
        let (tree, source) = (index(seed, seed == 3), repository(&from, name));
        source.push_tagged(&tree, "v1").await;
        let signed = signature(seed + 10, &tree.manifests[0]);
        source.push(&signed).await;
        pushed.extend([(name, tree), (name, signed)]);
    }
    cli.run(&line).expect_code(4);
    cli.log_in(&to);
    let copied = cli.run(&line).expect_code(0).json();
    assert_eq!((&copied["repositories"], &copied["tagsCopied"], &copied["failed"]), (&json!(3), &json!(3), &json!(0)));
    for (name, tree) in &pushed {
        assert_has(&repository(&to, name), tree).await;
    }
    let again = cli.run(&line).expect_code(0).json();
    assert_eq!(
        (&again["tagsCopied"], &again["manifestsCopied"], &again["blobsSent"]),
        (&json!(0), &json!(0), &json!(0))
    );
    let late = ImageBuilder::new(&mut Seed::new(50)).build();
    repository(&from, "x").push_tagged(&late, "v1").await;
    let moved = cli.run(&line).expect_code(0).json();
    assert_eq!((&moved["tagsCopied"], &moved["manifestsCopied"]), (&json!(1), &json!(1)));
    repository(&to, "x").get_manifest("v1").await.expect_body(&late.root().bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_many_goes_past_what_fails_and_says_so() {
    let (from, to) = (TestRegistry::start().await, TestRegistry::start().await);
    let cli = Cli::logged_in(&from);
    cli.log_in(&to);
    let good = ImageBuilder::new(&mut Seed::new(1)).build();
    repository(&from, "app").push_tagged(&good, "good").await;
    let bad = ImageBuilder::new(&mut Seed::new(2)).layer(OCI_LAYER_GZIP, "lost").build();
    repository(&from, "app").push_tagged(&bad, "bad").await;
    let blob = bad.blobs.last().expect("a layer").digest;
    remove_blob(&from.data_dir(), &blob.hex());
    let (source, target) = (from.addr(), to.addr());
    let ran = cli.run(&format!("copy --all-tags {source}/app {target}/app --output json")).expect_code(1);
    assert_eq!((&ran.json()["failed"], &ran.json()["tagsCopied"]), (&json!(1), &json!(1)));
    assert!(ran.stderr.contains("app:bad") && ran.stderr.contains("run the same command again"), "{}", ran.stderr);
    repository(&to, "app").get_manifest("good").await.expect_body(&good.root().bytes);
    repository(&to, "app").get_manifest("bad").await.expect_status(404);
}

/// Takes a blob's bytes away behind the registry's back.
fn remove_blob(folder: &std::path::Path, hex: &str) {
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains(hex) {
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }.expect("removed");
        } else if path.is_dir() {
            remove_blob(&path, hex);
        }
    }
}
