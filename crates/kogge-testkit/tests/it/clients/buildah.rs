//! buildah: builds images from nothing, in Docker's and OCI's format, with gzip and zstd layers, and lists of them.

use std::fs;

use serde_json::Value;

use super::image::{big_layer_size, content};
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(
    pushed_formats_come_back_as_they_were,
    a_list_of_two_architectures_is_pushed_and_inspected,
    who_is_not_logged_in_cannot_push,
);

/// Builds an image of one file of `size` bytes and of the architecture, kept under `name`.
fn build(sandbox: &Sandbox, name: &str, seed: u64, size: usize, architecture: &str, format: &str) {
    let file = sandbox.write(&format!("{name}.data"), content(seed, size));
    let container = sandbox.run(&format!("buildah from --arch {architecture} scratch"));
    let container = container.trim();
    sandbox.run(&format!("buildah copy {container} {} /data", file.display()));
    sandbox.run(&format!("buildah config --arch {architecture} --label seed={seed} {container}"));
    sandbox.run(&format!("buildah commit --format {format} --rm {container} {name}"));
}

fn log_in(sandbox: &Sandbox) {
    let (flags, host) = (sandbox.container_flags(), &sandbox.kogge.host);
    sandbox.run(&format!("buildah login {flags} -u admin -p {PASSWORD} {host}"));
}

fn pushed_formats_come_back_as_they_were(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let kinds = [
        ("oci", "oci", "gzip", "application/vnd.oci.image.manifest.v1+json"),
        ("docker", "docker", "gzip", "application/vnd.docker.distribution.manifest.v2+json"),
        ("small", "oci", "zstd", "application/vnd.oci.image.manifest.v1+json"),
    ];
    for (seed, (name, format, compression, media_type)) in (10..).zip(kinds) {
        let size = if name == "oci" { big_layer_size() } else { 100_000 };
        build(sandbox, name, seed, size, "amd64", format);
        let image = sandbox.image(&format!("team/built/{name}:v1"));
        let digest_file = sandbox.path("digest");
        let push = format!("buildah push {flags} --compression-format {compression}");
        sandbox.run(&format!("{push} --digestfile {} {name} docker://{image}", digest_file.display()));
        let digest = fs::read_to_string(&digest_file).expect("buildah wrote the digest");
        let manifest = sandbox.run(&format!("skopeo inspect --raw {flags} docker://{image}"));
        let manifest: Value = serde_json::from_str(&manifest).expect("a manifest is JSON");
        assert_eq!(manifest["mediaType"], media_type, "{name}");
        let layer = manifest["layers"][0]["mediaType"].as_str().unwrap_or_default().to_owned();
        assert!(layer.contains(compression), "{name}: {layer}");
        sandbox.run("buildah rmi --all --force");
        let by_digest = sandbox.image(&format!("team/built/{name}@{digest}"));
        sandbox.run(&format!("buildah pull {flags} docker://{image}"));
        sandbox.run(&format!("buildah pull {flags} docker://{by_digest}"));
        let container = sandbox.run(&format!("buildah from {by_digest}"));
        let mounted = sandbox.run(&format!("buildah mount {}", container.trim()));
        let file = fs::read(format!("{}/data", mounted.trim())).expect("the image holds its file");
        assert!(file == content(seed, size), "{name}: the file changed on its way");
        sandbox.run(&format!("buildah rm {}", container.trim()));
    }
}

fn a_list_of_two_architectures_is_pushed_and_inspected(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    sandbox.run("buildah manifest create both");
    for (seed, architecture) in [(20, "amd64"), (21, "arm64")] {
        build(sandbox, architecture, seed, 50_000, architecture, "oci");
        sandbox.run(&format!("buildah manifest add --arch {architecture} both localhost/{architecture}"));
    }
    let image = sandbox.image("team/both:v1");
    sandbox.run(&format!("buildah manifest push --all {flags} both docker://{image}"));
    let raw = sandbox.run(&format!("skopeo inspect --raw {flags} docker://{image}"));
    let index: Value = serde_json::from_str(&raw).expect("an index is JSON");
    let entries = index["manifests"].as_array().expect("an index has manifests");
    let architectures: Vec<_> = entries.iter().map(|entry| entry["platform"]["architecture"].clone()).collect();
    assert_eq!(architectures, ["amd64", "arm64"]);
    sandbox.run("buildah rmi --all --force");
    for architecture in ["amd64", "arm64"] {
        let id = sandbox.run(&format!("buildah pull -q {flags} --arch {architecture} docker://{image}"));
        let inspected = sandbox.run(&format!("buildah inspect --type image {}", id.trim()));
        let inspected: Value = serde_json::from_str(&inspected).expect("buildah prints JSON");
        assert_eq!(inspected["OCIv1"]["architecture"], architecture);
    }
}

fn who_is_not_logged_in_cannot_push(sandbox: &Sandbox) {
    let (flags, host) = (sandbox.container_flags(), &sandbox.kogge.host);
    build(sandbox, "mine", 30, 1000, "amd64", "oci");
    let image = sandbox.image("team/mine:v1");
    sandbox.run_refused(&format!("buildah push {flags} mine docker://{image}"));
    sandbox.run_refused(&format!("buildah login {flags} -u admin -p wrong {host}"));
    log_in(sandbox);
    sandbox.run(&format!("buildah push {flags} mine docker://{image}"));
    let digest = digest_in(&sandbox.run(&format!("skopeo inspect {flags} --format {{{{.Digest}}}} docker://{image}")));
    sandbox.run(&format!("buildah logout {host}"));
    sandbox.run("buildah rmi --all --force");
    let by_digest = sandbox.image(&format!("team/mine@{digest}"));
    sandbox.run_refused(&format!("buildah pull {flags} docker://{by_digest}"));
}
