//! A restart is ready at once, however much is stored: the start looks at no manifest and no blob.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use kogge_core::{Core, DEFAULT_REGISTRY, PutManifest, Settings, TagCondition, Target};
use kogge_server::installation::Installation;
use kogge_testkit::content::{ImageBuilder, Item, Seed, Tree};
use kogge_testkit::process::{Process, Site};
use kogge_testkit::repository::Repository;
use kogge_testkit::tier;
use kogge_types::{Algorithm, Reference};

/// Pushes that wait for the disk together.
const PUSHES_AT_ONCE: usize = 256;
/// Bytes that a start may read, whatever is stored: the program's libraries, the first pages of the metadata, and
/// what a crash left in its write-ahead log.
const READ_BYTES_MAX: u64 = 5 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_look_through_what_is_stored() {
    let count = if tier::is_long() { 100_000 } else { 5_000 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    store(&site, &image, count).await;
    // The first start of all makes the administrator.
    site.serve().stop();
    for after in ["an orderly stop", "kill -9"] {
        let (process, took, read) = start(&site).await;
        println!(
            "ready {} ms after the start, {count} manifests stored, after {after}; {read} bytes read",
            took.as_millis()
        );
        assert!(read <= READ_BYTES_MAX, "the start read {read} bytes after {after}");
        let last = manifest(&image, count - 1);
        let repository = Repository::new(&process.client(), "many/one");
        repository.get_manifest(last.digest).await.expect_status(200).expect_body(&last.bytes);
        let next = manifest(&image, count + took.subsec_nanos() as usize);
        repository.put_manifest(next.digest, &next).await.expect_status(201);
        process.kill();
    }
}

/// Starts the program: until it says that it is ready, and how many bytes it has read by then.
async fn start(site: &Site) -> (Process, Duration, u64) {
    let begun = Instant::now();
    let process = site.serve();
    process.client().get("/readyz").send().await.expect_status(200);
    let took = begun.elapsed();
    let counters = std::fs::read_to_string(format!("/proc/{}/io", process.pid())).expect("a process has counters");
    let read = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).and_then(|count| count.parse().ok());
    (process, took, read.expect("the counters tell how much was read"))
}

/// Stores `count` manifests of the blobs of `image`, without the network between.
async fn store(site: &Site, image: &Tree, count: usize) {
    let installation =
        Installation::open(site.data_dir(), Some(Settings::default())).await.expect("a new installation");
    let core: &Core = &installation.core;
    let registry = core.registry(&DEFAULT_REGISTRY.parse().expect("a name")).expect("the default registry");
    let target = Target { registry, repository: "many/one".parse().expect("a name") };
    for blob in &image.blobs {
        let body = stream::iter([Ok(blob.bytes.clone())]);
        core.put_blob(&target, &blob.digest, body).await.expect("a blob is stored");
    }
    let pushes = stream::iter(0..count).map(|number| {
        let manifest = manifest(image, number);
        let put = PutManifest {
            reference: Reference::Digest(manifest.digest),
            tags: vec![format!("t{number}").parse().expect("a tag")],
            content_type: manifest.media_type,
            body: manifest.bytes,
            condition: TagCondition::None,
        };
        core.put_manifest(&target, put)
    });
    pushes.buffer_unordered(PUSHES_AT_ONCE).try_for_each(|_| async { Ok(()) }).await.expect("manifests are stored");
    // A server follows the journal as it grows; what it has not followed it reads at its next start.
    core.follow_deletions().await.expect("the journal is followed");
}

/// The manifest of `image` with a number of its own.
fn manifest(image: &Tree, number: usize) -> Item {
    let mut body: serde_json::Value = serde_json::from_slice(&image.root().bytes).expect("a manifest is JSON");
    body["annotations"] = serde_json::json!({ "number": number.to_string() });
    Item::manifest(Algorithm::Sha256, &image.root().media_type, &body)
}
