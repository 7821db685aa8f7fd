//! Pulling parts of a blob, and pulling only what changed.

use std::ops::Range;

use kogge_testkit::content::{Item, Seed};
use kogge_types::Algorithm;
use kogge_types::media_type::OCTET_STREAM;

use super::new_repository;

const BLOB_BYTES: usize = 2048;

#[tokio::test]
async fn a_range_is_answered_with_its_bytes_or_not_at_all() {
    let (_registry, repository) = new_repository("team/ranges").await;
    let part = |range: Range<usize>| Some(range);
    for algorithm in Algorithm::ALL {
        let blob = Item::new(algorithm, OCTET_STREAM, Seed::new(1).bytes(BLOB_BYTES));
        repository.push_blob(&blob).await;
        for (asked, expected) in [
            ("bytes=500-1499", part(500..1500)),
            ("bytes=0-0", part(0..1)),
            ("bytes=500-", part(500..BLOB_BYTES)),
            ("bytes=-500", part(BLOB_BYTES - 500..BLOB_BYTES)),
            ("bytes=-5000", part(0..BLOB_BYTES)),
            ("bytes=2000-5000", part(2000..BLOB_BYTES)),
            ("bytes=500-0", None),
            ("bytes=5000-10000", None),
            ("bytes=2048-", None),
            ("bytes=-0", None),
        ] {
            let reply = repository.client().get(repository.blob_path(&blob.digest)).header("range", asked).send().await;
            match expected {
                Some(Range { start, end }) => reply
                    .expect_status(206)
                    .expect_header("content-range", format_args!("bytes {start}-{}/{BLOB_BYTES}", end - 1))
                    .expect_header("content-length", end - start)
                    .expect_body(&blob.bytes[start..end]),
                None => reply.expect_status(416).expect_header("content-range", format_args!("bytes */{BLOB_BYTES}")),
            };
        }
    }
}

#[tokio::test]
async fn several_ranges_come_as_parts() {
    let (_registry, repository) = new_repository("team/ranges").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, vec![b'x'; BLOB_BYTES]);
    repository.push_blob(&blob).await;
    let get = repository.client().get(repository.blob_path(&blob.digest)).header("range", "bytes=0-9,100-119,-5");
    let reply = get.send().await.expect_status(206);
    let content_type = reply.header("content-type").unwrap_or_default();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary").trim_matches('"');
    let parts: Vec<_> = reply.text().split(&format!("--{boundary}")).map(str::to_owned).collect();
    let [_, first, second, third, end] = parts.as_slice() else { panic!("{parts:?}") };
    for (part, range, length) in [(first, "0-9", 10), (second, "100-119", 20), (third, "2043-2047", 5)] {
        assert!(part.contains(&format!("bytes {range}/{BLOB_BYTES}\r\n")), "{part}");
        assert!(part.ends_with(&format!("\r\n\r\n{}\r\n", "x".repeat(length))), "{part}");
    }
    assert_eq!(end.trim_end(), "--");
}

#[tokio::test]
async fn conditions_spare_what_the_client_has() {
    let (_registry, repository) = new_repository("team/ranges").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(2).bytes(BLOB_BYTES));
    repository.push_blob(&blob).await;
    let path = repository.blob_path(&blob.digest);
    let etag = repository.get_blob(&blob.digest).await.header("etag").expect("an entity tag");
    let other = r#""another""#;
    for (header, value, range, status) in [
        ("if-none-match", etag.as_str(), false, 304),
        ("if-none-match", "*", false, 304),
        ("if-none-match", other, false, 200),
        ("if-range", &etag, true, 206),
        ("if-range", other, true, 200),
    ] {
        let mut get = repository.client().get(&path).header(header, value);
        if range {
            get = get.header("range", "bytes=0-9");
        }
        let length = match status {
            304 => 0,
            206 => 10,
            _ => BLOB_BYTES,
        };
        get.send().await.expect_status(status).expect_body(&blob.bytes[..length]);
    }
}

#[tokio::test]
async fn head_tells_the_whole_length_whatever_range_is_asked() {
    let (_registry, repository) = new_repository("team/ranges").await;
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(3).bytes(BLOB_BYTES));
    repository.push_blob(&blob).await;
    let head = repository.client().head(repository.blob_path(&blob.digest)).header("range", "bytes=0-9");
    let reply = head.send().await.expect_status(200).expect_header("content-length", BLOB_BYTES);
    reply.expect_header("accept-ranges", "bytes").expect_body(b"");
}
