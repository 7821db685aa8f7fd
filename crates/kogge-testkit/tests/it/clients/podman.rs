//! podman: builds, pushes, pulls by tag and digest, searches and removes.

use std::fs;

use serde_json::Value;

use super::image::{big_layer_size, content};
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::Sandbox;

over_both_schemes!(an_image_goes_there_and_back_again, lists_and_searches_show_what_is_there);

fn log_in(sandbox: &Sandbox) {
    let (flags, host) = (sandbox.container_flags(), &sandbox.kogge.host);
    sandbox.run(&format!("podman login {flags} -u admin -p {PASSWORD} {host}"));
}

fn build(sandbox: &Sandbox, image: &str, seed: u64, size: usize) {
    sandbox.write("build/data", content(seed, size));
    sandbox.write("build/Containerfile", "FROM scratch\nCOPY data /data\nLABEL made=by-podman\n");
    sandbox.run(&format!("podman build --isolation chroot -t {image} {}", sandbox.path("build").display()));
}

fn an_image_goes_there_and_back_again(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let image = sandbox.image("team/podman:v1");
    build(sandbox, &image, 40, big_layer_size());
    let id = sandbox.run(&format!("podman image inspect --format {{{{.Id}}}} {image}"));
    let digest_file = sandbox.path("digest");
    sandbox.run(&format!("podman push {flags} --digestfile {} {image}", digest_file.display()));
    let digest = fs::read_to_string(&digest_file).expect("podman wrote the digest");
    let by_digest = sandbox.image(&format!("team/podman@{digest}"));
    for name in [&image, &by_digest] {
        sandbox.run("podman rmi --all --force");
        sandbox.run(&format!("podman pull {flags} {name}"));
        assert_eq!(sandbox.run(&format!("podman image inspect --format {{{{.Id}}}} {name}")), id, "{name}");
        let mounted = sandbox.run(&format!("podman image mount {name}"));
        let file = fs::read(format!("{}/data", mounted.trim())).expect("the image holds its file");
        assert!(file == content(40, big_layer_size()), "{name}: the file changed on its way");
        sandbox.run(&format!("podman image unmount {name}"));
    }
    sandbox.run(&format!("podman logout {}", sandbox.kogge.host));
    sandbox.run_refused(&format!("podman push {flags} {by_digest} docker://{image}"));
}

fn lists_and_searches_show_what_is_there(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags = sandbox.container_flags();
    let first = sandbox.image("team/list:v1");
    build(sandbox, &first, 41, 10_000);
    sandbox.run(&format!("podman push {flags} {first}"));
    let second = sandbox.image("team/list:v2");
    sandbox.run(&format!("podman tag {first} {second}"));
    sandbox.run(&format!("podman push {flags} --compression-format zstd {second}"));
    // This command has no flag for a CA: the one in the environment counts.
    let search = if sandbox.is_tls() { "" } else { "--tls-verify=false" };
    let tags = sandbox.run(&format!("podman search {search} --list-tags --format json {}", sandbox.image("team/list")));
    let tags: Value = serde_json::from_str(&tags).expect("podman prints JSON");
    assert_eq!(tags[0]["Tags"], serde_json::json!(["v1", "v2"]));
    sandbox.run("podman manifest create both");
    sandbox.run(&format!("podman manifest add {flags} --arch amd64 both docker://{first}"));
    let list = sandbox.image("team/list:both");
    sandbox.run(&format!("podman manifest push {flags} --all both docker://{list}"));
    let raw = sandbox.run(&format!("skopeo inspect --raw {flags} docker://{list}"));
    let index: Value = serde_json::from_str(&raw).expect("an index is JSON");
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
}
