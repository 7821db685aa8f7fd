//! Pushing and pulling manifests of every shape, byte for byte.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, IndexBuilder, Item, Seed, Tree};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::limits::MANIFEST_BYTES_MAX;
use kogge_types::media_type::{DOCKER_FOREIGN_LAYER, DOCKER_LIST, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST};
use kogge_types::{Algorithm, Digest};
use serde_json::json;

use super::new_repository;

const ARTIFACT: &str = "application/vnd.example.artifact.v1";
const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const LAYER_FAR: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

fn image(seed: &mut Seed) -> Tree {
    ImageBuilder::new(seed).build()
}

fn artifact(seed: &mut Seed) -> ImageBuilder {
    ImageBuilder::new(seed).artifact_type(ARTIFACT).empty_config().no_layers().layer(ARTIFACT, seed.bytes(300))
}

fn multi_platform(seed: &mut Seed) -> IndexBuilder {
    IndexBuilder::new().child(image(seed), "amd64").child(image(seed), "arm64")
}

/// An image whose manifest has `length` bytes.
fn image_of_length(seed: &mut Seed, length: usize) -> Tree {
    let image = ImageBuilder::new(seed);
    let bare = image.clone().annotation("padding", "").build().root().bytes.len();
    image.annotation("padding", &"p".repeat(length - bare)).build()
}

/// Every shape of content, by name.
fn shapes(seed: &mut Seed) -> Vec<(&'static str, Tree)> {
    let subject = image(seed);
    let under_512 = |seed: &mut Seed| ImageBuilder::new(seed).algorithm(Algorithm::Sha512).build();
    let (amd64, arm64) = (under_512(seed), under_512(seed));
    let embedded = ImageBuilder::new(seed).embed_data().build();
    let docker = ImageBuilder::new(seed)
        .media_type(DOCKER_MANIFEST)
        .config("application/vnd.docker.container.image.v1+json", "{}");
    vec![
        ("image", image(seed)),
        ("uncompressed", ImageBuilder::new(seed).no_layers().layer(LAYER_TAR, seed.bytes(900)).build()),
        ("largest", image_of_length(seed, MANIFEST_BYTES_MAX)),
        ("no-layers", ImageBuilder::new(seed).no_layers().build()),
        ("same-layer-twice", ImageBuilder::new(seed).layer(LAYER_TAR, "same").layer(LAYER_TAR, "same").build()),
        ("embedded-data", embedded),
        (
            "foreign-layers",
            ImageBuilder::new(seed)
                .foreign_layer(LAYER_FAR, b"far")
                .foreign_layer(DOCKER_FOREIGN_LAYER, b"away")
                .build(),
        ),
        (
            "unknown-fields",
            ImageBuilder::new(seed).extra_field("org.example.unknown", json!({"deep": [1, null]})).build(),
        ),
        ("index", multi_platform(seed).build()),
        (
            "index-of-indexes",
            IndexBuilder::new()
                .child(multi_platform(seed).build(), "a")
                .child(multi_platform(seed).build(), "b")
                .build(),
        ),
        ("empty-index", IndexBuilder::new().annotation("seed", &seed.word().to_string()).build()),
        ("sparse-index", multi_platform(seed).absent_child(image(seed).root(), "s390x").build()),
        ("index-with-unknown-fields", multi_platform(seed).extra_field("unknown", json!("kept")).build()),
        ("artifact", artifact(seed).build()),
        ("artifact-without-content", artifact(seed).no_layers().layer(OCI_EMPTY, "{}").build()),
        ("artifact-index", IndexBuilder::new().artifact_type(ARTIFACT).child(artifact(seed).build(), "any").build()),
        ("referrer", artifact(seed).subject(subject.root()).build()),
        ("referrer-index", multi_platform(seed).subject(subject.root()).build()),
        (
            "sha512",
            IndexBuilder::new().algorithm(Algorithm::Sha512).child(amd64, "amd64").child(arm64, "arm64").build(),
        ),
        ("docker-image", docker.build()),
        ("docker-list", IndexBuilder::new().media_type(DOCKER_LIST).child(image(seed), "amd64").build()),
    ]
}

/// Checks an answer that brings `manifest`, or its head.
fn expect_manifest(reply: Reply, manifest: &Item) -> Reply {
    let reply = reply.expect_status(200).expect_header("content-type", &manifest.media_type);
    let reply = reply.expect_header("content-length", manifest.bytes.len());
    reply.expect_header("docker-content-digest", manifest.digest)
}

/// Checks the answer to a push of `manifest` and that its location can be pulled.
async fn expect_pushed(repository: &Repository, reply: Reply, manifest: &Item) {
    let body: serde_json::Value = serde_json::from_slice(&manifest.bytes).expect("manifests are JSON");
    let reply = reply.expect_status(201).expect_header("docker-content-digest", manifest.digest);
    assert_eq!(reply.header("oci-subject").as_deref(), body["subject"]["digest"].as_str());
    let pulled = repository.client().get(reply.location()).send().await;
    expect_manifest(pulled, manifest).expect_body(&manifest.bytes);
}

#[tokio::test]
async fn every_shape_is_returned_as_it_was_sent() {
    let (registry, _) = new_repository("team").await;
    for (name, tree) in shapes(&mut Seed::new(1)) {
        let repository = Repository::new(&registry.client(), &format!("team/{name}"));
        for blob in &tree.blobs {
            repository.push_blob(blob).await;
        }
        for manifest in &tree.manifests {
            let reply = repository.put_manifest(manifest.digest, manifest).await;
            expect_pushed(&repository, reply, manifest).await;
        }
        if tree.root().digest.algorithm() == Algorithm::Sha256 {
            let reply = repository.put_manifest(name, tree.root()).await;
            expect_pushed(&repository, reply, tree.root()).await;
            expect_manifest(repository.get_manifest(name).await, tree.root()).expect_body(&tree.root().bytes);
            expect_manifest(repository.head_manifest(name).await, tree.root()).expect_body(b"");
        }
        for manifest in &tree.manifests {
            expect_manifest(repository.get_manifest(manifest.digest).await, manifest).expect_body(&manifest.bytes);
            expect_manifest(repository.head_manifest(manifest.digest).await, manifest).expect_body(b"");
        }
    }
}

#[tokio::test]
async fn a_tag_moves_to_what_was_pushed_last() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(2);
    let (first, second) = (image(seed), image(seed));
    repository.push_tagged(&first, "latest").await;
    repository.push_tagged(&second, "latest").await;
    expect_manifest(repository.get_manifest("latest").await, second.root());
    expect_manifest(repository.get_manifest(first.root().digest).await, first.root());
}

#[tokio::test]
async fn a_push_by_digest_must_match_it() {
    let (_registry, repository) = new_repository("team/app").await;
    let tree = image(&mut Seed::new(3));
    repository.push(&tree).await;
    for algorithm in Algorithm::ALL {
        let other = Digest::of(algorithm, b"other bytes");
        repository.put_manifest(other, tree.root()).await.expect_error(400, "DIGEST_INVALID");
        repository.head_manifest(other).await.expect_status(404);
    }
    for form in ["sha256:baddigeststring", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        repository.put_manifest(form, tree.root()).await.expect_status(400);
        let status = repository.get_manifest(form).await.status.as_u16();
        assert!(matches!(status, 400 | 404), "{form}: {status}");
    }
}

#[tokio::test]
async fn what_was_never_pushed_is_unknown() {
    let (_registry, repository) = new_repository("team/app").await;
    repository.push_tagged(&image(&mut Seed::new(4)), "latest").await;
    let missing = Digest::sha256(b"missing").to_string();
    for reference in ["missing-tag", &missing] {
        repository.get_manifest(reference).await.expect_error(404, "MANIFEST_UNKNOWN");
        repository.head_manifest(reference).await.expect_status(404).expect_body(b"");
    }
}

#[tokio::test]
async fn the_stored_bytes_come_whatever_the_client_accepts() {
    let (_registry, repository) = new_repository("team/app").await;
    let tree = image(&mut Seed::new(5));
    repository.push_tagged(&tree, "latest").await;
    for accept in [OCI_MANIFEST, OCI_INDEX, "*/*", "text/html", "application/json;q=0.1"] {
        let get = repository.client().get(repository.manifest_path("latest")).header("accept", accept);
        expect_manifest(get.send().await, tree.root()).expect_body(&tree.root().bytes);
    }
    expect_manifest(repository.client().get(repository.manifest_path("latest")).send().await, tree.root());
}

#[tokio::test]
async fn parameters_of_a_content_type_are_left_out() {
    let (_registry, repository) = new_repository("team/app").await;
    let tree = image(&mut Seed::new(6));
    repository.push(&tree).await;
    let put = repository.client().put(repository.manifest_path("latest"));
    let put = put.header("content-type", format_args!("{OCI_MANIFEST}; charset=utf-8")).body(tree.root().bytes.clone());
    put.send().await.expect_status(201);
    expect_manifest(repository.get_manifest("latest").await, tree.root());
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused() {
    let (_registry, repository) = new_repository("team/app").await;
    let tree = image_of_length(&mut Seed::new(7), MANIFEST_BYTES_MAX + 1);
    for blob in &tree.blobs {
        repository.push_blob(blob).await;
    }
    repository.put_manifest("latest", tree.root()).await.expect_status(413);
    repository.head_manifest("latest").await.expect_status(404);
}

#[tokio::test]
async fn an_image_with_a_missing_layer_is_taken_where_the_operator_allows_it() {
    let registry = TestRegistry::start_with("[uploads]\nsparse-images = true\n").await;
    let repository = Repository::new(&registry.client(), "team/app");
    let tree = image(&mut Seed::new(8));
    let [config, layer] = tree.blobs.as_slice() else { panic!("an image of one layer") };
    repository.push_blob(config).await;
    let reply = repository.put_manifest("latest", tree.root()).await;
    expect_pushed(&repository, reply, tree.root()).await;
    repository.head_blob(&layer.digest).await.expect_status(404);
    // The layer may still come.
    repository.push_blob(layer).await;
    repository.get_blob(&layer.digest).await.expect_status(200).expect_body(&layer.bytes);
}
