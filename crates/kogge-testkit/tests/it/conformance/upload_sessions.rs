//! Upload sessions: order of chunks, status, cancel, and what ends them.

use bytes::Bytes;
use http::Method;
use kogge_testkit::content::{Item, Seed};
use kogge_testkit::repository::{Repository, chunk_request, with_digest};
use kogge_types::Algorithm;
use kogge_types::media_type::OCTET_STREAM;

use super::new_repository;

const CHUNK_BYTES: usize = 1024;
const BLOB_BYTES: usize = 3 * CHUNK_BYTES - 5;

/// Checks that the upload at `location` holds `length` bytes, and returns where it goes on.
async fn expect_offset(repository: &Repository, location: &str, length: usize) -> String {
    let reply = repository.client().get(location).send().await.expect_status(204);
    reply.expect_header("range", format_args!("0-{}", length.saturating_sub(1))).location()
}

#[tokio::test]
async fn chunks_out_of_order_are_refused_and_do_no_harm() {
    let (_registry, repository) = new_repository("team/uploads").await;
    let client = repository.client();
    let seed = &mut Seed::new(1);
    for algorithm in Algorithm::ALL {
        for close_with_chunk in [false, true] {
            let blob = Item::new(algorithm, OCTET_STREAM, seed.bytes(BLOB_BYTES));
            let chunk = |start: usize| blob.bytes.slice(start..BLOB_BYTES.min(start + CHUNK_BYTES));
            let mut location = repository.start_upload().await;
            // What is stored, and the wrong chunk that is sent then: a gap, a gap to the end, one that is there already.
            for (stored, wrong) in [(0, CHUNK_BYTES), (CHUNK_BYTES, 2 * CHUNK_BYTES), (2 * CHUNK_BYTES, 0)] {
                let is_last = wrong == 2 * CHUNK_BYTES;
                let mut used = location.clone();
                let method = if close_with_chunk && is_last { Method::PUT } else { Method::PATCH };
                if method == Method::PUT {
                    used = with_digest(&location, &blob.digest);
                }
                chunk_request(client.request(method, &used), wrong, chunk(wrong)).send().await.expect_status(416);
                // The status is there under the address that was refused, query and all.
                location = expect_offset(&repository, &used, stored).await;
                if close_with_chunk && stored == 2 * CHUNK_BYTES {
                    let put = client.put(with_digest(&location, &blob.digest));
                    chunk_request(put, stored, chunk(stored)).send().await.expect_status(201);
                } else {
                    location = repository.patch(&location, stored, chunk(stored)).await.expect_status(202).location();
                }
            }
            if !close_with_chunk {
                repository.close_upload(&location, &blob.digest).await.expect_status(201);
            }
            repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
        }
    }
}

#[tokio::test]
async fn a_chunk_must_be_what_its_content_range_says() {
    let (_registry, repository) = new_repository("team/uploads").await;
    let location = repository.start_upload().await;
    let location = repository.patch(&location, 0, Bytes::from_static(b"0123")).await.expect_status(202).location();
    for (range, body) in [
        ("4-", "4567"),
        ("-4", "4567"),
        ("four-seven", "4567"),
        ("7-4", "4567"),
        ("4-18446744073709551616", "4567"),
        ("4-99", "4567"),
        ("4-5", "4567"),
        ("3-6", "3456"),
        ("5-8", "5678"),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            let digest = Item::new(Algorithm::Sha256, OCTET_STREAM, format!("0123{body}")).digest;
            let path = if method == Method::PUT { with_digest(&location, &digest) } else { location.clone() };
            let request = repository.client().request(method, path).header("content-range", range);
            let status = request.body(body).send().await.status.as_u16();
            assert!(matches!(status, 400 | 416), "{range}: {status}");
            expect_offset(&repository, &location, 4).await;
        }
    }
    let location = repository.patch(&location, 4, Bytes::from_static(b"4567")).await.expect_status(202).location();
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, "01234567");
    repository.close_upload(&location, &blob.digest).await.expect_status(201);
}

#[tokio::test]
async fn a_session_that_was_cancelled_or_closed_is_unknown() {
    let (_registry, repository) = new_repository("team/uploads").await;
    let client = repository.client();
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, "some content");
    let cancelled = repository.start_upload().await;
    let location = repository.patch(&cancelled, 0, blob.bytes.clone()).await.expect_status(202).location();
    client.delete(&location).send().await.expect_status(204);
    repository.head_blob(&blob.digest).await.expect_status(404);

    let closed = repository.start_upload().await;
    let put = client.put(with_digest(&closed, &blob.digest)).body(blob.bytes.clone());
    put.send().await.expect_status(201);

    let never = repository.path("blobs/uploads/3f2a7c1e-0000-4000-8000-000000000000");
    let nonsense = repository.path("blobs/uploads/not-a-session");
    for location in [cancelled, closed, never, nonsense] {
        client.get(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        client.delete(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        repository.patch(&location, 0, blob.bytes.clone()).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        repository.close_upload(&location, &blob.digest).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    repository.get_blob(&blob.digest).await.expect_status(200);
}

#[tokio::test]
async fn a_session_belongs_to_its_repository() {
    let (_registry, repository) = new_repository("team/uploads").await;
    let other = Repository::new(repository.client(), "team/other");
    let location = repository.start_upload().await;
    let moved = location.replace("team/uploads", "team/other");
    assert_ne!(location, moved);
    other.client().get(&moved).send().await.expect_status(404);
    other.patch(&moved, 0, Bytes::from_static(b"content")).await.expect_status(404);
    other.client().delete(&moved).send().await.expect_status(404);
    expect_offset(&repository, &location, 0).await;
}
