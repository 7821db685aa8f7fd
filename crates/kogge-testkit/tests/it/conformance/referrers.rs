//! Referrers: who names a manifest as its subject.

use kogge_testkit::content::{ImageBuilder, IndexBuilder, Item, Seed};
use kogge_testkit::repository::Repository;
use kogge_types::media_type::{OCI_CONFIG, OCI_EMPTY, OCI_INDEX};
use kogge_types::{Algorithm, Digest};
use serde_json::{Value, json};

use super::new_repository;

const SBOM: &str = "application/vnd.example.sbom.v1+json";
const SIGNATURE: &str = "application/vnd.example.signature.v1";

/// The descriptors of a list of referrers, after the checks that hold for every list.
async fn list(repository: &Repository, subject: impl std::fmt::Display, artifact_type: &str) -> Vec<Value> {
    let reply = repository.referrers(subject, artifact_type).await.expect_status(200);
    let reply = reply.expect_header("content-type", OCI_INDEX);
    let filters = (!artifact_type.is_empty()).then(|| "artifactType".to_owned());
    assert_eq!(reply.header("oci-filters-applied"), filters);
    let mut body = reply.json();
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    let mut entries = body["manifests"].take().as_array_mut().map(std::mem::take).expect("a list of manifests");
    entries.sort_by_key(|entry| entry["digest"].to_string());
    entries
}

/// The entry that a list must have for `manifest`.
fn entry(manifest: &Item, artifact_type: Option<&str>, annotations: Value) -> Value {
    let mut entry = manifest.descriptor();
    if let Some(artifact_type) = artifact_type {
        entry["artifactType"] = json!(artifact_type);
    }
    if annotations.as_object().is_some_and(|a| !a.is_empty()) {
        entry["annotations"] = annotations;
    }
    entry
}

#[tokio::test]
async fn each_kind_of_referrer_is_listed_with_its_type_and_annotations() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(1);
    let subject = ImageBuilder::new(seed).build();
    let subject = subject.root();
    let note = json!({"org.example.note": "hello", "org.example.empty": ""});
    let annotated = |b: ImageBuilder| b.annotation("org.example.note", "hello").annotation("org.example.empty", "");
    let artifact = |seed: &mut Seed| ImageBuilder::new(seed).empty_config().subject(subject);
    let referrers = [
        (ImageBuilder::new(seed).subject(subject).build(), Some(OCI_CONFIG), json!({})),
        (annotated(artifact(seed).artifact_type(SBOM)).build(), Some(SBOM), note),
        (artifact(seed).artifact_type(SIGNATURE).build(), Some(SIGNATURE), json!({})),
        (artifact(seed).build(), Some(OCI_EMPTY), json!({})),
        (IndexBuilder::new().subject(subject).artifact_type(SBOM).build(), Some(SBOM), json!({})),
        (IndexBuilder::new().subject(subject).annotation("k", "v").build(), None, json!({"k": "v"})),
    ];
    let mut expected = Vec::new();
    for (tree, artifact_type, annotations) in referrers {
        repository.push(&tree).await;
        expected.push(entry(tree.root(), artifact_type, annotations));
    }
    expected.sort_by_key(|entry| entry["digest"].to_string());
    assert_eq!(list(&repository, subject.digest, "").await, expected);
    for artifact_type in [SBOM, SIGNATURE, OCI_CONFIG, OCI_EMPTY, "application/vnd.example.none"] {
        let mut matching = expected.clone();
        matching.retain(|entry| entry["artifactType"] == artifact_type);
        assert_eq!(list(&repository, subject.digest, artifact_type).await, matching, "{artifact_type}");
    }
    // Another repository has referrers of its own.
    let other = Repository::new(repository.client(), "team/other");
    assert_eq!(list(&other, subject.digest, "").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_subject_may_come_late_or_never_and_have_any_digest() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(2);
    for algorithm in Algorithm::ALL {
        let subject = ImageBuilder::new(seed).algorithm(algorithm).build();
        let referrer = ImageBuilder::new(seed).algorithm(algorithm).subject(subject.root()).build();
        let digest = subject.root().digest;
        let listed = vec![entry(referrer.root(), Some(OCI_CONFIG), json!({}))];
        assert_eq!(list(&repository, digest, "").await, Vec::<Value>::new());
        repository.push(&referrer).await;
        repository.head_manifest(digest).await.expect_status(404);
        assert_eq!(list(&repository, digest, "").await, listed);
        repository.push(&subject).await;
        repository.push(&referrer).await;
        assert_eq!(list(&repository, digest, "").await, listed);
    }
}

#[tokio::test]
async fn every_push_of_a_referrer_names_its_subject() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(3);
    let image = ImageBuilder::new(seed).build();
    let subject = image.root();
    let trees = [ImageBuilder::new(seed).subject(subject).build(), IndexBuilder::new().subject(subject).build()];
    for tree in trees {
        repository.push(&tree).await;
        for reference in [tree.root().digest.to_string(), "tagged".to_owned()] {
            let reply = repository.put_manifest(reference, tree.root()).await.expect_status(201);
            reply.expect_header("oci-subject", subject.digest);
        }
    }
}

#[tokio::test]
async fn a_deleted_referrer_is_no_longer_listed() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(4);
    let subject = ImageBuilder::new(seed).build();
    repository.push(&subject).await;
    let (first, second) =
        (ImageBuilder::new(seed).subject(subject.root()), ImageBuilder::new(seed).subject(subject.root()));
    let (first, second) = (first.build(), second.build());
    repository.push(&first).await;
    repository.push(&second).await;
    repository.delete_manifest(first.root().digest).await.expect_status(202);
    let left = vec![entry(second.root(), Some(OCI_CONFIG), json!({}))];
    assert_eq!(list(&repository, subject.root().digest, "").await, left);
}

#[tokio::test]
async fn what_has_referrers_must_be_a_digest() {
    let (_registry, repository) = new_repository("team/app").await;
    for subject in ["sha256:baddigeststring", "latest", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        repository.referrers(subject, "").await.expect_error(400, "DIGEST_INVALID");
    }
    assert_eq!(list(&repository, Digest::sha256(b"never pushed"), SBOM).await, Vec::<Value>::new());
}
