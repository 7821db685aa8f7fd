//! Pushing a manifest by digest and tagging it in the same request.

use kogge_testkit::content::{ImageBuilder, IndexBuilder, Item, Seed};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::Algorithm;
use kogge_types::limits::TAGS_PER_PUT_MAX;

use super::new_repository;

async fn put(repository: &Repository, manifest: &Item, tags: &[String]) -> Reply {
    let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    repository.put_manifest(format_args!("{}?{}", manifest.digest, query.join("&")), manifest).await
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("tag-{number:03}")).collect()
}

/// The tags that an answer says were set.
fn accepted(reply: &Reply) -> Vec<String> {
    let header = reply.header("oci-tag").unwrap_or_default();
    header.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

#[tokio::test]
async fn every_tag_of_the_request_is_set_and_named() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(1);
    for algorithm in Algorithm::ALL {
        for count in [0, 1, 2, 10, TAGS_PER_PUT_MAX] {
            let image = ImageBuilder::new(seed).algorithm(algorithm).build();
            repository.push(&image).await;
            let tags = numbered(count);
            let reply = put(&repository, image.root(), &tags).await.expect_status(201);
            assert_eq!(accepted(&reply), tags);
            let reply = reply.expect_header("docker-content-digest", image.root().digest);
            repository.client().get(reply.location()).send().await.expect_status(200).expect_body(&image.root().bytes);
            // A tag answers with the digest that it was set to, under that digest's algorithm.
            for tag in &tags {
                let (get, head) = (repository.get_manifest(tag).await, repository.head_manifest(tag).await);
                get.expect_status(200).expect_header("docker-content-digest", image.root().digest);
                head.expect_status(200).expect_header("docker-content-digest", image.root().digest);
            }
        }
    }
    assert_eq!(repository.tags("").await.json()["tags"], serde_json::json!(numbered(TAGS_PER_PUT_MAX)));
}

#[tokio::test]
async fn children_and_index_may_each_have_tags() {
    let (_registry, repository) = new_repository("team/app").await;
    let seed = &mut Seed::new(2);
    let image = |seed: &mut Seed| ImageBuilder::new(seed).algorithm(Algorithm::Sha512).build();
    let index =
        IndexBuilder::new().algorithm(Algorithm::Sha512).child(image(seed), "amd64").child(image(seed), "arm64");
    let index = index.build();
    for blob in &index.blobs {
        repository.push_blob(blob).await;
    }
    for (number, manifest) in index.manifests.iter().enumerate() {
        let tags = [format!("v{number}"), format!("w{number}")];
        assert_eq!(accepted(&put(&repository, manifest, &tags).await.expect_status(201)), tags);
    }
    for (number, manifest) in index.manifests.iter().enumerate() {
        let reply = repository.get_manifest(format_args!("w{number}")).await.expect_status(200);
        reply.expect_header("docker-content-digest", manifest.digest).expect_body(&manifest.bytes);
    }
}

#[tokio::test]
async fn a_request_with_a_bad_tag_or_too_many_sets_none() {
    let (_registry, repository) = new_repository("team/app").await;
    let image = ImageBuilder::new(&mut Seed::new(3)).build();
    for blob in &image.blobs {
        repository.push_blob(blob).await;
    }
    let good = "good".to_owned();
    for (tags, status) in [
        (vec![good.clone(), "-bad".to_owned()], 400),
        (vec![good.clone(), "t".repeat(129)], 400),
        (vec![good, "a%2Fb".to_owned()], 400),
        (numbered(TAGS_PER_PUT_MAX + 1), 414),
    ] {
        put(&repository, image.root(), &tags).await.expect_status(status);
        repository.head_manifest(image.root().digest).await.expect_status(404);
        repository.head_manifest(&tags[0]).await.expect_status(404);
    }
}
