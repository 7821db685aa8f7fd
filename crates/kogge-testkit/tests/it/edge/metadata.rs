//! ACR's metadata API: what it says of repositories, tags and manifests, in which order and pages, and who may delete.

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Seed, Tree};
use kogge_testkit::http::{Client, Reply, encode};
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use kogge_types::media_type::{DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use super::user;

pub(super) const NAME: &str = "team/app";

/// A registry, its administrator, and the repository [`NAME`].
pub(super) async fn start() -> (TestRegistry, Client, Repository) {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let repository = Repository::new(&client, NAME);
    (registry, client, repository)
}

pub(super) fn image(seed: u64) -> Tree {
    ImageBuilder::new(&mut Seed::new(seed)).build()
}

/// `/acr/v1/team/app<rest>`
pub(super) fn path(rest: impl std::fmt::Display) -> String {
    format!("/acr/v1/{NAME}{rest}")
}

async fn get(client: &Client, rest: impl std::fmt::Display) -> Value {
    client.get(path(rest)).send().await.expect_status(200).json()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("{object}")).keys().map(String::as_str).collect()
}

/// The values of one field of all items of a listing.
fn column(listing: &Value, items: &str, field: &str) -> Vec<String> {
    let items = listing[items].as_array().unwrap_or_else(|| panic!("{listing}"));
    items.iter().map(|item| item[field].as_str().expect("a text").to_owned()).collect()
}

/// The address of the next page, which must be of the form that ACR writes.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.header("link")?;
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.unwrap_or_else(|| panic!("{link}")).to_owned())
}

/// One field of all items of all pages.
async fn walk(client: &Client, query: &str, items: &str, field: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), Some(path(query)));
    while let Some(address) = at {
        let reply = client.get(address).send().await.expect_status(200);
        found.extend(column(&reply.json(), items, field));
        assert!(found.len() < 100, "{found:?}");
        at = next(&reply);
    }
    found
}

#[tokio::test]
async fn a_repository_and_its_tags_have_acrs_fields() {
    let (registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    repository.push_tagged(&one, "v1").await;
    repository.push_tagged(&two, "v2").await;
    repository.put_manifest("latest", two.root()).await.expect_status(201);
    let open = json!({"deleteEnabled": true, "writeEnabled": true, "readEnabled": true, "listEnabled": true});
    let host = registry.addr().to_string();
    let found = get(&client, "").await;
    assert_eq!(
        keys(&found),
        ["changeableAttributes", "createdTime", "imageName", "lastUpdateTime", "manifestCount", "registry", "tagCount"]
    );
    assert_eq!((&found["registry"], &found["imageName"]), (&json!(host), &json!(NAME)));
    assert_eq!((&found["manifestCount"], &found["tagCount"]), (&json!(2), &json!(3)));
    assert_eq!(found["changeableAttributes"], open);
    for field in ["createdTime", "lastUpdateTime"] {
        let time = found[field].as_str().expect("a time");
        assert!(time.starts_with("20") && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    }
    let listing = get(&client, "/_tags").await;
    assert_eq!(keys(&listing), ["imageName", "registry", "tags"]);
    assert_eq!(column(&listing, "tags", "name"), ["latest", "v1", "v2"]);
    let tag = get(&client, "/_tags/v2").await;
    assert_eq!(keys(&tag), ["imageName", "registry", "tag"]);
    assert_eq!(
        keys(&tag["tag"]),
        ["changeableAttributes", "createdTime", "digest", "lastUpdateTime", "name", "signed"]
    );
    assert_eq!((&tag["tag"]["name"], &tag["tag"]["signed"]), (&json!("v2"), &json!(false)));
    assert_eq!((&tag["tag"]["digest"], &tag["tag"]["changeableAttributes"]), (&json!(two.root().digest), &open));
    assert_eq!(listing["tags"][2], tag["tag"], "one tag is described as in the listing");
}

#[tokio::test]
async fn a_manifest_has_acrs_fields_as_far_as_they_apply() {
    let (_registry, client, repository) = start().await;
    let seed = &mut Seed::new(1);
    let docker = ImageBuilder::new(seed)
        .media_type(DOCKER_MANIFEST)
        .config(DOCKER_CONFIG, r#"{"architecture":"s390x","os":"linux"}"#)
        .build();
    let index = IndexBuilder::new().child(image(2), "amd64").child(image(3), "arm64").build();
    let artifact = ImageBuilder::new(seed).empty_config().artifact_type("application/x-sbom").build();
    for (tree, tag) in [(&docker, "docker"), (&index, "index"), (&artifact, "artifact")] {
        repository.push_tagged(tree, tag).await;
    }
    let describe = async |digest: Digest| {
        let found = get(&client, format_args!("/_manifests/{digest}")).await;
        assert_eq!(keys(&found), ["imageName", "manifest", "registry"]);
        found["manifest"].clone()
    };
    let common = ["changeableAttributes", "createdTime", "digest", "imageSize", "lastUpdateTime", "mediaType", "tags"];
    let with = |more: &[&'static str]| {
        let mut keys: Vec<_> = common.iter().chain(more).copied().collect();
        keys.sort_unstable();
        keys
    };
    let found = describe(docker.root().digest).await;
    assert_eq!(keys(&found), with(&["architecture", "artifactType", "configMediaType", "os"]));
    assert_eq!((&found["architecture"], &found["os"]), (&json!("s390x"), &json!("linux")));
    assert_eq!((&found["mediaType"], &found["configMediaType"]), (&json!(DOCKER_MANIFEST), &json!(DOCKER_CONFIG)));
    assert_eq!((&found["tags"], &found["digest"]), (&json!(["docker"]), &json!(docker.root().digest)));
    let size: usize = docker.blobs.iter().chain(&docker.manifests).map(|item| item.bytes.len()).sum();
    assert_eq!(found["imageSize"], json!(size));
    let found = describe(index.manifests[0].digest).await;
    assert_eq!((&found["architecture"], &found["tags"]), (&json!("amd64"), &json!([])));
    assert_eq!((&found["mediaType"], &found["configMediaType"]), (&json!(OCI_MANIFEST), &json!(OCI_CONFIG)));
    let found = describe(index.root().digest).await;
    assert_eq!(keys(&found), with(&["references"]));
    assert_eq!(found["mediaType"], json!(OCI_INDEX));
    let reference = |at: usize, architecture: &str| json!({"digest": index.manifests[at].digest, "architecture": architecture, "os": "linux"});
    assert_eq!(found["references"], json!([reference(0, "amd64"), reference(1, "arm64")]));
    let found = describe(artifact.root().digest).await;
    assert_eq!(keys(&found), with(&["artifactType", "configMediaType"]), "an artifact runs on nothing");
    assert_eq!(found["configMediaType"], json!(OCI_EMPTY));
    let listing = get(&client, "/_manifests").await;
    let listed = listing["manifests"].as_array().expect("a list");
    assert_eq!(listed.len(), 5);
    for manifest in listed {
        let digest = manifest["digest"].as_str().expect("a digest").parse().expect("a digest");
        assert_eq!(describe(digest).await, *manifest, "one manifest is described as in the listing");
    }
}

#[tokio::test]
async fn listings_come_by_name_and_by_time_in_pages_that_lead_on() {
    let (_registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    for tree in [&one, &two] {
        repository.push(tree).await;
    }
    let names = ["c", "a", "e", "b", "d"];
    for (number, name) in names.into_iter().enumerate() {
        let tree = if number % 2 == 0 { &one } else { &two };
        repository.put_manifest(name, tree.root()).await.expect_status(201);
    }
    let sorted = ["a", "b", "c", "d", "e"];
    let newest: Vec<_> = names.into_iter().rev().collect();
    for (query, expected) in [
        ("", &sorted[..]),
        ("orderby=", &sorted),
        ("orderby=none", &sorted),
        ("orderby=timeasc", &names),
        ("orderby=timedesc", &newest),
        (&format!("orderby=timedesc&digest={}", encode(&one.root().digest.to_string())), &["d", "e", "c"]),
        (&format!("digest={}", two.root().digest), &["a", "b"]),
        (&format!("digest={}", Digest::sha256(b"absent")), &[]),
    ] {
        for n in [1, 2, 3, 100] {
            let found = walk(&client, &format!("/_tags?n={n}&{query}"), "tags", "name").await;
            assert_eq!(found, expected, "{query} in pages of {n}");
        }
    }
    let (mut by_digest, by_time) = (
        [one.root().digest, two.root().digest].map(|d| d.to_string()),
        [&two, &one].map(|t| t.root().digest.to_string()),
    );
    by_digest.sort_unstable();
    for (order, expected) in [("none", &by_digest), ("timeasc", &by_time)] {
        for n in [1, 2] {
            let found = walk(&client, &format!("/_manifests?n={n}&orderby={order}"), "manifests", "digest").await;
            assert_eq!(found, expected, "{order} in pages of {n}");
        }
    }
    for listing in ["_tags", "_manifests"] {
        client.get(path(format_args!("/{listing}?orderby=sideways"))).send().await.expect_error(400, "UNSUPPORTED");
        let last = if listing == "_tags" { "never".to_owned() } else { Digest::sha256(b"never").to_string() };
        let lost = client.get(path(format_args!("/{listing}?orderby=timedesc&last={last}"))).send().await;
        lost.expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
    client.get(path("/_tags?digest=sha256:short")).send().await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_link_repeats_what_was_asked_as_acr_writes_it() {
    let (_registry, client, repository) = start().await;
    let image = image(1);
    repository.push_tagged(&image, "v1").await;
    repository.put_manifest("v2", image.root()).await.expect_status(201);
    Repository::new(&client, "zoo").push_tagged(&image, "v1").await;
    let digest = encode(&image.root().digest.to_string());
    for (asked, expected) in [
        ("/acr/v1/_catalog?n=1".to_owned(), "/acr/v1/_catalog?last=team%2Fapp&n=1&orderby=".to_owned()),
        (path("/_tags?n=1"), path("/_tags?last=v1&n=1&orderby=")),
        (path("/_tags?n=1&orderby=timedesc"), path("/_tags?last=v2&n=1&orderby=timedesc")),
        (
            path(format_args!("/_tags?digest={digest}&n=1")),
            path(format_args!("/_tags?last=v1&n=1&orderby=&digest={digest}")),
        ),
    ] {
        let reply = client.get(asked).send().await.expect_status(200);
        assert_eq!(next(&reply), Some(expected.clone()));
        let reply = client.get(expected).send().await.expect_status(200);
        assert_eq!(next(&reply), None);
    }
}

#[tokio::test]
async fn untagging_leaves_the_manifest() {
    let (_registry, client, repository) = start().await;
    let image = image(1);
    repository.push_tagged(&image, "v1").await;
    let reply = client.delete(path("/_tags/v1")).send().await.expect_status(202);
    assert!(reply.body.is_empty());
    repository.head_manifest("v1").await.expect_status(404);
    repository.head_manifest(image.root().digest).await.expect_status(200);
    assert_eq!(get(&client, "/_tags").await["tags"], json!([]));
    client.delete(path("/_tags/v1")).send().await.expect_error(404, "TAG_UNKNOWN");
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_kind() {
    let (_registry, client, repository) = start().await;
    repository.push_tagged(&image(1), "v1").await;
    let absent = Digest::sha256(b"absent");
    for (method, at, code) in [
        (Method::GET, "/acr/v1/absent".to_owned(), "NAME_UNKNOWN"),
        (Method::PATCH, "/acr/v1/absent".to_owned(), "NAME_UNKNOWN"),
        (Method::DELETE, "/acr/v1/absent".to_owned(), "NAME_UNKNOWN"),
        (Method::GET, "/acr/v1/absent/_tags".to_owned(), "NAME_UNKNOWN"),
        (Method::GET, "/acr/v1/absent/_tags/v1".to_owned(), "NAME_UNKNOWN"),
        (Method::DELETE, "/acr/v1/absent/_tags/v1".to_owned(), "NAME_UNKNOWN"),
        (Method::GET, "/acr/v1/absent/_manifests".to_owned(), "NAME_UNKNOWN"),
        (Method::GET, format!("/acr/v1/absent/_manifests/{absent}"), "NAME_UNKNOWN"),
        (Method::GET, path("/_tags/absent"), "TAG_UNKNOWN"),
        (Method::PATCH, path("/_tags/absent"), "TAG_UNKNOWN"),
        (Method::DELETE, path("/_tags/absent"), "TAG_UNKNOWN"),
        (Method::GET, path(format_args!("/_manifests/{absent}")), "MANIFEST_UNKNOWN"),
        (Method::PATCH, path(format_args!("/_manifests/{absent}")), "MANIFEST_UNKNOWN"),
        (Method::GET, path("/_streaming"), "NOT_FOUND"),
        (Method::GET, "/acr/v1/_deleted/_catalog".to_owned(), "NOT_FOUND"),
    ] {
        client.request(method, at).body("{}").send().await.expect_error(404, code);
    }
}

#[tokio::test]
async fn a_deleted_repository_says_what_went_with_it() {
    let (_registry, client, repository) = start().await;
    let (one, two) = (image(1), image(2));
    repository.push_tagged(&one, "v1").await;
    repository.push_tagged(&two, "v2").await;
    let mut manifests = [one.root().digest.to_string(), two.root().digest.to_string()];
    manifests.sort_unstable();
    let reply = client.delete(path("")).send().await.expect_status(202);
    assert_eq!(reply.json(), json!({"manifestsDeleted": manifests, "tagsDeleted": ["v1", "v2"]}));
    client.get(path("")).send().await.expect_error(404, "NAME_UNKNOWN");
    client.delete(path("")).send().await.expect_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn the_last_manifest_takes_the_repository_along() {
    let (_registry, client, repository) = start().await;
    let image = image(1);
    repository.push_tagged(&image, "v1").await;
    repository.delete_manifest(image.root().digest).await.expect_status(202);
    client.get(path("")).send().await.expect_error(404, "NAME_UNKNOWN");
    let catalog = client.get("/acr/v1/_catalog").send().await.expect_status(200);
    assert_eq!(catalog.json(), json!({"repositories": []}));
}

#[tokio::test]
async fn who_pushes_may_delete_what_refers_to_an_image_but_no_image() {
    let (registry, _client, repository) = start().await;
    let subject = image(1);
    let attach = |seed: u64, to: &Tree| ImageBuilder::new(&mut Seed::new(seed)).subject(to.root()).build();
    let (signature, of_signature) = (attach(2, &subject), attach(3, &attach(2, &subject)));
    for tree in [&subject, &signature, &of_signature] {
        repository.push(tree).await;
    }
    let pusher = Repository::new(&user(&registry, "pusher", "AcrPush", "team/*").await, NAME);
    let puller = Repository::new(&user(&registry, "puller", "AcrPull", "*").await, NAME);
    let elsewhere = Repository::new(&user(&registry, "elsewhere", "AcrPush", "other/*").await, NAME);
    for digest in [subject.root().digest, signature.root().digest, Digest::sha256(b"absent")] {
        puller.delete_manifest(digest).await.expect_error(401, "UNAUTHORIZED");
        elsewhere.delete_manifest(digest).await.expect_error(401, "UNAUTHORIZED");
    }
    for reference in [subject.root().digest.to_string(), Digest::sha256(b"absent").to_string()] {
        pusher.delete_manifest(reference).await.expect_error(401, "UNAUTHORIZED");
    }
    repository.put_manifest("signed", signature.root()).await.expect_status(201);
    pusher.delete_manifest("signed").await.expect_error(401, "UNAUTHORIZED");
    pusher.delete_manifest(signature.root().digest).await.expect_status(202);
    for tree in [&signature, &of_signature] {
        repository.head_manifest(tree.root().digest).await.expect_status(404);
    }
    repository.head_manifest(subject.root().digest).await.expect_status(200);
}
