//! crane: pushes layouts, validates, copies, tags, lists, appends and deletes.

use std::fs;

use super::image::Layout;
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(a_layout_is_pushed_validated_copied_and_pulled, tags_and_manifests_are_listed_and_deleted);

fn log_in(sandbox: &Sandbox) {
    sandbox.run(&format!("crane auth login {} -u admin -p {PASSWORD}", sandbox.kogge.host));
}

fn a_layout_is_pushed_validated_copied_and_pulled(sandbox: &Sandbox) {
    log_in(sandbox);
    let layout = Layout::write(sandbox, "layout");
    let image = sandbox.image("crane/app:v1");
    let pushed = sandbox.run(&format!("crane push --index {} {image}", layout.flat.display()));
    assert_eq!(digest_in(&pushed), layout.index.digest.to_string());
    sandbox.run(&format!("crane validate --remote {image}"));
    assert_eq!(sandbox.run(&format!("crane manifest {image}")).trim_end().as_bytes(), &layout.index.bytes);
    assert_eq!(
        sandbox.run(&format!("crane digest --platform linux/arm64 {image}")).trim(),
        layout.images[1].digest.to_string()
    );

    // The copy mounts the blobs; the pull by digest brings them back.
    let copy = sandbox.image("crane/copy:v1");
    sandbox.run(&format!("crane copy {image} {copy}"));
    let by_digest = sandbox.image(&format!("crane/copy@{}", layout.index.digest));
    let back = sandbox.path("back");
    sandbox.run(&format!("crane pull --format oci {by_digest} {}", back.display()));
    for item in layout.images.iter().chain([&layout.index]) {
        let digest = item.digest.to_string();
        let hex = digest.strip_prefix("sha256:").expect("layouts are sha256");
        assert!(fs::read(back.join("blobs/sha256").join(hex)).expect("the copy has it") == item.bytes, "{digest}");
    }
    sandbox.run(&format!("crane validate --remote {copy}"));
}

fn tags_and_manifests_are_listed_and_deleted(sandbox: &Sandbox) {
    let layout = Layout::write(sandbox, "layout");
    let image = sandbox.image("crane/tags:v1");
    sandbox.run_refused(&format!("crane push --index {} {image}", layout.flat.display()));
    log_in(sandbox);
    sandbox.run(&format!("crane push --index {} {image}", layout.flat.display()));
    sandbox.run(&format!("crane tag {image} v2"));
    sandbox.run(&format!("crane tag {image} latest"));
    let repository = sandbox.image("crane/tags");
    let tags = |expected: &[&str]| {
        let listed = sandbox.run(&format!("crane ls {repository}"));
        assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    };
    tags(&["latest", "v1", "v2"]);
    assert_eq!(sandbox.run(&format!("crane catalog {}", sandbox.kogge.host)).trim(), "crane/tags");

    // A changed image gets a new manifest on the old layers.
    sandbox.run(&format!("crane mutate --platform linux/amd64 --label changed=yes -t {repository}:changed {image}"));
    let config = sandbox.run(&format!("crane config {repository}:changed"));
    assert!(config.contains("\"changed\":\"yes\""), "{config}");
    let changed = sandbox.run(&format!("crane digest {repository}:changed"));
    sandbox.run(&format!("crane delete {repository}@{}", changed.trim()));
    tags(&["latest", "v1", "v2"]);
    // By tag only the tag goes; by digest the manifest and all its tags.
    sandbox.run(&format!("crane delete {repository}:v2"));
    tags(&["latest", "v1"]);
    sandbox.run(&format!("crane delete {repository}@{}", layout.index.digest));
    sandbox.run_refused(&format!("crane manifest {image}"));
}
