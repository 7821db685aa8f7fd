use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::*;
use crate::suite;

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(self::files(&entry)) } else { files.push(entry) }
    }
    files
}

async fn stored(store: &DiskStore, content: &'static [u8]) -> (Digest, CopyId) {
    let (digest, copy) = (Digest::sha256(content), CopyId::from_bytes([7; 16]));
    let mut writer = store.begin(UploadId::from_bytes([1; 16])).await.unwrap();
    writer.write(Bytes::from_static(content)).await.unwrap();
    writer.commit(digest, copy).await.unwrap();
    (digest, copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_store_conforms() {
    let root = tempfile::tempdir().unwrap();
    suite::conform(Arc::new(DiskStore::open(root.path()).unwrap())).await;
    assert!(files(&root.path().join("uploads")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_reads_that_do_not_wait_conforms() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    store.readers.wait_always();
    suite::conform(Arc::new(store)).await;
}

#[tokio::test]
async fn a_new_upload_touches_the_disk_when_it_must() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    let mut writer = store.begin(UploadId::from_bytes([1; 16])).await.unwrap();
    writer.write(Bytes::from_static(b"some bytes")).await.unwrap();
    assert!(files(root.path()).is_empty());
    writer.pause().await.unwrap();
    assert_eq!(files(root.path()).len(), 1);
}

#[tokio::test]
async fn what_is_stored_is_for_the_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&root.path().join("deep/below")).unwrap();
    stored(&store, b"private").await;
    let files = files(root.path());
    assert_eq!(files.len(), 1);
    let below = files[0].ancestors().take_while(|path| *path != root.path());
    for (depth, path) in below.enumerate() {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if depth == 0 { 0o600 } else { 0o700 }, "{}", path.display());
    }
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_its_bytes() {
    let root = tempfile::tempdir().unwrap();
    let (digest, copy) = stored(&DiskStore::open(root.path()).unwrap(), b"kept").await;
    let reader = DiskStore::open(root.path()).unwrap().open(&digest, copy).await.unwrap();
    let chunks: Vec<Bytes> = reader.stream(0..4).try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"kept");
}

#[tokio::test]
async fn a_blob_that_was_cut_is_an_error_and_no_short_success() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    let (digest, copy) = stored(&store, b"ten bytes.").await;
    let reader = store.open(&digest, copy).await.unwrap();
    File::options().write(true).open(store.shared.layout.blob(&digest, copy)).unwrap().set_len(4).unwrap();
    let result = reader.stream(0..10).try_collect::<Vec<Bytes>>().await;
    assert!(matches!(result, Err(StoreError::TooShort { expected: 10, found: 4 })), "{result:?}");
}

#[tokio::test]
async fn a_fan_out_directory_that_vanished_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    let (digest, copy) = stored(&store, b"again").await;
    fs::remove_dir_all(root.path().join("blobs")).unwrap();
    fs::remove_dir_all(root.path().join("uploads")).unwrap();
    stored(&store, b"again").await;
    assert_eq!(store.open(&digest, copy).await.unwrap().size(), 5);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_fails_its_probe() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    assert!(store.probe().await.unwrap().free_bytes.is_some_and(|bytes| bytes > 0));
    fs::create_dir(root.path().join("probe")).unwrap();
    assert!(store.probe().await.is_err());
}

#[tokio::test]
async fn what_others_put_among_the_uploads_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::open(root.path()).unwrap();
    let id = UploadId::from_bytes([1; 16]);
    store.begin(id).await.unwrap().pause().await.unwrap();
    fs::write(root.path().join("uploads/01/note"), b"").unwrap();
    fs::write(root.path().join("uploads/.DS_Store"), b"").unwrap();
    assert_eq!(store.uploads(None).await.unwrap(), [id]);
}

#[test]
fn a_full_disk_is_told_from_other_errors() {
    for code in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
        assert!(matches!(StoreError::io("write", code.into()), StoreError::NoSpace));
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = (&full).write(b"x").map_err(|error| StoreError::io("write", error));
    assert!(matches!(error, Err(StoreError::NoSpace)), "{error:?}");
    let other = StoreError::io("write", rustix::io::Errno::IO.into());
    assert!(matches!(other, StoreError::Io { action: "write", .. }), "{other:?}");
}
