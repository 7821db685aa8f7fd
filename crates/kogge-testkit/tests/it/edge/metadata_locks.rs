//! Locks by ACR's metadata API: who sets them, what a request may say, and what they keep from happening.

use http::Method;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::{Client, Reply};
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use serde_json::{Value, json};

use super::metadata::{NAME, image, path, start};
use super::user;

async fn patch(client: &Client, rest: impl std::fmt::Display, body: Value) -> Reply {
    let request = client.patch(path(rest)).header("content-type", "application/json");
    request.body(body.to_string()).send().await
}

/// ACR's answer to what a lock forbids.
fn expect_disallowed(reply: Reply, what: &str) {
    assert_eq!(reply.status, 405, "{what}: {}", reply.text());
    if !reply.body.is_empty() {
        let error = &reply.json()["errors"][0];
        assert_eq!(error["code"], "REGISTRY_DISALLOWED_OPERATION", "{what}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with("The operation is disallowed on this registry, repository or image."), "{message}");
    }
}

#[tokio::test]
async fn a_patch_answers_with_what_holds_now() {
    let (_registry, client, repository) = start().await;
    let image = image(1);
    repository.push_tagged(&image, "v1").await;
    let manifest = format!("/_manifests/{}", image.root().digest);
    for (rest, kind) in [("", None), ("/_tags/v1", Some("tag")), (manifest.as_str(), Some("manifest"))] {
        for (body, [delete, write, read, list]) in [
            (json!({"writeEnabled": false}), [true, false, true, true]),
            (json!({"deleteEnabled": false, "writeEnabled": true}), [false, true, true, true]),
            (json!({}), [false, true, true, true]),
            (json!({"readEnabled": false, "listEnabled": false, "deleteEnabled": null}), [false, true, false, false]),
            (json!({"deleteEnabled": true, "writeEnabled": true, "readEnabled": true, "listEnabled": true}), [true; 4]),
        ] {
            let patched = patch(&client, rest, body.clone()).await.expect_status(200).json();
            let found = kind.map_or(&patched, |kind| &patched[kind]);
            let expected =
                json!({"deleteEnabled": delete, "writeEnabled": write, "readEnabled": read, "listEnabled": list});
            assert_eq!(found["changeableAttributes"], expected, "{rest} {body}");
            let read = client.get(path(rest)).send().await.expect_status(200).json();
            assert_eq!(patched, read, "the answer is what a GET says");
        }
    }
}

#[tokio::test]
async fn a_patch_that_says_anything_else_is_refused_and_changes_nothing() {
    let (_registry, client, repository) = start().await;
    let image = image(1);
    repository.push_tagged(&image, "v1").await;
    let manifest = format!("/_manifests/{}", image.root().digest);
    for rest in ["", "/_tags/v1", manifest.as_str()] {
        let before = client.get(path(rest)).send().await.json();
        for body in [
            "",
            "[]",
            "[false]",
            "true",
            "{",
            r#"{"writeEnabled":"false"}"#,
            r#"{"writeEnabled":0}"#,
            r#"{"writeEnabled":false,"imageName":"x"}"#,
            r#"{"quarantineState":"Passed"}"#,
            r#"{"changeableAttributes":{"writeEnabled":false}}"#,
        ] {
            let reply = client.patch(path(rest)).body(body).send().await.expect_error(400, "UNSUPPORTED");
            assert!(reply.text().contains("writeEnabled"), "{}", reply.text());
        }
        let large = format!(r#"{{"writeEnabled":false{}}}"#, " ".repeat(64 * 1024));
        client.patch(path(rest)).body(large).send().await.expect_error(413, "SIZE_INVALID");
        assert_eq!(client.get(path(rest)).send().await.json(), before);
    }
}

#[tokio::test]
async fn a_repository_lock_holds_for_all_that_is_in_it() {
    let (_registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    let source = Repository::new(&client, "source");
    source.push_tagged(&two, "v1").await;
    repository.push_tagged(&one, "v1").await;
    let digest = one.root().digest;
    patch(&client, "", json!({"writeEnabled": false})).await.expect_status(200);
    let mount = repository.path(format_args!("blobs/uploads/?mount={}&from=source", two.blobs[0].digest));
    for (what, method, at) in [
        ("upload", Method::POST, repository.path("blobs/uploads/")),
        ("mount", Method::POST, mount),
        ("untag", Method::DELETE, path("/_tags/v1")),
        ("delete a tag", Method::DELETE, repository.manifest_path("v1")),
        ("delete a manifest", Method::DELETE, repository.manifest_path(digest)),
        ("delete the repository", Method::DELETE, path("")),
    ] {
        expect_disallowed(client.request(method, at).send().await, what);
    }
    expect_disallowed(repository.put_manifest("v2", one.root()).await, "push");
    repository.get_manifest("v1").await.expect_status(200);
    patch(&client, "", json!({"writeEnabled": true, "readEnabled": false})).await.expect_status(200);
    expect_disallowed(repository.get_manifest("v1").await, "pull by tag");
    expect_disallowed(repository.head_manifest(digest).await, "look by digest");
    expect_disallowed(repository.get_blob(&one.blobs[0].digest).await, "pull a blob");
    client.get(path("/_tags")).send().await.expect_status(200);
    // What may not be read may not be mounted elsewhere either.
    let mount = source.path(format_args!("blobs/uploads/?mount={}&from={NAME}", one.blobs[1].digest));
    expect_disallowed(client.post(mount).send().await, "mount from it");
    patch(&client, "", json!({"readEnabled": true})).await.expect_status(200);
    repository.get_manifest("v1").await.expect_status(200);
}

#[tokio::test]
async fn tag_and_manifest_locks_are_apart() {
    let (_registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    repository.push_tagged(&one, "v1").await;
    repository.push_tagged(&two, "v2").await;
    let manifest = format!("/_manifests/{}", one.root().digest);
    patch(&client, "/_tags/v1", json!({"writeEnabled": false})).await.expect_status(200);
    expect_disallowed(repository.put_manifest("v1", two.root()).await, "move the tag");
    expect_disallowed(client.delete(path("/_tags/v1")).send().await, "untag");
    expect_disallowed(repository.delete_manifest(one.root().digest).await, "delete what a locked tag names");
    expect_disallowed(client.delete(path("")).send().await, "delete the repository of a locked tag");
    repository.put_manifest("v2", one.root()).await.expect_status(201);
    patch(&client, "/_tags/v1", json!({"writeEnabled": true})).await.expect_status(200);
    patch(&client, &manifest, json!({"deleteEnabled": false})).await.expect_status(200);
    client.delete(path("/_tags/v1")).send().await.expect_status(202);
    expect_disallowed(repository.delete_manifest(one.root().digest).await, "delete a locked manifest");
    expect_disallowed(client.delete(path("")).send().await, "delete the repository of a locked manifest");
    repository.head_manifest(two.root().digest).await.expect_status(200);
    patch(&client, &manifest, json!({"deleteEnabled": true})).await.expect_status(200);
    client.delete(path("")).send().await.expect_status(202);
}

#[tokio::test]
async fn a_locked_referrer_keeps_its_subject() {
    let (_registry, client, repository) = start().await;
    let subject = image(1);
    let signature = ImageBuilder::new(&mut Seed::new(2)).subject(subject.root()).build();
    repository.push_tagged(&subject, "v1").await;
    repository.push(&signature).await;
    let locked = format!("/_manifests/{}", signature.root().digest);
    patch(&client, &locked, json!({"writeEnabled": false})).await.expect_status(200);
    expect_disallowed(repository.delete_manifest(subject.root().digest).await, "delete the subject");
    repository.head_manifest("v1").await.expect_status(200);
    patch(&client, &locked, json!({"writeEnabled": true})).await.expect_status(200);
    repository.delete_manifest(subject.root().digest).await.expect_status(202);
    repository.head_manifest(signature.root().digest).await.expect_status(404);
}

#[tokio::test]
async fn what_is_hidden_is_in_no_listing() {
    let (_registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    repository.push_tagged(&one, "v1").await;
    repository.push_tagged(&two, "v2").await;
    let signature = ImageBuilder::new(&mut Seed::new(3)).subject(two.root()).build();
    repository.push(&signature).await;
    let hide = json!({"listEnabled": false});
    let listings = async || {
        let list = async |at: String| client.get(at).send().await.expect_status(200).json();
        let count = |list: &Value| list.as_array().map(Vec::len);
        let tags = list(repository.path("tags/list")).await;
        assert_eq!(count(&tags["tags"]), count(&list(path("/_tags")).await["tags"]));
        let referrers = repository.referrers(two.root().digest, "").await.json();
        let manifests = list(path("/_manifests")).await;
        let catalog = list("/v2/_catalog".to_owned()).await;
        assert_eq!(catalog, list("/acr/v1/_catalog".to_owned()).await);
        [&tags["tags"], &manifests["manifests"], &referrers["manifests"], &catalog["repositories"]]
            .map(|list| count(list).expect("a list"))
    };
    assert_eq!(listings().await, [2, 3, 1, 1]);
    patch(&client, "/_tags/v1", hide.clone()).await.expect_status(200);
    assert_eq!(listings().await, [1, 3, 1, 1]);
    patch(&client, format_args!("/_manifests/{}", one.root().digest), hide.clone()).await.expect_status(200);
    assert_eq!(listings().await, [1, 2, 1, 1]);
    patch(&client, format_args!("/_manifests/{}", signature.root().digest), hide.clone()).await.expect_status(200);
    assert_eq!(listings().await, [1, 1, 0, 1]);
    patch(&client, "", hide).await.expect_status(200);
    assert_eq!(listings().await, [0, 0, 0, 0]);
    repository.get_manifest("v1").await.expect_status(200);
    client.get(path("/_tags/v1")).send().await.expect_status(200);
    client.get(path(format_args!("/_manifests/{}", one.root().digest))).send().await.expect_status(200);
}

#[tokio::test]
async fn locks_are_set_by_who_may_write_metadata() {
    let (registry, client, repository) = start().await;
    repository.push_tagged(&image(1), "v1").await;
    let absent = Digest::sha256(b"absent");
    for role in ["AcrPull", "AcrPush", "AcrDelete"] {
        let user = user(&registry, &role.to_lowercase(), role, "*").await;
        for rest in [String::new(), "/_tags/v1".to_owned(), format!("/_manifests/{absent}")] {
            patch(&user, rest, json!({"writeEnabled": false})).await.expect_error(401, "UNAUTHORIZED");
        }
    }
    patch(&client, "", json!({"writeEnabled": false})).await.expect_status(200);
}
