//! What every [`BlobStore`] must do. Each backend and each layer runs [`conform`] in its tests; a failure
//! panics with what was expected.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use kogge_types::{CopyId, Digest, UploadId, limits};

use crate::error::{Result, StoreError};
use crate::reader::BlobReader;
use crate::store::{BlobStore, UploadWriter};

/// Runs all cases against `store`, which must be empty. Must be called within a multi-threaded tokio runtime.
pub async fn conform(store: Arc<dyn BlobStore>) {
    let store = store.as_ref();
    one_request_makes_a_copy(store).await;
    an_empty_blob_is_a_blob(store).await;
    pause_and_resume_join_the_parts(store).await;
    resume_cuts_off_what_lies_behind(store).await;
    resume_tells_what_is_missing(store).await;
    begin_starts_anew(store).await;
    a_dropped_writer_leaves_the_upload_resumable(store).await;
    a_successor_takes_the_upload(store).await;
    discard_forgets(store).await;
    remove_takes_one_copy(store).await;
    ranges_are_exact(store).await;
    a_large_blob_in_odd_chunks_is_whole(store).await;
    uploads_at_the_same_time_do_not_mix(store).await;
    uploads_are_listed_in_pages(store).await;
    copies_are_listed_in_pages(store).await;
    store.probe().await.expect("the store takes writes");
}

/// A number that no other case uses.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn id() -> [u8; 16] {
    let mut id = [0; 16];
    // Spread over the fan-out, out of order.
    id[..8].copy_from_slice(&fresh().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn upload_id() -> UploadId {
    UploadId::from_bytes(id())
}

fn copy_id() -> CopyId {
    CopyId::from_bytes(id())
}

/// `length` bytes that no other call gives.
fn content(length: usize) -> Bytes {
    let mut state = fresh();
    let mut bytes = BytesMut::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes.freeze()
}

async fn begin(store: &dyn BlobStore, id: UploadId) -> Box<dyn UploadWriter> {
    store.begin(id).await.expect("an upload begins")
}

async fn write(writer: &mut dyn UploadWriter, chunk: &Bytes) {
    writer.write(chunk.clone()).await.expect("a chunk is taken");
}

/// Writes `content` to a new upload and pauses it.
async fn paused(store: &dyn BlobStore, id: UploadId, content: &Bytes) -> Vec<u8> {
    let mut writer = begin(store, id).await;
    write(&mut *writer, content).await;
    writer.pause().await.expect("an upload pauses")
}

/// Stores `content` in one request.
async fn stored(store: &dyn BlobStore, content: &Bytes) -> (Digest, CopyId) {
    let (digest, copy) = (Digest::sha256(content), copy_id());
    let mut writer = begin(store, upload_id()).await;
    write(&mut *writer, content).await;
    writer.commit(digest, copy).await.expect("an upload is committed");
    (digest, copy)
}

async fn range(reader: &BlobReader, range: Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = reader.stream(range);
    while let Some(chunk) = stream.try_next().await? {
        assert!(!chunk.is_empty() && chunk.len() <= limits::READ_CHUNK_BYTES, "chunk of {}", chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    assert!(stream.next().await.is_none(), "a stream that ended stays ended");
    Ok(bytes)
}

async fn assert_stored(store: &dyn BlobStore, digest: &Digest, copy: CopyId, content: &Bytes) {
    let reader = store.open(digest, copy).await.expect("the copy is there");
    assert_eq!(reader.size(), content.len() as u64);
    let bytes = range(&reader, 0..reader.size()).await.expect("the copy is readable");
    assert!(bytes == *content, "the copy differs from what was written");
}

async fn assert_not_stored(store: &dyn BlobStore, digest: &Digest, copy: CopyId) {
    let result = store.open(digest, copy).await;
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
}

async fn assert_no_upload(store: &dyn BlobStore, id: UploadId) {
    let result = store.resume(id, 0, &[]).await.map(|writer| writer.offset());
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
}

async fn one_request_makes_a_copy(store: &dyn BlobStore) {
    let (content, id, copy) = (content(4_096), upload_id(), copy_id());
    let digest = Digest::sha256(&content);
    assert_not_stored(store, &digest, copy).await;
    let mut writer = begin(store, id).await;
    assert_eq!(writer.offset(), 0);
    write(&mut *writer, &content.slice(..1_000)).await;
    assert_eq!(writer.offset(), 1_000);
    write(&mut *writer, &content.slice(1_000..)).await;
    assert_not_stored(store, &digest, copy).await;
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &content).await;
    assert_no_upload(store, id).await;
}

async fn an_empty_blob_is_a_blob(store: &dyn BlobStore) {
    let (digest, copy) = (Digest::sha256(b""), copy_id());
    let writer = begin(store, upload_id()).await;
    writer.commit(digest, copy).await.expect("an empty upload is committed");
    assert_stored(store, &digest, copy, &Bytes::new()).await;
    let id = upload_id();
    let state = begin(store, id).await.pause().await.expect("an empty upload pauses");
    let writer = store.resume(id, 0, &state).await.expect("an empty upload is resumed");
    let copy = copy_id();
    writer.commit(digest, copy).await.expect("an empty upload is committed");
    assert_stored(store, &digest, copy, &Bytes::new()).await;
}

async fn pause_and_resume_join_the_parts(store: &dyn BlobStore) {
    let (content, id, copy) = (content(300_000), upload_id(), copy_id());
    let digest = Digest::sha256(&content);
    let mut state = paused(store, id, &content.slice(..100_000)).await;
    for end in [100_001, 250_000, 250_000] {
        let uploaded = store.open_upload(id, &state).await.expect("a paused upload is readable");
        let offset = uploaded.size();
        let bytes = range(&uploaded, 0..offset).await.expect("a paused upload is readable");
        assert!(bytes == content[..bytes.len()], "the upload differs from what was written");
        let mut writer = store.resume(id, offset, &state).await.expect("an upload is resumed");
        assert_eq!(writer.offset(), offset);
        write(&mut *writer, &content.slice(bytes.len()..end)).await;
        state = writer.pause().await.expect("an upload pauses");
    }
    let mut writer = store.resume(id, 250_000, &state).await.expect("an upload is resumed");
    write(&mut *writer, &content.slice(250_000..)).await;
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &content).await;
}

async fn resume_cuts_off_what_lies_behind(store: &dyn BlobStore) {
    let (content, id, copy) = (content(200_000), upload_id(), copy_id());
    let state = paused(store, id, &content).await;
    let kept = content.slice(..70_000);
    let writer = store.resume(id, 70_000, &state).await.expect("an upload is resumed");
    let digest = Digest::sha256(&kept);
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &kept).await;
}

async fn resume_tells_what_is_missing(store: &dyn BlobStore) {
    let id = upload_id();
    assert_no_upload(store, id).await;
    let missing = store.open_upload(id, &[]).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
    let content = content(1_000);
    let state = paused(store, id, &content).await;
    let result = store.resume(id, 1_001, &state).await.map(|writer| writer.offset());
    assert!(matches!(result, Err(StoreError::TooShort { expected: 1_001, found: 1_000 })), "{result:?}");
    let writer = store.resume(id, 1_000, &state).await.expect("the upload is still there");
    assert_eq!(writer.offset(), 1_000);
}

async fn begin_starts_anew(store: &dyn BlobStore) {
    let (old, new, id, copy) = (content(200_000), content(5_000), upload_id(), copy_id());
    paused(store, id, &old).await;
    let mut writer = begin(store, id).await;
    write(&mut *writer, &new).await;
    let digest = Digest::sha256(&new);
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &new).await;
}

async fn a_dropped_writer_leaves_the_upload_resumable(store: &dyn BlobStore) {
    let (content, junk, id, copy) = (content(2_500_000), content(3_000_000), upload_id(), copy_id());
    let first = content.slice(..1_200_000);
    let state = paused(store, id, &first).await;
    let mut writer = store.resume(id, 1_200_000, &state).await.expect("an upload is resumed");
    write(&mut *writer, &junk).await;
    drop(writer);
    let mut writer = store.resume(id, 1_200_000, &state).await.expect("an upload is resumed");
    write(&mut *writer, &content.slice(1_200_000..)).await;
    let digest = Digest::sha256(&content);
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &content).await;
    // Dropped before a byte came, and before any was written.
    drop(begin(store, upload_id()).await);
    let mut writer = begin(store, upload_id()).await;
    write(&mut *writer, &junk.slice(..10)).await;
    drop(writer);
}

async fn a_successor_takes_the_upload(store: &dyn BlobStore) {
    let (old, new, id, copy) = (content(1_000), content(1_000), upload_id(), copy_id());
    let mut first = begin(store, id).await;
    write(&mut *first, &old).await;
    let mut second = begin(store, id).await;
    write(&mut *second, &new).await;
    let superseded = first.pause().await;
    assert!(matches!(superseded, Err(StoreError::Superseded)), "{superseded:?}");
    let digest = Digest::sha256(&new);
    second.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &new).await;
}

async fn discard_forgets(store: &dyn BlobStore) {
    let (content, id, copy) = (content(100_000), upload_id(), copy_id());
    store.discard(id).await.expect("nothing is discarded");
    paused(store, id, &content).await;
    store.discard(id).await.expect("an upload is discarded");
    assert_no_upload(store, id).await;
    store.discard(id).await.expect("nothing is discarded");
    let mut writer = begin(store, id).await;
    write(&mut *writer, &content).await;
    store.discard(id).await.expect("an upload is discarded");
    let digest = Digest::sha256(&content);
    let superseded = writer.commit(digest, copy).await;
    assert!(matches!(superseded, Err(StoreError::Superseded)), "{superseded:?}");
    assert_not_stored(store, &digest, copy).await;
    assert_no_upload(store, id).await;
}

async fn remove_takes_one_copy(store: &dyn BlobStore) {
    let content = content(600_000);
    let (digest, copy) = stored(store, &content).await;
    let (_, other) = stored(store, &content).await;
    let reader = store.open(&digest, copy).await.expect("the copy is there");
    let mut stream = reader.stream(0..reader.size());
    let mut read = stream.next().await.expect("a chunk").expect("the copy is readable").to_vec();
    store.remove(&digest, copy).await.expect("a copy is removed");
    store.remove(&digest, copy).await.expect("nothing is removed");
    while let Some(chunk) = stream.try_next().await.expect("an open stream goes on") {
        read.extend_from_slice(&chunk);
    }
    assert!(read == content, "the stream differs from what was written");
    assert_not_stored(store, &digest, copy).await;
    assert_stored(store, &digest, other, &content).await;
}

async fn ranges_are_exact(store: &dyn BlobStore) {
    let content = content(1_000_000);
    let (digest, copy) = stored(store, &content).await;
    let reader = store.open(&digest, copy).await.expect("the copy is there");
    for (start, end) in [(0, 1), (0, 0), (5, 5), (1, 262_145), (262_143, 262_145), (999_999, 1_000_000)] {
        let bytes = range(&reader, start..end).await.expect("the range is there");
        let expected = usize::try_from(start).expect("small")..usize::try_from(end).expect("small");
        assert!(bytes == content[expected], "range {start}..{end} differs");
    }
    let beyond = range(&reader, 0..1_000_001).await.map(|bytes| bytes.len());
    assert!(matches!(beyond, Err(StoreError::TooShort { expected: 1_000_001, found: 1_000_000 })), "{beyond:?}");
}

async fn a_large_blob_in_odd_chunks_is_whole(store: &dyn BlobStore) {
    let early_syncs = usize::try_from(limits::UPLOAD_SYNC_BYTES).expect("some MiB") * 2;
    let (content, copy) = (content(early_syncs + 12_345), copy_id());
    let digest = Digest::sha256(&content);
    let mut writer = begin(store, upload_id()).await;
    let mut at = 0;
    for length in [1, 4_095, 4_096, 77, 65_537, 1_048_577, 3, 5_000_000].into_iter().cycle() {
        let end = (at + length).min(content.len());
        write(&mut *writer, &content.slice(at..end)).await;
        at = end;
        assert_eq!(writer.offset(), at as u64);
        if at == content.len() {
            break;
        }
    }
    writer.commit(digest, copy).await.expect("an upload is committed");
    assert_stored(store, &digest, copy, &content).await;
}

async fn uploads_at_the_same_time_do_not_mix(store: &dyn BlobStore) {
    let same = content(150_000);
    let blobs: Vec<Bytes> = (0..24).map(|n| if n % 2 == 0 { same.clone() } else { content(n * 10_000) }).collect();
    let stored = futures_util::future::join_all(blobs.iter().map(|blob| stored(store, blob))).await;
    for (blob, (digest, copy)) in blobs.iter().zip(stored) {
        assert_stored(store, &digest, copy, blob).await;
    }
}

async fn uploads_are_listed_in_pages(store: &dyn BlobStore) {
    while let Some(left) = store.uploads(None).await.expect("uploads are listed").pop() {
        store.discard(left).await.expect("an upload is discarded");
        let rest = store.uploads(None).await.expect("uploads are listed");
        futures_util::future::join_all(rest.into_iter().map(|id| store.discard(id))).await;
    }
    let mut ids: Vec<UploadId> = (0..limits::WORK_BATCH_ROWS + 20).map(|_| upload_id()).collect();
    for id in &ids {
        begin(store, *id).await.pause().await.expect("an upload pauses");
    }
    ids.sort_unstable();
    let mut listed: Vec<UploadId> = Vec::new();
    loop {
        let page = store.uploads(listed.last().copied()).await.expect("uploads are listed");
        assert!(page.len() <= limits::WORK_BATCH_ROWS, "{} in a page", page.len());
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert!(listed == ids, "{} uploads are listed, {} are there", listed.len(), ids.len());
    for id in ids {
        store.discard(id).await.expect("an upload is discarded");
    }
}

async fn copies_are_listed_in_pages(store: &dyn BlobStore) {
    let mut made = Vec::new();
    for n in 0..20 {
        made.push(stored(store, &content(n)).await);
    }
    let mut listed: Vec<(Digest, CopyId)> = Vec::new();
    loop {
        let page = store.copies(listed.last().copied()).await.expect("copies are listed");
        assert!(page.len() <= limits::WORK_BATCH_ROWS, "{} in a page", page.len());
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|copy| copy.written_at_us > 0), "copies have an age");
        listed.extend(page.iter().map(|copy| (copy.digest, copy.copy)));
    }
    assert!(listed.is_sorted(), "copies are in order");
    for copy in made {
        assert!(listed.contains(&copy), "{} is listed", copy.0);
    }
}
