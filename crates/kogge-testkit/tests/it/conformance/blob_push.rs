//! Every way to push a blob, under both digest algorithms.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use kogge_testkit::content::{Item, Seed};
use kogge_testkit::http::{Reply, Request};
use kogge_testkit::repository::{Repository, chunk_request, with_digest};
use kogge_types::media_type::OCTET_STREAM;
use kogge_types::{Algorithm, Digest};

use super::new_repository;

const CHUNK_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy)]
enum Way {
    /// All in the POST that opens the upload.
    PostOnly,
    /// All in the PUT that closes it.
    PostPut,
    /// One PATCH whose length is not announced.
    Streamed,
    /// A PATCH for each chunk.
    Chunks,
    /// A PATCH for each chunk but the last, which is in the PUT.
    ChunksThenPut,
}

const WAYS: [Way; 5] = [Way::PostOnly, Way::PostPut, Way::Streamed, Way::Chunks, Way::ChunksThenPut];

/// Sends `content` as a blob named `digest` and returns the answer to the closing request.
async fn push(repository: &Repository, way: Way, content: &Bytes, digest: &Digest) -> Reply {
    let client = repository.client();
    if matches!(way, Way::PostOnly) {
        let path = with_digest(&repository.path("blobs/uploads/"), digest);
        return whole(client.post(path), content).send().await;
    }
    let mut location = repository.start_upload().await;
    match way {
        Way::PostOnly | Way::PostPut => {
            return whole(client.put(with_digest(&location, digest)), content).send().await;
        }
        Way::Streamed => {
            let patch = client.patch(&location).header(CONTENT_TYPE.as_str(), OCTET_STREAM);
            let pieces = content.chunks(100).map(Bytes::copy_from_slice);
            location = patch.chunked(pieces).send().await.expect_status(202).location();
        }
        Way::Chunks | Way::ChunksThenPut => {
            for start in (0..content.len()).step_by(CHUNK_BYTES) {
                let end = content.len().min(start + CHUNK_BYTES);
                let chunk = content.slice(start..end);
                if end == content.len() && matches!(way, Way::ChunksThenPut) {
                    let put = client.put(with_digest(&location, digest));
                    return chunk_request(put, start, chunk).send().await;
                }
                let reply = repository.patch(&location, start, chunk).await.expect_status(202);
                location = reply.expect_header("range", format_args!("0-{}", end - 1)).location();
            }
        }
    }
    repository.close_upload(&location, digest).await
}

/// The whole content in one body; an empty one is sent in chunks, of which there is none.
fn whole<'a>(request: Request<'a>, content: &Bytes) -> Request<'a> {
    let request = request.header(CONTENT_TYPE.as_str(), OCTET_STREAM);
    if content.is_empty() { request.chunked([]) } else { request.body(content.clone()) }
}

#[tokio::test]
async fn every_way_stores_the_bytes_under_either_algorithm() {
    let (_registry, repository) = new_repository("team/blobs").await;
    let seed = &mut Seed::new(1);
    for way in WAYS {
        for algorithm in Algorithm::ALL {
            for content in [Bytes::new(), "{}".into(), seed.bytes(512), seed.bytes(3 * CHUNK_BYTES - 5)] {
                let digest = Digest::of(algorithm, &content);
                let reply = push(&repository, way, &content, &digest).await.expect_status(201);
                let location = reply.expect_header("docker-content-digest", digest).location();
                repository.client().get(location).send().await.expect_status(200).expect_body(&content);
                for reply in [repository.get_blob(&digest).await, repository.head_blob(&digest).await] {
                    let reply = reply.expect_status(200).expect_header("content-length", content.len());
                    reply.expect_header("docker-content-digest", digest).expect_header("content-type", OCTET_STREAM);
                }
                repository.get_blob(&digest).await.expect_body(&content);
                repository.delete_blob(&digest).await.expect_status(202);
                repository.head_blob(&digest).await.expect_status(404).expect_body(b"");
            }
        }
    }
}

#[tokio::test]
async fn content_of_another_digest_is_refused_and_not_stored() {
    let (_registry, repository) = new_repository("team/blobs").await;
    let seed = &mut Seed::new(2);
    for way in WAYS {
        for algorithm in Algorithm::ALL {
            let named = seed.bytes(3 * CHUNK_BYTES - 5);
            let sent = Bytes::from([named.as_ref(), b"tail!"].concat());
            let digest = Digest::of(algorithm, &named);
            push(&repository, way, &sent, &digest).await.expect_error(400, "DIGEST_INVALID");
            repository.head_blob(&digest).await.expect_status(404);
            repository.head_blob(&Digest::of(algorithm, &sent)).await.expect_status(404);
        }
    }
}

#[tokio::test]
async fn an_upload_may_announce_its_algorithm_and_close_with_any() {
    let (_registry, repository) = new_repository("team/blobs").await;
    let seed = &mut Seed::new(3);
    for announced in Algorithm::ALL {
        for closing in Algorithm::ALL {
            let blob = Item::new(closing, OCTET_STREAM, seed.bytes(700));
            let path = repository.path(format_args!("blobs/uploads/?digest-algorithm={announced}"));
            let location = repository.client().post(path).send().await.expect_status(202).location();
            let location = repository.patch(&location, 0, blob.bytes.clone()).await.expect_status(202).location();
            let reply = repository.close_upload(&location, &blob.digest).await.expect_status(201);
            reply.expect_header("docker-content-digest", blob.digest);
            repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
        }
    }
}

#[tokio::test]
async fn digests_that_the_registry_cannot_check_are_refused() {
    let (_registry, repository) = new_repository("team/blobs").await;
    for digest in ["sha256:baddigeststring", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:", "nonsense"] {
        let path = repository.path(format_args!("blobs/uploads/?digest={digest}"));
        repository.client().post(path).body("content").send().await.expect_error(400, "DIGEST_INVALID");
        let location = repository.start_upload().await;
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = repository.client().put(format!("{location}{separator}digest={digest}"));
        put.body("content").send().await.expect_error(400, "DIGEST_INVALID");
    }
    let path = repository.path("blobs/uploads/?digest-algorithm=md5");
    repository.client().post(path).send().await.expect_error(400, "DIGEST_INVALID");
    let location = repository.start_upload().await;
    repository.client().put(location).body("content").send().await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn the_same_blob_may_be_pushed_again_before_and_after_a_delete() {
    let (_registry, repository) = new_repository("team/blobs").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, "{}");
    for _ in 0..2 {
        repository.push_blob(&blob).await;
        repository.push_blob(&blob).await;
        repository.delete_blob(&blob.digest).await.expect_status(202);
        repository.head_blob(&blob.digest).await.expect_status(404);
    }
}
