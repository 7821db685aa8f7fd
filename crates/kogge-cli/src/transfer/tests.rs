use std::path::Path;

use bytes::Bytes;
use kogge_types::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST};
use kogge_types::{Algorithm, Reference};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::layout::blob_path;
use crate::layout::reader::LayoutReader;
use crate::layout::writer::LayoutWriter;
use crate::location::LayoutLocation;

fn place(folder: &TempDir, name: &str) -> LayoutLocation {
    LayoutLocation::from_path(folder.path().join(name).to_str().expect("text")).expect("a place")
}

/// Puts a blob into a layout and gives its descriptor.
async fn put(layout: &LayoutWriter, folder: &TempDir, media_type: &str, content: &[u8]) -> Descriptor {
    let path = folder.path().join("blob");
    std::fs::write(&path, content).expect("written");
    let digest =
        Digest::of(if content.len().is_multiple_of(2) { Algorithm::Sha256 } else { Algorithm::Sha512 }, content);
    let source = crate::blob_source::BlobSource::File { path, start: 0, size: content.len() as u64 };
    let bytes = Bytes::copy_from_slice(content);
    let described = ManifestContent { digest, media_type: media_type.to_owned(), bytes };
    let descriptor = describe(&described);
    layout.put_blob(&descriptor, &source, &crate::progress::Meter::hidden()).await.expect("put");
    descriptor
}

async fn put_json(layout: &LayoutWriter, folder: &TempDir, media_type: &str, value: serde_json::Value) -> Descriptor {
    put(layout, folder, media_type, value.to_string().as_bytes()).await
}

/// A layout with an index of one image and one image that is not there, a signature of the image, and a signature of
/// that signature. Gives the index.
async fn make_layout(folder: &TempDir, name: &str) -> Descriptor {
    let layout = LayoutWriter::open(&place(folder, name)).await.expect("opened");
    let config = put(&layout, folder, OCI_CONFIG, br#"{"os":"linux"}"#).await;
    let layer = put(&layout, folder, OCI_LAYER_GZIP, &vec![9; 100_001]).await;
    let image = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] });
    let mut image = put_json(&layout, folder, OCI_MANIFEST, image).await;
    let platform = json!({ "os": "linux", "architecture": "amd64" });
    image.platform = Some(serde_json::from_value(platform).expect("a platform"));
    let away = Descriptor { digest: Digest::sha256(b"away"), platform: None, ..image.clone() };
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image, away] });
    let index = put_json(&layout, folder, OCI_INDEX, index).await;
    image.platform = None;
    let mut subject = image;
    for word in ["signature", "signature of a signature"] {
        let layer = put(&layout, folder, "application/x", word.as_bytes()).await;
        let signature = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/x.signature",
            "config": config, "layers": [layer], "subject": subject,
        });
        subject = put_json(&layout, folder, OCI_MANIFEST, signature).await;
        layout.name(subject.clone(), None);
    }
    layout.name(index.clone(), Some("v1".parse().expect("a tag")));
    layout.finish().await.expect("finished");
    index
}

async fn copy(folder: &TempDir, from: &str, to: &str, referrers: bool) -> Result<Arc<Counts>> {
    let source = Source::Layout(LayoutReader::open(&place(folder, from)).await?);
    let root = source.resolve(Some(&Reference::Tag("v1".parse().expect("a tag")))).await?;
    let target = Target::Layout(LayoutWriter::open(&place(folder, to)).await?);
    let transfer = Transfer::new(source, target, referrers, Progress::new(true), 4);
    transfer.copy(root, &["v1".parse().expect("a tag")]).await?;
    transfer.finish().await
}

/// The names and contents of a layout's blobs.
fn blobs(folder: &TempDir, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        let blobs = folder.path().join(name).join("blobs").join(algorithm.as_str());
        for entry in std::fs::read_dir(blobs).expect("listed") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((name, std::fs::read(&path).expect("read")));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_layout_survives_the_way_through_a_tar_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let index = make_layout(&folder, "first").await;
    let counts = copy(&folder, "first", "second.tar", true).await.expect("copied");
    assert_eq!(counts.children_missing.load(Ordering::Relaxed), 1);
    assert_eq!(counts.manifests.load(Ordering::Relaxed), 4);
    copy(&folder, "second.tar", "third", true).await.expect("copied");
    assert_eq!(blobs(&folder, "first"), blobs(&folder, "third"));
    let third = LayoutReader::open(&place(&folder, "third")).await.expect("a layout");
    assert_eq!(third.find(None).expect("one has a name").digest, index.digest);
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["blob", "first", "second.tar", "third"], "nothing is left behind");
    assert!(!folder.path().join("third/.kogge-partial").exists());
}

#[tokio::test]
async fn referrers_are_left_out_unless_they_are_wanted_and_a_second_copy_sends_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_layout(&folder, "first").await;
    let counts = copy(&folder, "first", "second", false).await.expect("copied");
    assert_eq!((counts.manifests.load(Ordering::Relaxed), counts.blobs_sent.load(Ordering::Relaxed)), (2, 2));
    let counts = copy(&folder, "first", "second", false).await.expect("copied again");
    assert_eq!((counts.blobs_present.load(Ordering::Relaxed), counts.blobs_sent.load(Ordering::Relaxed)), (2, 0));
}

#[tokio::test]
async fn a_blob_that_is_not_what_its_name_says_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_layout(&folder, "first").await;
    let layer = Digest::of(Algorithm::Sha512, &vec![9; 100_001]);
    let path = folder.path().join("first").join(blob_path(&layer));
    std::fs::write(&path, vec![8; 100_001]).expect("written");
    let error = copy(&folder, "first", "second", false).await.expect_err("corrupt");
    assert!(error.chain().contains("corrupt"), "{}", error.chain());
    assert!(!folder.path().join("second/index.json").exists());
    std::fs::write(&path, b"short").expect("written");
    let error = copy(&folder, "first", "third.tar", false).await.expect_err("short");
    assert!(error.chain().contains("5 bytes"), "{}", error.chain());
    assert!(!folder.path().join("third.tar").exists());
}

#[tokio::test]
async fn one_command_at_a_time_writes_to_a_layout_and_none_to_other_folders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let busy = LayoutWriter::open(&place(&folder, "busy")).await.expect("opened");
    assert!(LayoutWriter::open(&place(&folder, "busy")).await.is_err());
    drop(busy);
    LayoutWriter::open(&place(&folder, "busy")).await.expect("free again");
    std::fs::create_dir(folder.path().join("home")).expect("made");
    std::fs::write(folder.path().join("home/letter"), b"dear").expect("written");
    assert!(LayoutWriter::open(&place(&folder, "home")).await.is_err());
    assert!(!Path::new(&folder.path().join("home/blobs")).exists());
}

#[tokio::test]
async fn the_image_for_a_platform_is_taken_out_of_its_index() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_layout(&folder, "first").await;
    let source = Source::Layout(LayoutReader::open(&place(&folder, "first")).await.expect("a layout"));
    let root = source.resolve(None).await.expect("one has a name");
    let image = source.choose(root.clone(), &"linux/amd64".parse().expect("a platform")).await.expect("there");
    assert_eq!(parse(&image).expect("a manifest").kind, ManifestKind::Image);
    assert!(source.choose(root, &"linux/s390x".parse().expect("a platform")).await.is_err());
}
