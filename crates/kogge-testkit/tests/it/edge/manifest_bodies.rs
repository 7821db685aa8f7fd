//! Bodies that are no manifest, or one that wants to hurt.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Item, Seed, Tree};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use kogge_types::limits::{MANIFEST_BYTES_MAX, MANIFEST_DESCRIPTORS_MAX};
use kogge_types::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::json;

use super::uploads_left;

struct World {
    registry: TestRegistry,
    repository: Repository,
    image: Tree,
}

impl World {
    /// A registry whose repository has an image's blobs, but no manifest.
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let repository = Repository::new(&registry.client(), "team/app");
        let image = ImageBuilder::new(&mut Seed::new(1)).build();
        for blob in &image.blobs {
            repository.push_blob(blob).await;
        }
        Self { registry, repository, image }
    }

    async fn put(&self, media_type: &str, body: impl Into<Bytes>) -> Reply {
        let put = self.repository.client().put(self.repository.manifest_path("latest"));
        put.header("content-type", media_type).body(body).send().await
    }

    async fn put_chunked(&self, body: &Bytes) -> Reply {
        let put = self.repository.client().put(self.repository.manifest_path("latest"));
        let pieces: Vec<_> = body.chunks(64 * 1024).map(|piece| body.slice_ref(piece)).collect();
        put.header("content-type", OCI_MANIFEST).chunked(pieces).send().await
    }

    /// The image's manifest with `from` replaced by `to`.
    fn with(&self, from: &str, to: &str) -> String {
        let text = String::from_utf8(self.image.root().bytes.to_vec()).expect("JSON");
        assert!(text.contains(from), "{from} in {text}");
        text.replacen(from, to, 1)
    }

    /// The image's manifest with one more member.
    fn plus(&self, member: &str) -> String {
        self.with("{", &format!("{{{member},"))
    }

    /// Nothing was kept of what was refused.
    async fn expect_nothing(&self) {
        self.repository.head_manifest("latest").await.expect_status(404);
        self.repository.tags("").await.expect_error(404, "NAME_UNKNOWN");
        self.registry.client().get("/acr/v1/team/app").send().await.expect_error(404, "NAME_UNKNOWN");
        assert_eq!(uploads_left(&self.registry), 0);
    }
}

/// The image's manifest, padded to `length` bytes.
fn padded(image: &Tree, length: usize) -> Bytes {
    let body = std::str::from_utf8(&image.root().bytes).expect("JSON");
    let member = |pad: &str| body.replacen('{', &format!("{{\"pad\":\"{pad}\","), 1);
    let pad = length - member("").len();
    member(&"x".repeat(pad)).into()
}

#[tokio::test]
async fn a_manifest_is_at_most_4_mib_however_it_is_sent() {
    let world = World::start().await;
    let over = padded(&world.image, MANIFEST_BYTES_MAX + 1);
    assert_eq!(over.len(), MANIFEST_BYTES_MAX + 1);
    world.put(OCI_MANIFEST, over.clone()).await.expect_error(413, "MANIFEST_INVALID");
    world.put_chunked(&over).await.expect_error(413, "MANIFEST_INVALID");
    let far_over = Bytes::from(vec![b'['; 3 * MANIFEST_BYTES_MAX]);
    world.put_chunked(&far_over).await.expect_error(413, "MANIFEST_INVALID");
    world.expect_nothing().await;
    let most = padded(&world.image, MANIFEST_BYTES_MAX);
    for reply in [world.put(OCI_MANIFEST, most.clone()).await, world.put_chunked(&most).await] {
        reply.expect_status(201).expect_header("docker-content-digest", Digest::sha256(&most));
    }
    world.repository.get_manifest("latest").await.expect_status(200).expect_body(&most);
}

#[tokio::test]
async fn json_bombs_are_refused_quickly() {
    let world = World::start().await;
    let deep = |open: &str, inside: &str, close: &str, depth: usize| {
        format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
    };
    let begun = Instant::now();
    for body in [
        deep("[", "", "]", 1_000_000),
        deep("{\"a\":", "1", "}", 500_000),
        "[".repeat(MANIFEST_BYTES_MAX),
        "{\"a\":".repeat(MANIFEST_BYTES_MAX / 5),
        "\"".to_owned() + &"\\".repeat(1_000_001),
        "9".repeat(1_000_000),
        format!("{{\"schemaVersion\":{}}}", "2".repeat(1_000_000)),
        format!("{{\"schemaVersion\":2{}}}", "e9".repeat(100_000)),
        world.plus(&format!("\"annotations\":{}", deep("{\"a\":", "1", "}", 100_000))),
        world.plus(&format!("\"subject\":{}", deep("[", "", "]", 100_000))),
        world.plus("\"annotations\":{\"a\":{}}"),
    ] {
        world.put(OCI_MANIFEST, body.clone()).await.expect_error(400, "MANIFEST_INVALID");
        world.put(OCI_INDEX, body).await.expect_error(400, "MANIFEST_INVALID");
    }
    world.expect_nothing().await;
    // A field that nobody reads may be of any depth: it is skipped without recursion.
    let unread = world.plus(&format!("\"unread\":{}", deep("[", "", "]", 1_000_000)));
    world.put(OCI_MANIFEST, unread).await.expect_status(201);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_readers_could_understand_in_two_ways_is_refused() {
    let world = World::start().await;
    let (config, layer) = (world.image.blobs[0].digest, world.image.blobs[1].digest);
    let other = Digest::sha256(b"other");
    let text = world.with("{", "{");
    let bodies: Vec<Vec<u8>> = vec![
        world.plus("\"schemaVersion\":2").into(),
        world.plus("\"schemaVersion\":1").into(),
        world.plus(&format!("\"mediaType\":\"{OCI_MANIFEST}\"")).into(),
        world.plus(&format!("\"mediaType\":\"{OCI_INDEX}\"")).into(),
        world.plus("\"layers\":[]").into(),
        world.plus("\"config\":null").into(),
        world.plus("\"manifests\":[]").into(),
        world
            .with(&format!("\"digest\":\"{config}\""), &format!("\"digest\":\"{config}\",\"digest\":\"{other}\""))
            .into(),
        world.with(&format!("\"{layer}\""), &format!("\"{}\"", layer.to_string().to_uppercase())).into(),
        format!("{text}{text}").into(),
        format!("{text}\0").into(),
        format!("\u{feff}{text}").into(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        [b"\xff\xfe".as_slice(), text.as_bytes()].concat(),
        text.replacen('{', "{\"a\":1,}", 1).into(),
        text.replacen('{', "{/* a */", 1).into(),
        text.replacen('{', "{'a':1,", 1).into(),
        text.replacen('{', "{\"a\":NaN,", 1).into(),
        text.replacen('{', "{\"a\":\"\n\",", 1).into(),
        text[..text.len() - 1].into(),
        b" \r\n\t".to_vec(),
        b"null".to_vec(),
        b"{}".to_vec(),
    ];
    for body in bodies {
        let reply = world.put(OCI_MANIFEST, body.clone()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "MANIFEST_INVALID"),
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_are_no_json() {
    let world = World::start().await;
    for bad in [b"\xff".as_slice(), b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"] {
        for member in ["extra", "mediaTypo"] {
            let text = world.plus(&format!("\"{member}\":\"@\""));
            let at = text.find('@').expect("a place");
            let body = [&text.as_bytes()[..at], bad, &text.as_bytes()[at + 1..]].concat();
            world.put(OCI_MANIFEST, body).await.expect_error(400, "MANIFEST_INVALID");
        }
        let text = world.plus("\"annotations\":{\"a\":\"@\"}");
        let at = text.find('@').expect("a place");
        let body = [&text.as_bytes()[..at], bad, &text.as_bytes()[at + 1..]].concat();
        world.put(OCI_MANIFEST, body).await.expect_error(400, "MANIFEST_INVALID");
    }
    world.expect_nothing().await;
}

#[tokio::test]
async fn sizes_and_digests_of_descriptors_are_checked() {
    let world = World::start().await;
    let layer = &world.image.blobs[1];
    let size = format!("\"size\":{}", layer.bytes.len());
    for wrong in [
        "-1",
        "513",
        "0",
        "1e400",
        "512.0",
        "5.12e2",
        "\"512\"",
        "null",
        "18446744073709551616",
        "18446744073709551615",
        "9223372036854775808",
        "-0",
        "0512",
        "true",
        "[]",
    ] {
        let reply = world.put(OCI_MANIFEST, world.with(&size, &format!("\"size\":{wrong}"))).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "MANIFEST_INVALID"),
            "{wrong}: {}",
            reply.text()
        );
    }
    let digest = layer.digest.to_string();
    for wrong in ["", "sha256:", "sha256:00", "latest", "../../etc/passwd", "sha256:\\u0000", &digest.to_uppercase()] {
        world.put(OCI_MANIFEST, world.with(&digest, wrong)).await.expect_error(400, "MANIFEST_INVALID");
    }
    for subject in ["[]", "1", "{}", "{\"digest\":\"x\"}", "\"x\""] {
        world
            .put(OCI_MANIFEST, world.plus(&format!("\"subject\":{subject}")))
            .await
            .expect_error(400, "MANIFEST_INVALID");
    }
    world.expect_nothing().await;
}

/// An index names what it does not have; numbers of any size must not upset anybody who sums them up.
#[tokio::test]
async fn an_index_of_huge_children_is_stored_and_listed() {
    let world = World::start().await;
    let child = |seed: u8, size: &str| {
        let digest = Digest::sha256(&[seed]);
        format!(r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size}}}"#)
    };
    let (max, half) = ("18446744073709551615", "9223372036854775808");
    let subject = child(9, max);
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{}],"subject":{subject}}}"#,
        child(1, max),
        child(2, max),
        child(3, half)
    );
    let reply = world.put(OCI_INDEX, body.clone()).await;
    if reply.status == 400 {
        return world.expect_nothing().await;
    }
    reply.expect_status(201);
    world.repository.get_manifest("latest").await.expect_status(200).expect_body(body.as_bytes());
    world.registry.client().get("/acr/v1/team/app/_manifests").send().await.expect_status(200);
    world.repository.referrers(Digest::sha256(&[9]), "").await.expect_status(200);
    world.repository.delete_manifest(Digest::sha256(body.as_bytes())).await.expect_status(202);
}

#[tokio::test]
async fn many_descriptors_and_odd_but_valid_json_are_taken_as_they_are() {
    let world = World::start().await;
    let layer = world.image.blobs[1].descriptor().to_string();
    let config = world.image.blobs[0].descriptor();
    let repeated = |count: usize| {
        let layers = vec![layer.as_str(); count].join(",");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
    };
    let over = repeated(MANIFEST_DESCRIPTORS_MAX + 1);
    world.put(OCI_MANIFEST, over).await.expect_error(400, "MANIFEST_INVALID");
    world.expect_nothing().await;
    let annotations = json!({"": "", "\u{0}": "\u{1f433}", "a": "x".repeat(100_000)});
    for body in [
        repeated(MANIFEST_DESCRIPTORS_MAX),
        world.plus(&format!("\"annotations\":{annotations}")),
        world.plus("\"schemaversion\":1,\"Layers\":7,\"unknown\":{\"deep\":[[[[[1e308,-0.0]]]]]}"),
        world.plus("\"a\":1,\"a\":2"),
        world.with("{", "{ \r\n\t"),
        world.with("\"schemaVersion\"", "\"\\u0073chemaVersion\""),
    ] {
        world.put(OCI_MANIFEST, body.clone()).await.expect_status(201);
        world.repository.get_manifest("latest").await.expect_status(200).expect_body(body.as_bytes());
    }
}

#[tokio::test]
async fn the_content_type_decides_and_must_be_one() {
    let world = World::start().await;
    let body = world.with(&format!("\"mediaType\":\"{OCI_MANIFEST}\","), "");
    let body = if body.contains(&format!("\"mediaType\":\"{OCI_MANIFEST}\"")) { world.with("{", "{") } else { body };
    for content_type in [
        "",
        "application/json",
        "text/plain",
        "*/*",
        "application/vnd.oci.image.layer.v1.tar",
        "application/octet-stream",
        ";",
        "a",
    ] {
        world.put(content_type, body.clone()).await.expect_error(415, "MANIFEST_INVALID");
    }
    world.expect_nothing().await;
    let item = Item::new(
        kogge_types::Algorithm::Sha256,
        &format!("{OCI_MANIFEST}; charset=utf-8"),
        world.image.root().bytes.clone(),
    );
    world.repository.put_manifest("latest", &item).await.expect_status(201);
    world.repository.get_manifest("latest").await.expect_header("content-type", OCI_MANIFEST);
}
