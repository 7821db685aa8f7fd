//! The same answers over HTTP/2, where nothing but the server keeps a body out of the answer to HEAD.

use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::repository::Repository;
use kogge_types::Digest;

use super::new_repository;

#[tokio::test]
async fn an_image_is_pushed_and_pulled() {
    let (registry, _) = new_repository("team/app").await;
    let repository = Repository::new(&registry.client().with_http2(), "team/app");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    repository.push_tagged(&image, "latest").await;
    let (blob, manifest) = (&image.blobs[1], image.root());
    repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    repository.get_manifest("latest").await.expect_status(200).expect_body(&manifest.bytes);
    let get = repository.client().get(repository.blob_path(&blob.digest)).header("range", "bytes=10-19");
    get.send().await.expect_status(206).expect_body(&blob.bytes[10..20]);
}

#[tokio::test]
async fn the_answer_to_head_tells_the_length_and_has_no_body() {
    let (registry, _) = new_repository("team/app").await;
    let repository = Repository::new(&registry.client().with_http2(), "team/app");
    let image = ImageBuilder::new(&mut Seed::new(2)).build();
    repository.push_tagged(&image, "latest").await;
    let (blob, manifest) = (&image.blobs[1], image.root());
    let reply = repository.head_blob(&blob.digest).await.expect_status(200).expect_body(b"");
    reply.expect_header("content-length", blob.bytes.len());
    let reply = repository.head_manifest("latest").await.expect_status(200).expect_body(b"");
    reply.expect_header("content-length", manifest.bytes.len());
    repository.head_manifest("missing").await.expect_status(404).expect_body(b"");
    repository.head_blob(&Digest::sha256(b"missing")).await.expect_status(404).expect_body(b"");
    repository.client().head("/v2/").send().await.expect_status(200).expect_body(b"");
    repository.client().head(repository.path("tags/list")).send().await.expect_status(200).expect_body(b"");
}
