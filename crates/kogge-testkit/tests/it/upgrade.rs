//! The present version opens the data directories of all released versions, and refuses those of later ones.
//!
//! `test-data/upgrade/<version>/` holds `data.tar.gz`, a data directory that this version wrote, and `content.json`,
//! what can be pulled from it. A version's own is made once, when it is released, by
//! `KOGGE_UPGRADE_WRITE=1 cargo test -p kogge-testkit --test it upgrade::`, and never changed again.
//!
//! `0.1.0-roles` is a copy of `0.1.0` to which that version's own `kogge admin` added registries, one of them open to
//! all, and users with roles on one registry and on patterns of repositories; `rights.json` is what it put into the tokens
//! of each at each registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use kogge_core::auth::role;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Seed, Tree};
use kogge_testkit::http::{Client, basic};
use kogge_testkit::process::{PASSWORD, Process, Site};
use kogge_testkit::repository::Repository;
use kogge_types::media_type::OCI_LAYER_GZIP;
use kogge_types::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::edge::permissions::{ask, management_by};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The user that a stored data directory has beside the administrator.
const READER: (&str, &str) = ("reader", "a long enough secret");
/// Where SQLite keeps the schema's version (`PRAGMA user_version`, 4 bytes, the highest first).
const USER_VERSION_OFFSET: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn every_released_versions_data_directory_opens() {
    let released = folder().join(VERSION);
    if std::env::var_os("KOGGE_UPGRADE_WRITE").is_some() {
        write(&released).await;
    }
    assert!(released.is_dir(), "{VERSION} has no data directory in {}; see the top of this file", released.display());
    for version in std::fs::read_dir(folder()).expect("the stored data directories") {
        let version = version.expect("a stored data directory").path();
        let opened = unpack(&version);
        let site = Site::new(opened.path().join("data"));
        let content = std::fs::read(version.join("content.json")).expect("the stored content");
        let content: BTreeMap<String, Value> = serde_json::from_slice(&content).expect("JSON");
        // Twice: what the first start migrated is opened again.
        for _ in 0..2 {
            let process = site.serve();
            for (repository, content) in &content {
                expect_content(&Repository::new(&process.client(), repository), content).await;
            }
            expect_rights(&process).await;
            if let Ok(rights) = std::fs::read(version.join("rights.json")) {
                let rights: Vec<Value> = serde_json::from_slice(&rights).expect("JSON");
                for rights in &rights {
                    expect_access(&process, rights).await;
                }
            }
            process.stop();
        }
        assert_eq!(site.run(&["scrub"]).json()["corrupt"], 0);
        expect_use(&site).await;
    }
}

#[test]
fn a_newer_versions_data_directory_is_refused_by_name() {
    let opened = unpack(&folder().join(VERSION));
    let site = Site::new(opened.path().join("data"));
    // A backup's metadata is one file, without a log beside it that would count more.
    let backup = opened.path().join("backup");
    let backup_name = backup.to_str().expect("temporary folders have plain names");
    site.run(&["backup", backup_name]).expect_success();
    let mut bytes = std::fs::read(backup.join("meta.db")).expect("the backup's metadata");
    bytes[USER_VERSION_OFFSET..USER_VERSION_OFFSET + 4].copy_from_slice(&1_000_u32.to_be_bytes());
    std::fs::write(backup.join("meta.db"), &bytes).expect("the backup's metadata");
    let refused = ["1000", "newer version"];
    let restored = Site::new(opened.path().join("restored"));
    restored.run(&["restore", backup_name]).expect_failure(&refused);

    let state = site.data_dir().join("meta.db");
    for log in ["meta.db-wal", "meta.db-shm"] {
        drop(std::fs::remove_file(site.data_dir().join(log)));
    }
    std::fs::write(&state, &bytes).expect("the metadata");
    site.try_serve().expect_err("the metadata is too new").expect_failure(&refused);
    site.run(&["gc", "status"]).expect_failure(&refused);
    let kept = std::fs::read(&state).expect("the metadata");
    assert_eq!(kept[USER_VERSION_OFFSET..][..4], 1_000_u32.to_be_bytes(), "a refused start changed the metadata");
}

/// All that is listed pulls, and has the digest that is listed.
async fn expect_content(repository: &Repository, content: &Value) {
    let list = |key: &str| content[key].as_array().cloned().unwrap_or_default();
    for manifest in list("manifests") {
        let digest = digest(&manifest["digest"]);
        let reply = repository.get_manifest(digest).await.expect_status(200);
        let reply = reply.expect_header("content-type", manifest["mediaType"].as_str().unwrap_or_default());
        assert_eq!(Digest::of(digest.algorithm(), &reply.body), digest);
    }
    for blob in list("blobs") {
        let digest = digest(&blob);
        let reply = repository.get_blob(&digest).await.expect_status(200);
        assert_eq!(Digest::of(digest.algorithm(), &reply.body), digest);
    }
    for (tag, named) in content["tags"].as_object().into_iter().flatten() {
        let reply = repository.get_manifest(tag).await.expect_status(200);
        reply.expect_header("docker-content-digest", digest(named));
    }
    for gone in list("gone") {
        repository.get_manifest(gone.as_str().unwrap_or_default()).await.expect_status(404);
    }
    for referrer in list("referrers") {
        let listed = repository.referrers(digest(&referrer["subject"]), "").await.expect_status(200).json();
        assert_eq!(listed["manifests"][0]["digest"], referrer["digest"], "{listed}");
    }
}

/// Who had roles has them, by a login and by the management API, and nobody has others.
async fn expect_rights(process: &Process) {
    let anonymous = Client::new(process.addr());
    let reader = anonymous.with_basic(READER.0, READER.1);
    let repository = Repository::new(&reader, "upgrade/app");
    repository.get_manifest("one").await.expect_status(200);
    repository.delete_manifest("one").await.expect_status(401);
    anonymous.with_basic(READER.0, "another secret").get("/v2/").try_send().await.expect_err("a wrong password");
    Repository::new(&anonymous, "upgrade/app").get_manifest("one").await.expect_status(401);
    let owner = management_by(&anonymous, "admin", PASSWORD, "localhost").await;
    let subscriptions = ask(&owner, Method::GET, "/subscriptions", Value::Null).await.expect_status(200).json();
    let subscription = subscriptions["value"][0]["id"].as_str().expect("a subscription");
    let provider = format!("{subscription}/providers/Microsoft.ContainerRegistry/registries");
    let registries = ask(&owner, Method::GET, &provider, Value::Null).await.expect_status(200).json();
    for registry in registries["value"].as_array().expect("a list") {
        let public = registry["name"] == "public";
        assert_eq!(registry["properties"]["anonymousPullEnabled"], public, "{registry}");
    }
    assert_eq!(registries["value"][0]["name"], "default", "{registries}");
    let path = format!("{subscription}/providers/Microsoft.Authorization/roleAssignments");
    let listed = ask(&owner, Method::GET, &path, Value::Null).await.expect_status(200).json();
    let mut roles: Vec<_> = listed["value"].as_array().expect("a list").iter().map(assigned).collect();
    roles.retain(|(_, scope, condition)| scope == "/" && !condition);
    roles.sort();
    let role = |name| role::built_in_by_name(name).expect("a built-in role").id.to_string();
    let mut expected = ["Owner", "AcrPull"].map(|name| (role(name), "/".to_owned(), false));
    expected.sort();
    assert_eq!(roles, expected, "{listed}");
    // To pull gives no look at the registry's settings.
    let reader = management_by(&anonymous, READER.0, READER.1, "localhost").await;
    let registry = registries["value"][0]["id"].as_str().expect("an id");
    ask(&reader, Method::PATCH, registry, json!({})).await.expect_status(403);
}

/// The role of an assignment, where it is given, and whether on a condition.
fn assigned(assignment: &Value) -> (String, String, bool) {
    let properties = &assignment["properties"];
    let text = |name: &str| properties[name].as_str().expect(name).to_owned();
    let condition = properties["condition"].is_string();
    (text("roleDefinitionId").rsplit('/').next().expect("an id").to_owned(), text("scope"), condition)
}

/// A user's token says at a registry what it said in the version that the data directory is of.
async fn expect_access(process: &Process, rights: &Value) {
    let text = |name: &str| rights[name].as_str().unwrap_or_else(|| panic!("{name} in {rights}"));
    let actions = "pull,push,delete,metadata_read,metadata_write";
    let path =
        format!("/oauth2/token?service=x&scope=repository:team/app:{actions}&scope=repository:other/app:{actions}");
    let client = Client::new(process.addr()).with_host(&format!("{}.localhost", text("registry")));
    let request = client.get(path);
    let request = match text("user") {
        "" => request,
        "admin" => request.header("authorization", basic("admin", PASSWORD)),
        user => request.header("authorization", basic(user, READER.1)),
    };
    let token = request.send().await.expect_status(200).json()["access_token"].take();
    let claims = token.as_str().and_then(|token| token.split('.').nth(1)).expect("a token's claims");
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    let mut access: Vec<_> = claims["access"].as_array().into_iter().flatten().map(spelled).collect();
    access.sort();
    assert_eq!(json!(access), rights["access"], "{rights}");
}

/// An entry of a token's access, as a scope is written.
fn spelled(entry: &Value) -> String {
    let actions: Vec<_> = entry["actions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    format!("{}:{}:{}", text("type"), text("name"), actions.join(","))
}

/// An opened data directory takes pushes, deletes and collections.
async fn expect_use(site: &Site) {
    let process = site.serve();
    let repository = Repository::new(&process.client(), "upgrade/app");
    let image = ImageBuilder::new(&mut Seed::new(99)).build();
    repository.push_tagged(&image, "new").await;
    repository.get_manifest("new").await.expect_status(200).expect_body(&image.root().bytes);
    repository.delete_manifest("one").await.expect_status(202);
    site.run(&["gc"]).expect_success();
    process.stop();
}

/// Makes the present version's data directory: images, an index, a referrer, a moved tag, a deleted manifest, a user.
async fn write(target: &Path) {
    let work = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(work.path().join("data"));
    let process = site.serve();
    let repository = Repository::new(&process.client(), "upgrade/app");
    let seed = &mut Seed::new(1);
    let mut images: Vec<Tree> = (0..3).map(|_| ImageBuilder::new(seed).build()).collect();
    let long = ImageBuilder::new(seed).algorithm(Algorithm::Sha512).layer(OCI_LAYER_GZIP, seed.bytes(700)).build();
    let index = IndexBuilder::new().child(images[0].clone(), "amd64").child(images[1].clone(), "arm64").build();
    let deleted = images.pop().expect("three were made");
    let signature = ImageBuilder::new(seed).empty_config().artifact_type("application/vnd.example.signature");
    let signature = signature.subject(index.root()).build();
    for tree in [&index, &long, &deleted, &signature] {
        repository.push(tree).await;
    }
    for (tag, tree) in [("one", &images[0]), ("moved", &images[0]), ("moved", &images[1]), ("index", &index)] {
        repository.put_manifest(tag, tree.root()).await.expect_status(201);
    }
    repository.delete_manifest(deleted.root().digest).await.expect_status(202);
    let trees = [&index, &long, &signature];
    let manifests = trees.iter().flat_map(|tree| &tree.manifests);
    let manifests: Vec<_> =
        manifests.map(|item| json!({"digest": item.digest, "mediaType": item.media_type})).collect();
    let content = json!({ "upgrade/app": {
        "manifests": manifests,
        "blobs": trees.iter().flat_map(|tree| &tree.blobs).map(|blob| blob.digest).collect::<Vec<_>>(),
        "tags": {"one": images[0].root().digest, "moved": images[1].root().digest, "index": index.root().digest},
        "gone": [deleted.root().digest, "nothing"],
        "referrers": [{"subject": index.root().digest, "digest": signature.root().digest}],
    }});
    let put = ["admin", "user", "put", READER.0, "--role", "AcrPull"];
    site.run_with(&put, &format!("{}\n", READER.1)).expect_success();
    process.stop();
    std::fs::create_dir_all(target).expect("the folder of the version");
    std::fs::write(target.join("content.json"), format!("{content:#}\n")).expect("the content is written");
    let flags = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--exclude=*-shm"];
    run(Command::new("tar")
        .args(flags)
        .arg("-C")
        .arg(work.path())
        .arg("-czf")
        .arg(target.join("data.tar.gz"))
        .arg("data"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/upgrade")
}

/// A copy of a stored data directory, as `data` in a temporary folder.
fn unpack(version: &Path) -> tempfile::TempDir {
    let work = tempfile::tempdir().expect("a temporary folder");
    run(Command::new("tar").arg("-C").arg(work.path()).arg("-xzf").arg(version.join("data.tar.gz")));
    work
}

fn run(command: &mut Command) {
    let status = command.status().expect("tar can be started");
    assert!(status.success(), "{command:?} ended with {status}");
}

#[track_caller]
fn digest(value: &Value) -> Digest {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no digest"))
}
