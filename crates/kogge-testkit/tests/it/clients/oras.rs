//! oras: artifacts, what is attached to them, and copies of the whole graph.

use std::fs;

use serde_json::Value;

use super::image::{big_layer_size, content};
use super::kogge::PASSWORD;
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(an_artifact_with_attachments_is_copied_as_a_graph, blobs_and_manifests_are_handled_one_by_one);

/// Flags by which oras reaches the registry; `side` is empty, `from-` or `to-`.
fn flags(sandbox: &Sandbox, side: &str) -> String {
    let settings = sandbox.path("oras.json");
    let reach = match sandbox.is_tls() {
        true => format!("--{side}ca-file {}", sandbox.kogge.ca().display()),
        false => format!("--{side}plain-http"),
    };
    format!("{reach} --{side}registry-config {}", settings.display())
}

fn log_in(sandbox: &Sandbox) {
    let flags = flags(sandbox, "");
    sandbox.run(&format!("oras login {flags} -u admin -p {PASSWORD} {}", sandbox.kogge.host));
}

/// The referrers that oras discovers, as (artifact type, digest).
fn discover(sandbox: &Sandbox, image: &str, options: &str) -> Vec<(String, String)> {
    let flags = flags(sandbox, "");
    let text = sandbox.run(&format!(
        "oras discover {flags} --distribution-spec v1.1-referrers-api --depth 1 --format json {options} {image}"
    ));
    let found: Value = serde_json::from_str(&text).expect("oras prints JSON");
    let referrers = found["referrers"].as_array().cloned().unwrap_or_default();
    let field = |referrer: &Value, name: &str| referrer[name].as_str().unwrap_or_default().to_owned();
    referrers.iter().map(|referrer| (field(referrer, "artifactType"), field(referrer, "digest"))).collect()
}

fn an_artifact_with_attachments_is_copied_as_a_graph(sandbox: &Sandbox) {
    log_in(sandbox);
    let flags_ = flags(sandbox, "");
    let image = sandbox.image("art/model:v1");
    sandbox.write("model.bin", content(50, big_layer_size()));
    sandbox.write("readme.md", "# A model\n");
    sandbox.run(&format!(
        "oras push {flags_} --artifact-type application/vnd.example.model {image} \
         model.bin:application/octet-stream readme.md:text/markdown"
    ));
    let types = ["application/vnd.example.sbom", "application/vnd.example.scan"];
    for artifact_type in types {
        sandbox.write("note.json", format!("{{\"about\":\"{artifact_type}\"}}"));
        sandbox.run(&format!(
            "oras attach {flags_} --distribution-spec v1.1-referrers-api --artifact-type {artifact_type} {image} \
             note.json:application/json"
        ));
    }
    let mut found: Vec<String> = discover(sandbox, &image, "").into_iter().map(|(kind, _)| kind).collect();
    found.sort();
    assert_eq!(found, types);
    let scans = discover(sandbox, &image, &format!("--artifact-type {}", types[1]));
    assert_eq!(scans.len(), 1);
    assert_eq!(scans[0].0, types[1]);

    // A recursive copy takes the attachments along; the files come back as they were.
    let copy = sandbox.image("art/copy:v1");
    let (from, to) = (flags(sandbox, "from-"), flags(sandbox, "to-"));
    sandbox.run(&format!("oras cp -r {from} {to} {image} {copy}"));
    assert_eq!(discover(sandbox, &copy, "").len(), 2);
    sandbox.run(&format!("oras pull {flags_} -o back {copy}"));
    assert!(fs::read(sandbox.path("back/model.bin")).expect("the pull wrote it") == content(50, big_layer_size()));
    let attached = sandbox.image(&format!("art/copy@{}", scans[0].1));
    sandbox.run(&format!("oras pull {flags_} -o scan {attached}"));
    let note = fs::read_to_string(sandbox.path("scan/note.json")).expect("the pull wrote it");
    assert!(note.contains(types[1]), "{note}");
}

fn blobs_and_manifests_are_handled_one_by_one(sandbox: &Sandbox) {
    let flags_ = flags(sandbox, "");
    let repository = sandbox.image("art/parts");
    sandbox.write("part", content(51, 100_000));
    sandbox.run_refused(&format!("oras blob push {flags_} {repository} part"));
    log_in(sandbox);
    let blob = digest_in(&sandbox.run(&format!("oras blob push {flags_} --descriptor {repository} part")));
    sandbox.run(&format!("oras blob fetch {flags_} --output fetched {repository}@{blob}"));
    assert!(fs::read(sandbox.path("fetched")).expect("the fetch wrote it") == content(51, 100_000));
    sandbox.write("one", "one");
    sandbox.run(&format!("oras push {flags_} {repository}:one,two,three one:text/plain"));
    sandbox.run(&format!("oras tag {flags_} {repository}:one four"));
    let tags = sandbox.run(&format!("oras repo tags {flags_} {repository}"));
    assert_eq!(tags.lines().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
    assert_eq!(sandbox.run(&format!("oras repo ls {flags_} {}", sandbox.kogge.host)).trim(), "art/parts");
    let digest = sandbox.run(&format!("oras resolve {flags_} {repository}:four"));
    let fetched = sandbox.run(&format!("oras manifest fetch {flags_} {repository}@{}", digest.trim()));
    assert!(fetched.contains("text/plain"), "{fetched}");
    sandbox.run(&format!("oras blob delete {flags_} --force {repository}@{blob}"));
    sandbox.run_refused(&format!("oras blob fetch {flags_} --output again {repository}@{blob}"));
    sandbox.run(&format!("oras manifest delete {flags_} --force {repository}@{}", digest.trim()));
    sandbox.run_refused(&format!("oras manifest fetch {flags_} {repository}:one"));
    sandbox.run(&format!(
        "oras logout --registry-config {} {}",
        sandbox.path("oras.json").display(),
        sandbox.kogge.host
    ));
    sandbox.run_refused(&format!("oras repo tags {flags_} {repository}"));
}
