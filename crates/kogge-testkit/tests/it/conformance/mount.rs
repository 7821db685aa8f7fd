//! Mounting a blob from another repository.

use kogge_testkit::challenge::Challenge;
use kogge_testkit::content::{Item, Seed};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::{Repository, with_digest};
use kogge_types::media_type::OCTET_STREAM;
use kogge_types::{Algorithm, Digest};

use super::new_repository;

async fn mount(target: &Repository, digest: impl std::fmt::Display, from: Option<&str>) -> Reply {
    let from = from.map(|name| format!("&from={name}")).unwrap_or_default();
    target.client().post(target.path(format_args!("blobs/uploads/?mount={digest}{from}"))).send().await
}

#[tokio::test]
async fn a_blob_that_exists_is_mounted_with_or_without_its_source_named() {
    let (_registry, source) = new_repository("team/source").await;
    let target = Repository::new(source.client(), "team/target");
    let seed = &mut Seed::new(1);
    for algorithm in Algorithm::ALL {
        for from in [Some("team/source"), None] {
            let blob = Item::new(algorithm, OCTET_STREAM, seed.bytes(512));
            source.push_blob(&blob).await;
            target.head_blob(&blob.digest).await.expect_status(404);
            let reply = mount(&target, blob.digest, from).await.expect_status(201);
            let location = reply.expect_header("docker-content-digest", blob.digest).location();
            target.client().get(location).send().await.expect_status(200).expect_body(&blob.bytes);
            target.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
            mount(&target, blob.digest, from).await.expect_status(201);
            // A delete unlinks the blob from one repository only.
            target.delete_blob(&blob.digest).await.expect_status(202);
            target.head_blob(&blob.digest).await.expect_status(404);
            source.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
        }
    }
}

#[tokio::test]
async fn a_blob_that_is_nowhere_is_uploaded_instead() {
    let (_registry, target) = new_repository("team/target").await;
    let seed = &mut Seed::new(2);
    for algorithm in Algorithm::ALL {
        for from in [Some("team/source"), None] {
            let blob = Item::new(algorithm, OCTET_STREAM, seed.bytes(512));
            let location = mount(&target, blob.digest, from).await.expect_status(202).location();
            let put = target.client().put(with_digest(&location, &blob.digest)).body(blob.bytes.clone());
            put.send().await.expect_status(201);
            target.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
        }
    }
}

#[tokio::test]
async fn a_token_must_cover_the_source_too() {
    let (registry, source) = new_repository("team/source").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(3).bytes(512));
    source.push_blob(&blob).await;
    let push_target = "repository:team/target:pull,push";
    let token = registry.client().token(&[push_target]).await.expect("a token");
    let target = Repository::new(&registry.client().with_bearer(&token), "team/target");

    let reply = mount(&target, blob.digest, Some("team/source")).await.expect_status(401);
    let Some(Challenge::Bearer { scopes, .. }) = reply.challenge() else { panic!("{:?}", reply.headers) };
    for (repository, action) in [("team/target", "push"), ("team/source", "pull")] {
        let prefix = format!("repository:{repository}:");
        let actions = scopes.iter().find_map(|scope| scope.strip_prefix(&prefix)).unwrap_or_default();
        assert!(actions.split(',').any(|a| a == action), "{scopes:?}");
    }
    // With no source named, a blob out of the token's reach is as good as none.
    mount(&target, blob.digest, None).await.expect_status(202);
    target.head_blob(&blob.digest).await.expect_status(404);

    let token = registry.client().token(&[push_target, "repository:team/source:pull"]).await.expect("a token");
    let target = Repository::new(&registry.client().with_bearer(&token), "team/target");
    mount(&target, blob.digest, Some("team/source")).await.expect_status(201);
}

/// Clients answer one challenge for one request, so it must name all that the request needs.
#[tokio::test]
async fn the_first_challenge_to_a_mount_names_both_repositories() {
    let (registry, source) = new_repository("team/source").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(4).bytes(512));
    source.push_blob(&blob).await;
    let target = Repository::new(&registry.anonymous(), "team/target");
    let reply = mount(&target, blob.digest, Some("team/source")).await.expect_status(401);
    let Some(Challenge::Bearer { scopes, .. }) = reply.challenge() else { panic!("{:?}", reply.headers) };
    assert_eq!(scopes, ["repository:team/target:pull,push", "repository:team/source:pull"]);
    let target = Repository::new(&registry.client(), "team/target");
    mount(&target, blob.digest, Some("team/source")).await.expect_status(201);
}

#[tokio::test]
async fn what_is_mounted_must_be_a_digest() {
    let (_registry, target) = new_repository("team/target").await;
    for digest in ["sha256:baddigeststring", "latest", &format!("sha384:{}", "0".repeat(96))] {
        mount(&target, digest, Some("team/source")).await.expect_error(400, "DIGEST_INVALID");
    }
    mount(&target, Digest::sha256(b"x"), Some("NOT-A-NAME")).await.expect_error(400, "NAME_INVALID");
}
