//! The seam between the registry's rules and the place where blob bytes lie.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use kogge_types::{CopyId, Digest, UploadId};

use crate::error::Result;
use crate::reader::BlobReader;

/// A future behind a pointer, so that the traits here can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place where uploads are written and committed copies of blobs lie.
///
/// The life of an upload is `begin`, then any number of `pause` and `resume`, then `commit` or `discard`. An
/// upload has one writer: a new `begin`, `resume` or `discard` takes it from the writer before, whose calls
/// then fail with [`StoreError::Superseded`](crate::StoreError::Superseded), so that no late byte of an
/// abandoned request can land among those of its successor.
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Opens a new upload for writing at offset 0. Bytes that an earlier attempt left under this id are lost.
    /// A backend may put off all I/O to the writer's first calls, and errors with it.
    fn begin(&self, id: UploadId) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>>;

    /// Opens a paused upload at `offset`; bytes behind it are cut off.
    ///
    /// `state` is what [`UploadWriter::pause`] returned. Fails with `TooShort` when fewer than `offset` bytes
    /// are there (after a crash), with `NotFound` when the upload is gone.
    fn resume(&self, id: UploadId, offset: u64, state: &[u8]) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>>;

    /// Forgets an upload and its bytes. Succeeds when there is none.
    fn discard(&self, id: UploadId) -> BoxFuture<'_, Result<()>>;

    /// Opens a committed copy for reading. Fails with `NotFound` when there is none.
    fn open(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<BlobReader>>;

    /// Opens the bytes of a paused upload for reading (to hash them again under another algorithm). `state` is
    /// what [`UploadWriter::pause`] returned.
    fn open_upload(&self, id: UploadId, state: &[u8]) -> BoxFuture<'_, Result<BlobReader>>;

    /// Removes a committed copy. Succeeds when there is none. Streams that are open go on to their end.
    fn remove(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<()>>;

    /// Uploads that have bytes here, in ascending order, those behind `after` alone: one page of at most
    /// `limits::WORK_BATCH_ROWS`; an empty page is the end. For reclaiming what no session row names.
    fn uploads(&self, after: Option<UploadId>) -> BoxFuture<'_, Result<Vec<UploadId>>>;

    /// Committed copies that lie here, in the order of digest and copy, those behind `after` alone: one page of at
    /// most `limits::WORK_BATCH_ROWS`; an empty page is the end. For reclaiming what a crash left without a record.
    fn copies(&self, after: Option<(Digest, CopyId)>) -> BoxFuture<'_, Result<Vec<StoredCopy>>>;

    /// Proves that the store takes a write now (readiness), and tells what room is left.
    fn probe(&self) -> BoxFuture<'_, Result<StoreHealth>>;
}

/// The writing end of one upload, for the time of one request.
///
/// A writer that is dropped neither blocks nor panics; its upload stays resumable at any offset that a `pause`
/// reported. After an error every later call fails too.
pub trait UploadWriter: Send {
    /// Bytes of the upload that were taken so far, those of earlier requests included.
    fn offset(&self) -> u64;

    /// Takes `chunk` and returns when there is room for the next. Writes may still be in flight; their errors
    /// surface at a later call. A cancelled call leaves the writer fit only to be dropped.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Ends this request's part of the upload and returns the state to resume from, opaque and at most some
    /// KiB. All bytes are written, not synced: after a crash `resume` may find fewer.
    fn pause(self: Box<Self>) -> BoxFuture<'static, Result<Vec<u8>>>;

    /// Makes the bytes durable as the copy `copy` of `digest`, whatever their number, without copying them.
    /// When this returns, bytes and name are synced. A crash before leaves the upload or the copy, never half a
    /// copy. The caller has verified the digest.
    ///
    /// A future that is dropped, or a crash after the rename, may leave a copy that no record names: record
    /// digest and copy id before, so that it can be removed.
    fn commit(self: Box<Self>, digest: Digest, copy: CopyId) -> BoxFuture<'static, Result<()>>;
}

/// A committed copy, as [`BlobStore::copies`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCopy {
    pub digest: Digest,
    pub copy: CopyId,
    /// When its last byte was written, in microseconds since the Unix epoch.
    pub written_at_us: i64,
}

/// The answer of [`BlobStore::probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    /// Bytes that can still be stored, where the backend knows.
    pub free_bytes: Option<u64>,
}
