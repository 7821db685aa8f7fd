//! skopeo: copies between layouts and repositories, converts, lists, syncs and deletes.

use std::fs;

use serde_json::{Value, json};

use super::image::Layout;
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::Sandbox;

over_both_schemes!(
    a_multi_architecture_image_is_copied_unchanged,
    layers_are_recompressed_with_zstd,
    an_oci_image_is_converted_to_dockers_format,
    deletes_are_seen_at_once,
);

fn log_in(sandbox: &Sandbox) {
    let (flags, host) = (sandbox.container_flags(), &sandbox.kogge.host);
    sandbox.run(&format!("skopeo login {flags} -u admin -p {PASSWORD} {host}"));
}

/// Flags of one side (`src` or `dest`) of a copy.
fn side(sandbox: &Sandbox, side: &str) -> String {
    let certs = sandbox.path("certs");
    if sandbox.is_tls() {
        format!("--{side}-cert-dir {}", certs.display())
    } else {
        format!("--{side}-tls-verify=false")
    }
}

/// Pushes the layout as it is; returns the image's name.
fn push(sandbox: &Sandbox, layout: &Layout, name: &str) -> String {
    let image = sandbox.image(name);
    let to = side(sandbox, "dest");
    sandbox.run(&format!("skopeo copy --all --preserve-digests {to} oci:{layout}:v1 docker://{image}"));
    image
}

fn tags(sandbox: &Sandbox, repository: &str) -> Value {
    let flags = sandbox.container_flags();
    let text = sandbox.run(&format!("skopeo list-tags {flags} docker://{}", sandbox.image(repository)));
    let listed: Value = serde_json::from_str(&text).expect("skopeo prints JSON");
    listed["Tags"].clone()
}

fn a_multi_architecture_image_is_copied_unchanged(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let layout = Layout::write(sandbox, "layout");
    let first = push(sandbox, &layout, "a/deep/path/of/names:v1");
    let raw = sandbox.run(&format!("skopeo inspect --raw {flags} docker://{first}"));
    assert_eq!(raw.as_bytes(), &layout.index.bytes);

    // To a second repository: blobs are mounted. Then back to disk, by digest.
    let (from, to) = (side(sandbox, "src"), side(sandbox, "dest"));
    let second = sandbox.image("b:copy");
    sandbox.run(&format!("skopeo copy --all --preserve-digests {from} {to} docker://{first} docker://{second}"));
    let by_digest = sandbox.image(&format!("b@{}", layout.index.digest));
    let back = sandbox.path("back");
    sandbox.run(&format!("skopeo copy --all --preserve-digests {from} docker://{by_digest} oci:{}:v1", back.display()));
    let blobs = fs::read_dir(layout.folder.join("blobs/sha256")).expect("the layout has blobs");
    for blob in blobs {
        let blob = blob.expect("the folder can be read");
        let copied = fs::read(back.join("blobs/sha256").join(blob.file_name())).expect("the copy has the same blobs");
        assert!(copied == fs::read(blob.path()).expect("blobs can be read"), "{} changed", blob.path().display());
    }
    assert_eq!(tags(sandbox, "b"), json!(["copy"]));
}

fn layers_are_recompressed_with_zstd(sandbox: &Sandbox) {
    convert(sandbox, "--dest-compress-format zstd", "application/vnd.oci.image.layer.v1.tar+zstd");
}

fn an_oci_image_is_converted_to_dockers_format(sandbox: &Sandbox) {
    convert(sandbox, "--format v2s2", "application/vnd.docker.image.rootfs.diff.tar.gzip");
}

/// Pushes an image with `options` and expects layers of the media type; then pulls it.
fn convert(sandbox: &Sandbox, options: &str, layer: &str) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let layout = Layout::write(sandbox, "layout");
    let (from, to) = (side(sandbox, "src"), side(sandbox, "dest"));
    let image = sandbox.image("converted:v1");
    sandbox.run(&format!("skopeo copy {options} --dest-compress {to} oci:{layout}:v1 docker://{image}"));
    let raw = sandbox.run(&format!("skopeo inspect --raw {flags} docker://{image}"));
    let manifest: Value = serde_json::from_str(&raw).expect("a manifest is JSON");
    assert_eq!(manifest["layers"][0]["mediaType"], layer, "{raw}");
    sandbox.run(&format!("skopeo copy {from} docker://{image} dir:{}", sandbox.path("back").display()));
    let config = sandbox.run(&format!("skopeo inspect --config {flags} docker://{image}"));
    let config: Value = serde_json::from_str(&config).expect("a config is JSON");
    assert_eq!(config["config"]["Labels"]["seed"], "1");
}

fn deletes_are_seen_at_once(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let layout = Layout::write(sandbox, "layout");
    let first = push(sandbox, &layout, "gone:v1");
    let second = push(sandbox, &layout, "gone:v2");
    let mirror = sandbox.path("mirror");
    let from = side(sandbox, "src");
    sandbox.run(&format!(
        "skopeo sync --all {from} --src docker --dest dir {} {}",
        sandbox.image("gone"),
        mirror.display()
    ));
    assert_eq!(fs::read_dir(&mirror).expect("the mirror is a folder").count(), 2);
    // skopeo deletes by the digest that the tag names, so that both tags go.
    sandbox.run(&format!("skopeo delete {flags} docker://{first}"));
    sandbox.run_refused(&format!("skopeo inspect --raw {flags} docker://{first}"));
    sandbox.run_refused(&format!("skopeo inspect --raw {flags} docker://{second}"));
    sandbox.run(&format!("skopeo logout {}", sandbox.kogge.host));
    let other = sandbox.image("gone:v3");
    let to = side(sandbox, "dest");
    sandbox.run_refused(&format!("skopeo copy {to} oci:{layout}:v1 docker://{other}"));
}
