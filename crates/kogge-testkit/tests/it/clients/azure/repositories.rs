//! Repositories and manifests, as the CLI shows, locks and deletes them.

use super::{Azure, REGISTRY, fields, image};

/// A registry with `team/app:v1`, `team/app:v2` and `other:v1`; returns it with the digests of the first two.
fn with_content() -> (Azure, [String; 2]) {
    let azure = Azure::start_with_registry();
    azure.log_in_oras();
    let digests = ["v1", "v2"].map(|tag| azure.push(&format!("team/app:{tag}"), tag));
    azure.push("other:v1", "other");
    (azure, digests)
}

#[test]
fn repositories_are_listed_locked_and_deleted() {
    let (azure, digests) = with_content();
    let az = |verb: &str, options: &str| azure.az(&format!("acr repository {verb} -n {REGISTRY} {options}"));
    let refused =
        |verb: &str, options: &str| azure.az_refused(&format!("acr repository {verb} -n {REGISTRY} {options}"));
    assert_eq!(az("list", ""), serde_json::json!(["other", "team/app"]));
    assert_eq!(az("list", "--top 1"), serde_json::json!(["other"]));
    let shown = az("show", "--repository team/app");
    assert_eq!((&shown["imageName"], &shown["tagCount"]), (&"team/app".into(), &2.into()));
    assert_eq!(az("show", "--image team/app:v1")["digest"], digests[0].as_str());
    assert_eq!(az("show", &format!("--image team/app@{}", digests[1]))["tags"], serde_json::json!(["v2"]));
    assert_eq!(az("show-tags", "--repository team/app"), serde_json::json!(["v1", "v2"]));
    let newest = az("show-tags", "--repository team/app --detail --orderby time_desc --top 1");
    assert_eq!((&newest[0]["name"], &newest[0]["digest"]), (&"v2".into(), &digests[1].as_str().into()));

    let locked = az("update", "--image team/app:v1 --write-enabled false");
    assert_eq!(locked["changeableAttributes"]["writeEnabled"], false);
    refused("delete", "--image team/app:v1 -y");
    refused("untag", "--image team/app:v1");
    az("update", "--image team/app:v1 --write-enabled true");
    az("update", "--repository team/app --delete-enabled false");
    refused("delete", "--repository team/app -y");
    az("update", "--repository team/app --delete-enabled true");

    az("untag", "--image team/app:v1");
    assert_eq!(az("show-tags", "--repository team/app"), serde_json::json!(["v2"]));
    az("show", &format!("--image team/app@{}", digests[0]));
    az("delete", "--image team/app:v2 -y");
    refused("show", &format!("--image team/app@{}", digests[1]));
    let deleted = az("delete", "--repository team/app -y");
    assert_eq!(deleted["manifestsDeleted"], serde_json::json!([digests[0]]));
    refused("show", "--repository team/app");
    assert_eq!(az("list", ""), serde_json::json!(["other"]));
}

#[test]
fn manifests_are_listed_locked_and_deleted() {
    let (azure, digests) = with_content();
    let az = |verb: &str, options: &str| azure.az(&format!("acr manifest {verb} -r {REGISTRY} {options}"));
    azure.sandbox.write("note.json", "{}");
    azure.sandbox.run(&format!(
        "oras attach --distribution-spec v1.1-referrers-api --artifact-type application/vnd.example.note {} \
         note.json:application/json",
        image("team/app:v1")
    ));
    let referrers = az("list-referrers", "-n team/app:v1");
    assert_eq!(fields(&referrers["manifests"], "artifactType"), ["application/vnd.example.note"]);
    assert_eq!(az("list", "-n team/app").as_array().map(Vec::len), Some(3));
    let listed = az("list-metadata", "-n team/app --orderby time_asc");
    assert_eq!((&listed[0]["digest"], &listed[0]["tags"][0]), (&digests[0].as_str().into(), &"v1".into()));
    assert_eq!(az("show", "-n team/app:v1")["schemaVersion"], 2);
    assert_eq!(az("show-metadata", "-n team/app:v2")["digest"], digests[1].as_str());
    let by_digest = format!("-n team/app@{}", digests[1]);
    assert_eq!(az("show-metadata", &by_digest)["tags"], serde_json::json!(["v2"]));

    let locked = az("update-metadata", &format!("{by_digest} --delete-enabled false --list-enabled false"));
    assert_eq!(locked["changeableAttributes"]["deleteEnabled"], false);
    azure.az_refused(&format!("acr manifest delete -r {REGISTRY} {by_digest} -y"));
    az("update-metadata", &format!("{by_digest} --delete-enabled true --list-enabled true"));
    az("delete", &format!("{by_digest} -y"));
    azure.az_refused(&format!("acr manifest show -r {REGISTRY} {by_digest}"));
    az("delete", "-n team/app:v1 -y");
    // The note was attached to the manifest, so it went with it, and with the last manifest the repository.
    assert_eq!(azure.az(&format!("acr repository list -n {REGISTRY}")), serde_json::json!(["other"]));
}
