//! Ranges as attackers and odd clients write them.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{Item, Seed};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::limits::BYTE_RANGES_MAX;
use kogge_types::media_type::OCTET_STREAM;
use kogge_types::{Algorithm, Digest};

const BLOB_BYTES: usize = 2048;

struct World {
    _registry: TestRegistry,
    repository: Repository,
    blob: Item,
}

impl World {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let repository = Repository::new(&registry.client(), "team/app");
        let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(1).bytes(BLOB_BYTES));
        repository.push_blob(&blob).await;
        Self { _registry: registry, repository, blob }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Reply {
        let request = self.repository.client().get(self.repository.blob_path(&self.blob.digest));
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
    }
}

/// The parts of a multipart answer, each its `Content-Range` and its bytes; panics on any byte that belongs to none.
fn parts(reply: &Reply) -> Vec<(String, Vec<u8>)> {
    let content_type = reply.header("content-type").unwrap_or_default();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let mut rest: &[u8] = &reply.body;
    let mut parts = Vec::new();
    loop {
        let opening = format!("\r\n--{boundary}\r\n");
        let Some(after) = rest.strip_prefix(opening.as_bytes()) else { break };
        let end = after.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of a part's head");
        let head = String::from_utf8(after[..end].to_vec()).expect("a text");
        let line = |name: &str| {
            let found = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_else(|| panic!("{name} in {head:?}")).to_owned()
        };
        assert_eq!(line("Content-Type"), OCTET_STREAM);
        let range = line("Content-Range");
        let span = range.strip_prefix("bytes ").and_then(|range| range.split_once('/')).expect("a range").0;
        let (first, last) = span.split_once('-').expect("a range");
        let length = last.parse::<usize>().expect("a number") + 1 - first.parse::<usize>().expect("a number");
        let bytes = &after[end + 4..];
        parts.push((range, bytes[..length].to_vec()));
        rest = &bytes[length..];
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
    parts
}

#[tokio::test]
async fn parts_are_exactly_what_was_asked_for() {
    let world = World::start().await;
    let content = &world.blob.bytes;
    let last = BLOB_BYTES - 1;
    for (asked, expected) in [
        ("bytes=0-0,2-2", vec![(0, 0), (2, 2)]),
        ("bytes=0-0, 10-19 ,-1", vec![(0, 0), (10, 19), (last, last)]),
        ("bytes=100-199,0-9", vec![(100, 199), (0, 9)]),
        ("bytes=0-9,5000-6000,20-29", vec![(0, 9), (20, 29)]),
        ("bytes=,0-9,,20-29,", vec![(0, 9), (20, 29)]),
        ("bytes=0-9,2040-99999", vec![(0, 9), (2040, last)]),
    ] {
        let reply = world.get(&[("range", asked)]).await.expect_status(206);
        let found = parts(&reply);
        assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string()), "{asked}");
        assert_eq!(reply.header("content-range"), None, "{asked}: that is in the parts");
        let wanted: Vec<_> = expected
            .into_iter()
            .map(|(first, last)| (format!("bytes {first}-{last}/{BLOB_BYTES}"), content[first..=last].to_vec()))
            .collect();
        assert_eq!(found, wanted, "{asked}");
    }
}

/// Asking for the same bytes again and again must not make the registry send more than it has.
#[tokio::test]
async fn ranges_never_multiply_a_blob() {
    let world = World::start().await;
    let many = |range: &str, count: usize| format!("bytes={}", vec![range; count].join(","));
    for asked in [
        "bytes=0-,0-".to_owned(),
        "bytes=0-,1-,2-,3-".to_owned(),
        "bytes=-2048,0-2047".to_owned(),
        many("0-", BYTE_RANGES_MAX),
        many("0-", BYTE_RANGES_MAX + 1),
        many("0-2047", 1000),
    ] {
        let reply = world.get(&[("range", &asked)]).await;
        let overhead = 200 * BYTE_RANGES_MAX;
        assert!(matches!(reply.status.as_u16(), 200 | 206 | 416), "{asked:.60}: {}", reply.status);
        assert!(reply.body.len() <= BLOB_BYTES + overhead, "{asked:.60}: {} bytes", reply.body.len());
    }
    let each: Vec<_> = (0..BYTE_RANGES_MAX).map(|place| format!("{0}-{0}", 2 * place)).collect();
    let reply = world.get(&[("range", &format!("bytes={}", each.join(",")))]).await.expect_status(206);
    assert_eq!(parts(&reply).len(), BYTE_RANGES_MAX);
    let reply = world.get(&[("range", &format!("bytes={},2000-2000", each.join(",")))]).await;
    reply.expect_status(200).expect_body(&world.blob.bytes);
}

#[tokio::test]
async fn a_range_that_cannot_be_read_is_as_good_as_none() {
    let world = World::start().await;
    let huge = format!("bytes=0-{}", "9".repeat(1000));
    for asked in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=a-b",
        "bytes=0x0-0x1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes= 0 - 1",
        "bytes=0-1;2-3",
        "bytes:0-1",
        "items=0-1",
        "0-1",
        "bytes=0-1,x",
    ] {
        world.get(&[("range", asked)]).await.expect_status(200).expect_body(&world.blob.bytes);
    }
    world.get(&[("range", &huge)]).await.expect_status(206).expect_body(&world.blob.bytes);
    for asked in ["bytes=99999999999999999999999999-", "bytes=18446744073709551615-18446744073709551616", "bytes=-0"] {
        let reply = world.get(&[("range", asked)]).await.expect_status(416);
        reply.expect_header("content-range", format!("bytes */{BLOB_BYTES}"));
    }
    // Two headers are one list to some and the last one to others: nothing is cut then.
    let reply = world.get(&[("range", "bytes=0-1"), ("range", "bytes=4-5")]).await;
    assert!(matches!(reply.status.as_u16(), 200 | 206), "{}", reply.status);
}

#[tokio::test]
async fn an_empty_blob_has_no_ranges() {
    let world = World::start().await;
    let empty = Item::new(Algorithm::Sha256, OCTET_STREAM, "");
    world.repository.push_blob(&empty).await;
    let path = world.repository.blob_path(&empty.digest);
    let get = |range: &'static str| world.repository.client().get(&path).header("range", range).send();
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=0-,0-"] {
        get(range).await.expect_status(416).expect_header("content-range", "bytes */0");
    }
    world
        .repository
        .get_blob(&empty.digest)
        .await
        .expect_status(200)
        .expect_body(b"")
        .expect_header("content-length", 0);
}

#[tokio::test]
async fn a_range_of_another_content_is_not_cut_out_of_this_one() {
    let world = World::start().await;
    let (same, other) = (format!("\"{}\"", world.blob.digest), format!("\"{}\"", Digest::sha256(b"other")));
    let range = ("range", "bytes=0-9");
    world.get(&[range, ("if-range", &same)]).await.expect_status(206).expect_body(&world.blob.bytes[..10]);
    for validator in [other.as_str(), &format!("W/{same}"), "Sat, 29 Oct 1994 19:43:31 GMT", "*", ""] {
        let reply = world.get(&[range, ("if-range", validator)]).await;
        reply.expect_status(200).expect_body(&world.blob.bytes);
    }
    // Preconditions come before ranges.
    world.get(&[range, ("if-none-match", &same)]).await.expect_status(304).expect_body(b"");
    world.get(&[range, ("if-match", &other)]).await.expect_status(412);
    world.get(&[("range", "bytes=9999-"), ("if-none-match", &same)]).await.expect_status(304);
}

#[tokio::test]
async fn only_get_has_ranges() {
    let world = World::start().await;
    let head = world.repository.client().head(world.repository.blob_path(&world.blob.digest));
    let reply = head.header("range", "bytes=0-9").send().await.expect_status(200).expect_body(b"");
    reply.expect_header("content-length", BLOB_BYTES).expect_header("accept-ranges", "bytes");
}
