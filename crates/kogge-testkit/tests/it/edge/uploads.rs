//! Uploads that lie about themselves: the right code, and nothing left behind.

use bytes::Bytes;
use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{Item, Seed};
use kogge_testkit::repository::{Repository, with_digest};
use kogge_types::media_type::OCTET_STREAM;
use kogge_types::{Algorithm, Digest};

use super::uploads_left;

async fn new_repository() -> (TestRegistry, Repository) {
    let registry = TestRegistry::start().await;
    let repository = Repository::new(&registry.client(), "team/app");
    (registry, repository)
}

/// Files of stored blobs on the disk.
fn blobs_stored(registry: &TestRegistry) -> usize {
    super::files(&registry.data_dir().join("store/blobs"))
}

/// A proxy that retries a PUT whose body it has sent away already sends none.
#[tokio::test]
async fn an_empty_body_is_not_the_blob_that_was_meant() {
    let (registry, repository) = new_repository().await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, "what the client meant to send");
    let client = repository.client();
    let location = repository.start_upload().await;
    client.put(with_digest(&location, &blob.digest)).send().await.expect_error(400, "DIGEST_INVALID");
    client.get(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let post = repository.path(format_args!("blobs/uploads/?digest={}", blob.digest));
    client.post(post).send().await.expect_error(400, "DIGEST_INVALID");
    repository.head_blob(&blob.digest).await.expect_status(404);
    assert_eq!((uploads_left(&registry), blobs_stored(&registry)), (0, 0));
    // The empty blob itself is one that may be pushed.
    let empty = Item::new(Algorithm::Sha256, OCTET_STREAM, "");
    repository.push_blob(&empty).await;
    repository.get_blob(&empty.digest).await.expect_status(200).expect_body(b"");
}

#[tokio::test]
async fn content_of_another_digest_leaves_nothing() {
    let (registry, repository) = new_repository().await;
    let client = repository.client();
    let content = Seed::new(1).bytes(300_000);
    for algorithm in Algorithm::ALL {
        let wrong = Digest::of(algorithm, b"something else");
        let location = repository.start_upload().await;
        let location = repository.patch(&location, 0, content.clone()).await.expect_status(202).location();
        repository.close_upload(&location, &wrong).await.expect_error(400, "DIGEST_INVALID");
        client.get(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        let location = repository.start_upload().await;
        let put = client.put(with_digest(&location, &wrong)).chunked([content.clone(), content.clone()]);
        put.send().await.expect_error(400, "DIGEST_INVALID");
        let post = client.post(repository.path(format_args!("blobs/uploads/?digest={wrong}")));
        post.body(content.clone()).send().await.expect_error(400, "DIGEST_INVALID");
        repository.head_blob(&wrong).await.expect_status(404);
        repository.head_blob(&Digest::of(algorithm, &content)).await.expect_status(404);
    }
    assert_eq!((uploads_left(&registry), blobs_stored(&registry)), (0, 0));
    registry.client().get("/acr/v1/team/app").send().await.expect_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_close_without_a_good_digest_changes_nothing() {
    let (registry, repository) = new_repository().await;
    let client = repository.client();
    let content = Bytes::from_static(b"content");
    let digest = Digest::sha256(&content);
    let location = repository.start_upload().await;
    let location = repository.patch(&location, 0, content.clone()).await.expect_status(202).location();
    for query in
        ["", "?digest=", "?digest", "?Digest=x", "?digest=latest", "?digest=sha256:short", "?digest=%ff", "?tag=x"]
    {
        client.put(format!("{location}{query}")).body("more").send().await.expect_error(400, "DIGEST_INVALID");
        let reply = client.get(&location).send().await.expect_status(204);
        reply.expect_header("range", format_args!("0-{}", content.len() - 1));
    }
    let mut twice = with_digest(&location, &digest);
    twice.push_str(&format!("&digest={}", Digest::sha256(b"other")));
    let status = client.put(twice).send().await.status.as_u16();
    assert!(matches!(status, 201 | 400), "{status}");
    assert_eq!(uploads_left(&registry), 0);
}

#[tokio::test]
async fn a_content_range_with_tricks_changes_nothing() {
    let (_registry, repository) = new_repository().await;
    let client = repository.client();
    let location = repository.start_upload().await;
    let location = repository.patch(&location, 0, Bytes::from_static(b"0123")).await.expect_status(202).location();
    let digest = Digest::sha256(b"01234567");
    let huge = "9".repeat(5000);
    for ranges in [
        &["4-7", "4-8"][..],
        &["4-7", "8-11"],
        &["0-3", "4-7"],
        &["4-7,8-11"],
        &["bytes 4-7/4"],
        &["bytes */8"],
        &["4-7-"],
        &["+4-7"],
        &["4-0x7"],
        &[" 4 - 7 "],
        &["4\u{2013}7"],
        &["4-18446744073709551615"],
        &["18446744073709551615-18446744073709551615"],
        &["4-3"],
        &["bytes 4-7/x"],
        &["items 4-7"],
        &[huge.as_str()],
        &["4-214748364800"],
        &[""],
        &["-"],
        &["bytes"],
        &["bytesbytes 4-7"],
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let path = if method == Method::PUT { with_digest(&location, &digest) } else { location.clone() };
            let request = client.request(method.clone(), path).body("4567");
            let request = ranges.iter().fold(request, |request, range| request.header("content-range", range));
            let reply = request.send().await;
            assert!(matches!(reply.status.as_u16(), 400 | 416), "{method} {ranges:.80?}: {}", reply.status);
            let at = client.get(&location).send().await.expect_status(204);
            at.expect_header("range", "0-3");
        }
    }
    let patch = client.patch(&location).header("content-range", "bytes 4-7/8").body("4567");
    let location = patch.send().await.expect_status(202).location();
    repository.close_upload(&location, &digest).await.expect_status(201);
}

#[tokio::test]
async fn sessions_are_of_their_repository_and_cannot_be_guessed() {
    let (registry, repository) = new_repository().await;
    let client = repository.client();
    let location = repository.start_upload().await;
    let id = location.rsplit('/').next().expect("an id").split('?').next().expect("an id");
    for (name, id) in [
        ("team/app2", id.to_owned()),
        ("team", id.to_owned()),
        ("team/app", id.to_uppercase() + "x"),
        ("team/app", id[1..].to_owned()),
        ("team/app", format!("{id}0")),
        ("team/app", "..".into()),
        ("team/app", "%2e%2e".into()),
        ("team/app", format!("{id}%00")),
        ("team/app", "0".repeat(32)),
        ("team/app", "%2A".into()),
    ] {
        let path = format!("/v2/{name}/blobs/uploads/{id}");
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::PATCH, path.clone()),
            (Method::PUT, with_digest(&path, &Digest::sha256(b""))),
        ] {
            client.request(method, path).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    client.get(&location).send().await.expect_status(204);
    client.delete(&location).send().await.expect_status(204);
    assert_eq!(uploads_left(&registry), 0);
}

/// Chunks are unions of what came; none of the sizes may matter.
#[tokio::test]
async fn chunks_of_any_size_make_the_same_blob() {
    let (registry, repository) = new_repository().await;
    let content = Seed::new(2).bytes(700_001);
    let digest = Digest::sha256(&content);
    for sizes in [&[0_usize, 1, 0, 65_536, 65_535][..], &[700_001], &[700_000], &[262_144, 262_144]] {
        let mut location = repository.start_upload().await;
        let mut at = 0;
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let end = content.len().min(at + size.min(content.len()));
            let patch = repository.client().patch(&location).body(content.slice(at..end));
            let reply = patch.send().await.expect_status(202);
            location = reply.expect_header("range", format_args!("0-{}", end.saturating_sub(1))).location();
            at = end;
        }
        repository.close_upload(&location, &digest).await.expect_status(201);
        repository.get_blob(&digest).await.expect_status(200).expect_body(&content);
        repository.delete_blob(&digest).await.expect_status(202);
    }
    assert_eq!(uploads_left(&registry), 0);
}
