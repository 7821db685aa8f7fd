//! A disk that gets full: refusals that say so, nothing half-written, and reads that go on.

use bytes::Bytes;
use kogge_testkit::content::{ImageBuilder, Item, Seed, Tree};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::{Repository, with_digest};
use kogge_types::Algorithm;
use kogge_types::media_type::{OCI_LAYER_GZIP, OCTET_STREAM};

use super::small_disk::SmallDisk;
use super::store_folder::StoreFolder;

const MIB: usize = 1024 * 1024;
/// Size of a small disk. An upload as large as the disk does not fit, and its last part is short enough for the server
/// to read it to the end before it refuses.
const DISK_MIB: usize = 24;
/// Manifests that surely do not fit into what is left of a full disk.
const MANIFESTS_MAX: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_does_not_fit_is_refused_and_leaves_nothing() {
    let disk = SmallDisk::mount(DISK_MIB);
    let mut process = disk.site().serve();
    let client = process.client();
    let repository = Repository::new(&client, "full/app");
    let kept = image(1, 2 * MIB);
    repository.push_tagged(&kept, "kept").await;
    let before = StoreFolder::read(&disk.data_dir());

    let big = Item::new(Algorithm::Sha256, OCI_LAYER_GZIP, Seed::new(2).bytes(DISK_MIB * MIB));
    let uploads = repository.path("blobs/uploads/");
    let whole = client.post(with_digest(&uploads, &big.digest)).header("content-type", OCTET_STREAM);
    expect_full(whole.body(big.bytes.clone()).send().await);
    let location = repository.start_upload().await;
    expect_full(client.put(with_digest(&location, &big.digest)).body(big.bytes.clone()).send().await);
    let location = repository.start_upload().await;
    let pieces = (0..DISK_MIB).map(|piece| big.bytes.slice(piece * MIB..(piece + 1) * MIB));
    expect_full(client.patch(&location).chunked(pieces).send().await);
    let location = repository.start_upload().await;
    let mut sent = 0;
    let refusal = loop {
        let reply = repository.patch(&location, sent, big.bytes.slice(sent..sent + 4 * MIB)).await;
        if reply.status != 202 {
            break reply;
        }
        sent += 4 * MIB;
    };
    expect_full(refusal);
    client.get(&location).send().await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");

    let after = StoreFolder::read(&disk.data_dir());
    assert_eq!((after.copies, after.others.len()), (before.copies, 0));
    expect_whole(&repository, &kept, "kept").await;
    assert!(process.is_alive());
    let next = image(3, 8 * MIB);
    repository.push_tagged(&next, "next").await;
    process.kill();
    let process = disk.site().serve();
    let repository = Repository::new(&process.client(), "full/app");
    expect_whole(&repository, &kept, "kept").await;
    expect_whole(&repository, &next, "next").await;
    process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_and_collecting_makes_room_again() {
    let disk = SmallDisk::mount(DISK_MIB);
    let site = disk.site().with("KOGGE_GC_GRACE", "0s").with("KOGGE_GC_INTERVAL", "1h");
    // The first collection comes with the first start, the next one an hour later: not between a blob and its manifest.
    site.serve().stop();
    let process = site.serve();
    let repository = Repository::new(&process.client(), "full/app");
    let (old, new) = (image(1, 14 * MIB), image(2, 14 * MIB));
    repository.push_tagged(&old, "old").await;
    let uploads = repository.path("blobs/uploads/");
    let layer = &new.blobs[1];
    let push = repository.client().post(with_digest(&uploads, &layer.digest)).body(layer.bytes.clone());
    expect_full(push.send().await);
    repository.delete_manifest(old.root().digest).await.expect_status(202);
    let report = site.run(&["gc"]).json();
    assert!(report["bytes_removed"].as_u64() > Some(14 * MIB as u64), "{report}");
    repository.push_tagged(&new, "new").await;
    expect_whole(&repository, &new, "new").await;
    repository.get_manifest("old").await.expect_status(404);
    process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_does_not_fit_is_refused_and_reads_go_on() {
    let disk = SmallDisk::mount(DISK_MIB);
    let mut process = disk.site().serve();
    let client = process.client();
    let repository = Repository::new(&client, "full/app");
    let kept = image(1, MIB);
    repository.push_tagged(&kept, "kept").await;
    disk.fill();
    let (accepted, refused) = push_manifests(&repository, &kept).await;
    client.get("/healthz").send().await.expect_status(200);
    client.get("/readyz").send().await.expect_status(503);
    expect_whole(&repository, &kept, "kept").await;
    expect_accepted(&repository, &accepted).await;
    repository.get_manifest(refused.digest).await.expect_status(404);
    let small = Item::new(Algorithm::Sha256, OCI_LAYER_GZIP, Seed::new(5).bytes(4096));
    let uploads = repository.path("blobs/uploads/");
    expect_full(client.post(with_digest(&uploads, &small.digest)).body(small.bytes.clone()).send().await);
    assert!(process.is_alive());

    disk.drain();
    client.get("/readyz").send().await.expect_status(200);
    repository.put_manifest("after", &refused).await.expect_status(201);
    repository.push_blob(&small).await;
    assert_eq!(StoreFolder::read(&disk.data_dir()).others, Vec::<std::path::PathBuf>::new());
    process.kill();
    let process = disk.site().serve();
    let repository = Repository::new(&process.client(), "full/app");
    expect_whole(&repository, &kept, "kept").await;
    expect_accepted(&repository, &accepted).await;
    repository.get_manifest("after").await.expect_status(200).expect_body(&refused.bytes);
    process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_on_a_full_disk_comes_back_with_everything() {
    let disk = SmallDisk::mount(DISK_MIB);
    let process = disk.site().serve();
    let repository = Repository::new(&process.client(), "full/app");
    let kept = image(1, MIB);
    repository.push_tagged(&kept, "kept").await;
    disk.fill();
    let (accepted, _) = push_manifests(&repository, &kept).await;
    process.kill();
    match disk.site().try_serve() {
        Ok(process) => {
            let repository = Repository::new(&process.client(), "full/app");
            expect_whole(&repository, &kept, "kept").await;
            process.kill();
        }
        Err(refused) => refused.expect_failure(&["full"]),
    }
    disk.drain();
    let process = disk.site().serve();
    let repository = Repository::new(&process.client(), "full/app");
    expect_whole(&repository, &kept, "kept").await;
    expect_accepted(&repository, &accepted).await;
    repository.push_tagged(&image(9, MIB), "next").await;
    process.stop();
}

/// Pushes manifests of the blobs of `image` until one is refused: those that were accepted, and that one.
async fn push_manifests(repository: &Repository, image: &Tree) -> (Vec<Item>, Item) {
    let mut accepted = Vec::new();
    for number in 0..MANIFESTS_MAX {
        let manifest = bulky(image, number);
        let reply = repository.put_manifest(manifest.digest, &manifest).await;
        if reply.status != 201 {
            expect_full(reply);
            return (accepted, manifest);
        }
        accepted.push(manifest);
    }
    panic!("a full disk took {MANIFESTS_MAX} manifests");
}

/// A manifest of half a MiB that names the blobs of `image`.
fn bulky(image: &Tree, number: u64) -> Item {
    let mut body: serde_json::Value = serde_json::from_slice(&image.root().bytes).expect("a manifest is JSON");
    let filling: String = Seed::new(1_000 + number).bytes(MIB / 4).iter().map(|byte| format!("{byte:02x}")).collect();
    body["annotations"] = serde_json::json!({ "filling": filling });
    Item::manifest(Algorithm::Sha256, &image.root().media_type, &body)
}

fn image(seed: u64, layer_bytes: usize) -> Tree {
    let seed = &mut Seed::new(seed);
    let layer: Bytes = seed.bytes(layer_bytes);
    ImageBuilder::new(seed).no_layers().layer(OCI_LAYER_GZIP, layer).build()
}

/// The registry says that its disk is full, and that it is worth trying again.
#[track_caller]
fn expect_full(reply: Reply) {
    let reply = reply.expect_error(503, "UNAVAILABLE");
    assert!(reply.text().contains("disk is full"), "{reply:#?}");
    assert!(reply.header("retry-after").is_some(), "{reply:#?}");
}

/// An image pulls by its tag, byte for byte.
async fn expect_whole(repository: &Repository, image: &Tree, tag: &str) {
    repository.get_manifest(tag).await.expect_status(200).expect_body(&image.root().bytes);
    for blob in &image.blobs {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
}

async fn expect_accepted(repository: &Repository, manifests: &[Item]) {
    for manifest in manifests {
        repository.get_manifest(manifest.digest).await.expect_status(200).expect_body(&manifest.bytes);
    }
}
