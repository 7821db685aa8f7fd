//! Deletes: what goes, what stays, and that it is so at once.

use kogge_testkit::content::{ImageBuilder, IndexBuilder, Seed};
use kogge_testkit::repository::Repository;
use kogge_types::{Algorithm, Digest};

use super::new_repository;

#[tokio::test]
async fn a_deleted_tag_leaves_its_manifest() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push_tagged(&image, "one").await;
    repository.put_manifest("two", image.root()).await.expect_status(201);
    repository.delete_manifest("one").await.expect_status(202);
    repository.head_manifest("one").await.expect_status(404);
    repository.delete_manifest("one").await.expect_error(404, "MANIFEST_UNKNOWN");
    repository.head_manifest("two").await.expect_status(200);
    assert_eq!(repository.tags("").await.expect_status(200).json()["tags"], serde_json::json!(["two"]));
    repository.delete_manifest("two").await.expect_status(202);
    repository.get_manifest(image.root().digest).await.expect_status(200).expect_body(&image.root().bytes);
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_along() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(2);
    let (image, other) = (ImageBuilder::new(seed).build(), ImageBuilder::new(seed).build());
    repository.push_tagged(&other, "other").await;
    repository.push_tagged(&image, "one").await;
    repository.put_manifest("two", image.root()).await.expect_status(201);
    repository.delete_manifest(image.root().digest).await.expect_status(202);
    let digest = image.root().digest.to_string();
    for reference in ["one", "two", &digest] {
        repository.head_manifest(reference).await.expect_status(404);
        repository.get_manifest(reference).await.expect_error(404, "MANIFEST_UNKNOWN");
        repository.delete_manifest(reference).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(repository.tags("").await.expect_status(200).json()["tags"], serde_json::json!(["other"]));
    // What was deleted can come back.
    repository.push_tagged(&image, "one").await;
    repository.get_manifest("one").await.expect_status(200).expect_body(&image.root().bytes);
}

#[tokio::test]
async fn children_of_a_deleted_index_stay_and_a_deleted_child_leaves_it_sparse() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(3);
    for algorithm in Algorithm::ALL {
        let image = |seed: &mut Seed| ImageBuilder::new(seed).algorithm(algorithm).build();
        let index =
            IndexBuilder::new().algorithm(algorithm).child(image(seed), "amd64").child(image(seed), "arm64").build();
        let [first, second, root] = index.manifests.as_slice() else { panic!("an index of two images") };
        repository.push(&index).await;
        repository.delete_manifest(first.digest).await.expect_status(202);
        repository.head_manifest(first.digest).await.expect_status(404);
        repository.get_manifest(root.digest).await.expect_status(200).expect_body(&root.bytes);
        repository.delete_manifest(root.digest).await.expect_status(202);
        repository.head_manifest(root.digest).await.expect_status(404);
        repository.head_manifest(second.digest).await.expect_status(200);
    }
}

#[tokio::test]
async fn a_deleted_subject_takes_its_referrers_and_theirs_along() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(4);
    let subject = ImageBuilder::new(seed).build();
    let referrer = ImageBuilder::new(seed).subject(subject.root()).build();
    let referrer_of_referrer = ImageBuilder::new(seed).subject(referrer.root()).build();
    let bystander = ImageBuilder::new(seed).build();
    for tree in [&subject, &referrer, &referrer_of_referrer, &bystander] {
        repository.push(tree).await;
    }
    repository.put_manifest("signature", referrer.root()).await.expect_status(201);
    repository.delete_manifest(subject.root().digest).await.expect_status(202);
    for tree in [&subject, &referrer, &referrer_of_referrer] {
        repository.head_manifest(tree.root().digest).await.expect_status(404);
    }
    repository.head_manifest("signature").await.expect_status(404);
    repository.head_manifest(bystander.root().digest).await.expect_status(200);
}

#[tokio::test]
async fn a_blob_is_deleted_once_and_only_when_no_manifest_names_it() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(5)).build();
    repository.push(&image).await;
    for blob in &image.blobs {
        repository.delete_blob(&blob.digest).await.expect_status(405);
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
    repository.delete_manifest(image.root().digest).await.expect_status(202);
    for blob in &image.blobs {
        repository.delete_blob(&blob.digest).await.expect_status(202);
        repository.head_blob(&blob.digest).await.expect_status(404);
        repository.delete_blob(&blob.digest).await.expect_error(404, "BLOB_UNKNOWN");
    }
}

#[tokio::test]
async fn deletes_in_one_repository_leave_the_others_alone() {
    let (_registry, repository) = new_repository("team/app").await;
    let other = Repository::new(repository.client(), "team/other");
    let image = ImageBuilder::new(&mut Seed::new(6)).build();
    repository.push_tagged(&image, "latest").await;
    other.push_tagged(&image, "latest").await;
    repository.delete_manifest(image.root().digest).await.expect_status(202);
    for blob in &image.blobs {
        repository.delete_blob(&blob.digest).await.expect_status(202);
    }
    other.get_manifest("latest").await.expect_status(200).expect_body(&image.root().bytes);
    for blob in &image.blobs {
        other.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_deleted() {
    let (_registry, repository) = new_repository("team/never").await;
    let digest = Digest::sha256(b"never pushed");
    repository.delete_manifest(digest).await.expect_status(404);
    repository.delete_manifest("latest").await.expect_status(404);
    repository.delete_blob(&digest).await.expect_status(404);
    for form in ["sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        repository.delete_manifest(form).await.expect_status(400);
        let path = repository.path(format_args!("blobs/{form}"));
        repository.client().delete(path).send().await.expect_error(400, "DIGEST_INVALID");
    }
}
