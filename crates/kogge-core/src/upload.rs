//! Uploads: sessions that take a blob in chunks, hash it while it streams through, and commit it without a copy.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use kogge_meta::{Commit, UploadRecord};
use kogge_store::{StoreError, UploadWriter};
use kogge_types::{Algorithm, Code, CopyId, Digest, Hasher, UploadId, clock, limits};
use tokio::sync::Semaphore;

use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::gc::Counters;
use crate::hashing::Hashing;
use crate::lock;
use crate::quota::Ceiling;
use crate::session::Busy;

/// Why a request's body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the client went away in the middle of the body")]
    Disconnected,
    #[error("the client sent too slowly")]
    TooSlow,
}

impl BodyError {
    /// What the client is told.
    pub fn code(self) -> Code {
        match self {
            Self::Disconnected => Code::BlobUploadInvalid,
            Self::TooSlow => Code::RequestTimeout,
        }
    }
}

/// The part of the blob that a request says it carries: `Content-Range: first-last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub first: u64,
    pub last: u64,
}

/// A session, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub id: UploadId,
    /// Bytes taken so far.
    pub bytes: u64,
}

/// What a new session begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStart {
    /// The algorithm of the digest to come. Another one at the end costs a second read of the blob.
    pub algorithm: Algorithm,
}

/// A session that this request writes to.
struct Writing {
    record: UploadRecord,
    hasher: Hasher,
    writer: Box<dyn UploadWriter>,
    /// What a blob of the repository can have at most.
    ceiling: Ceiling,
    /// The session is not idle while this lives.
    busy: Busy,
}

/// What became of an upload's bytes.
enum Committed {
    /// They are the blob's.
    Stored,
    /// The blob was there already; they are not needed.
    Present,
}

impl Core {
    /// Begins an upload.
    pub async fn start_upload(&self, target: &Target, start: UploadStart) -> Result<Progress> {
        let probe = target.clone();
        let attributes = self
            .meta
            .read(move |snapshot| match snapshot.repository(probe.registry.key, &probe.repository)? {
                Some(repository) => snapshot.repository_attributes(repository),
                None => Ok(kogge_meta::Attributes::OPEN),
            })
            .await?;
        lock::require_write(attributes)?;
        let id = UploadId::from_bytes(clock::random(self.entropy.as_ref()));
        let record = UploadRecord {
            id,
            registry: target.registry.key,
            repository: target.repository.clone(),
            bytes: 0,
            algorithm: start.algorithm,
            hash_state: Hasher::new(start.algorithm).save(),
            store_state: Vec::new(),
            epoch: 0,
            updated_at_us: self.now_us(),
        };
        self.sessions.begin(record).await?;
        Ok(Progress { id, bytes: 0 })
    }

    /// How far an upload has come.
    pub async fn upload_progress(&self, target: &Target, id: UploadId) -> Result<Progress> {
        let record = owned(self.sessions.find(id).await?, target)?;
        Ok(Progress { id, bytes: record.bytes })
    }

    /// Ends an upload and forgets its bytes.
    pub async fn cancel_upload(&self, target: &Target, id: UploadId) -> Result<()> {
        self.upload_progress(target, id).await?;
        self.forget_upload(id).await
    }

    /// Forgets an upload, whoever it belongs to.
    pub(crate) async fn forget_upload(&self, id: UploadId) -> Result<()> {
        // The row goes last: while it is there, what is left of the bytes is found again.
        self.store.discard(id).await?;
        self.sessions.end(id).await?;
        Ok(())
    }

    /// Takes a chunk. When its body ends early what came is kept, so that the client can go on from there.
    pub async fn write_chunk<B>(
        &self,
        target: &Target,
        id: UploadId,
        window: Option<Window>,
        body: B,
    ) -> Result<Progress>
    where
        B: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let mut writing = self.take_upload(target, id, window).await?;
        let taken = writing.take_body(&self.hash_threads, body, window).await;
        let bytes = writing.record.bytes;
        self.settle_chunk(writing, taken).await?;
        Ok(Progress { id, bytes })
    }

    /// Keeps what a request brought, unless it failed for good: then the upload is forgotten.
    async fn settle_chunk(&self, writing: Writing, taken: Result<()>) -> Result<()> {
        let (id, epoch) = (writing.record.id, writing.record.epoch);
        let settled = match taken {
            Err(error) if !matches!(error.code, Code::BlobUploadInvalid | Code::RequestTimeout) => {
                drop(writing);
                Err(error)
            }
            ended => self.pause_upload(writing).await.and(ended),
        };
        if settled.as_ref().is_err_and(ends_upload) && !self.abandon_upload(id, epoch).await? {
            return Err(Error::of(Code::UploadConflict));
        }
        settled
    }

    /// Forgets an upload, unless a later request has taken it over from the one of `epoch`: what that one does with it is
    /// its own. Says whether it did.
    async fn abandon_upload(&self, id: UploadId, epoch: i64) -> Result<bool> {
        let _turn = self.sessions.turn(id).await;
        let ours = self.sessions.find(id).await?.is_none_or(|record| record.epoch == epoch);
        if ours {
            self.forget_upload(id).await?;
        }
        Ok(ours)
    }

    /// Takes the last chunk, if any, and commits the blob when it is what `digest` says. A blob that is not leaves
    /// nothing behind.
    pub async fn finish_upload<B>(
        &self,
        target: &Target,
        id: UploadId,
        digest: &Digest,
        window: Option<Window>,
        body: B,
    ) -> Result<()>
    where
        B: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let mut writing = self.take_upload(target, id, window).await?;
        if writing.record.bytes == 0 {
            writing.hasher = Hasher::new(digest.algorithm());
        }
        let taken = writing.take_body(&self.hash_threads, body, window).await;
        if taken.is_err() {
            return self.settle_chunk(writing, taken).await;
        }
        let epoch = writing.record.epoch;
        match self.commit_upload(target, writing, digest).await {
            // The upload's bytes have become the blob's: there is nothing left to discard.
            Ok(Committed::Stored) => {
                note_leftover(id, self.sessions.end(id).await);
                Ok(())
            }
            Ok(Committed::Present) => {
                note_leftover(id, self.abandon_upload(id, epoch).await.map(drop));
                Ok(())
            }
            Err(error) if error.code == Code::UploadConflict => Err(error),
            Err(error) => match self.abandon_upload(id, epoch).await {
                Ok(false) => Err(Error::of(Code::UploadConflict)),
                abandoned => {
                    note_leftover(id, abandoned.map(drop));
                    Err(error)
                }
            },
        }
    }

    /// Takes a whole blob in one request.
    pub async fn put_blob<B>(&self, target: &Target, digest: &Digest, body: B) -> Result<()>
    where
        B: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let upload = self.start_upload(target, UploadStart { algorithm: digest.algorithm() }).await?;
        let finished = self.finish_upload(target, upload.id, digest, None, body).await;
        if finished.is_err() {
            self.forget_upload(upload.id).await?;
        }
        finished
    }

    async fn take_upload(&self, target: &Target, id: UploadId, window: Option<Window>) -> Result<Writing> {
        let busy = self.sessions.occupy(id);
        let _turn = self.sessions.turn(id).await;
        let progress = self.upload_progress(target, id).await?;
        if window.is_some_and(|window| window.first != progress.bytes) {
            return Err(Error::of(Code::RangeInvalid));
        }
        let record = owned(self.sessions.take(id, self.now_us()).await?, target)?;
        let hasher = Hasher::restore(record.algorithm, &record.hash_state)
            .ok_or_else(|| Error::new(Code::Internal, "the upload's hash state cannot be read"))?;
        let opened = match record.bytes {
            0 => self.store.begin(id).await,
            bytes => self.store.resume(id, bytes, &record.store_state).await,
        };
        match opened {
            Ok(writer) => Ok(Writing { record, hasher, writer, ceiling: self.ceiling(target), busy }),
            // Lost with the machine: the client begins again.
            Err(StoreError::TooShort { .. } | StoreError::NotFound) => {
                self.forget_upload(id).await?;
                Err(Error::of(Code::BlobUploadUnknown))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn pause_upload(&self, writing: Writing) -> Result<()> {
        let Writing { mut record, hasher, writer, busy: _busy, .. } = writing;
        record.store_state = writer.pause().await?;
        record.hash_state = hasher.save();
        record.algorithm = hasher.algorithm();
        if self.sessions.keep(record).await? { Ok(()) } else { Err(Error::of(Code::UploadConflict)) }
    }

    async fn commit_upload(&self, target: &Target, writing: Writing, digest: &Digest) -> Result<Committed> {
        let Writing { record, hasher, mut writer, busy: _busy, .. } = writing;
        let found = if hasher.algorithm() == digest.algorithm() {
            hasher.finish()
        } else {
            let state = writer.pause().await?;
            let found = self.hash_upload(&record, &state, digest.algorithm()).await?;
            writer = self.store.resume(record.id, record.bytes, &state).await?;
            found
        };
        if found != *digest {
            let message = format!("the content's digest is {found}, not {digest}");
            return Err(Error::new(Code::DigestInvalid, message));
        }
        let charge = self.charge_blob(target, digest, record.bytes).await?;
        let known = *digest;
        if self.meta.read(move |snapshot| snapshot.blob(&known)).await?.is_some()
            && self.link_present(target, digest).await?
        {
            charge.settle();
            return Ok(Committed::Present);
        }
        let copy = CopyId::from_bytes(clock::random(self.entropy.as_ref()));
        let _pending = self.pending.announce(copy);
        writer.commit(*digest, copy).await?;
        let (owner, size, end) = (target.clone(), record.bytes, self.grace_end_us());
        let recorded = self
            .meta
            .write(move |tx| {
                let repository = tx.take_repository(owner.registry.key, &owner.repository)?;
                lock::require_write(tx.repository_attributes(repository)?)?;
                tx.put_blob(&known, size, copy, end)?;
                tx.link_blob(owner.registry.key, repository, &owner.repository, &known, end)?;
                Ok(Commit::quiet(()))
            })
            .await;
        // Only a rule's refusal is certain to have left no record; anything else is the orphan sweep's.
        if recorded.as_ref().is_err_and(|error: &Error| error.code == Code::Disallowed) {
            self.store.remove(digest, copy).await?;
        }
        recorded.map(|()| charge.settle())?;
        Ok(Committed::Stored)
    }

    /// Links a blob that is stored already, whose content the client has just shown to have. False when it was
    /// collected meanwhile.
    async fn link_present(&self, target: &Target, digest: &Digest) -> Result<bool> {
        let (target, digest, end) = (target.clone(), *digest, self.grace_end_us());
        self.meta
            .write(move |tx| {
                if tx.blob(&digest)?.is_none() {
                    return Ok(Commit::quiet(false));
                }
                let repository = tx.take_repository(target.registry.key, &target.repository)?;
                lock::require_write(tx.repository_attributes(repository)?)?;
                tx.link_blob(target.registry.key, repository, &target.repository, &digest, end)?;
                Ok(Commit::quiet(true))
            })
            .await
    }

    /// Reads a paused upload once more, under an algorithm that was not announced.
    async fn hash_upload(&self, record: &UploadRecord, state: &[u8], algorithm: Algorithm) -> Result<Digest> {
        Counters::add(&self.counters.upload_rereads, 1);
        let reader = self.store.open_upload(record.id, state).await?;
        let mut chunks = reader.stream(0..record.bytes);
        let mut hasher = Hasher::new(algorithm);
        while let Some(chunk) = chunks.next().await {
            hasher.update(&chunk?);
        }
        Ok(hasher.finish())
    }
}

impl Writing {
    /// Hashes and writes the body. `BlobUploadInvalid`: it ended early, and what came before is good.
    async fn take_body<B>(&mut self, hash_threads: &Semaphore, body: B, window: Option<Window>) -> Result<()>
    where
        B: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.record.algorithm));
        let mut hashing = Hashing::new(hasher, hash_threads.try_acquire().ok());
        let taken = self.take_chunks(&mut hashing, body, window).await;
        self.hasher = hashing.finish().await?;
        taken
    }

    async fn take_chunks<B>(&mut self, hashing: &mut Hashing<'_>, mut body: B, window: Option<Window>) -> Result<()>
    where
        B: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Error::new(error.code(), error.to_string()))?;
            let end = self.record.bytes + chunk.len() as u64;
            if end > limits::BLOB_BYTES_MAX {
                return Err(Error::of(Code::BlobTooLarge));
            }
            self.ceiling.check(end)?;
            if window.is_some_and(|window| end > window.last.saturating_add(1)) {
                return Err(Error::new(Code::SizeInvalid, "the body is longer than its Content-Range"));
            }
            hashing.push(&chunk).await?;
            self.writer.write(chunk).await?;
            self.record.bytes = end;
        }
        if window.is_some_and(|window| self.record.bytes != window.last.saturating_add(1)) {
            return Err(Error::new(Code::SizeInvalid, "the body is shorter than its Content-Range"));
        }
        Ok(())
    }
}

/// A session that cannot be ended now is ended by its age: the answer to the request does not depend on it.
fn note_leftover(id: UploadId, ended: Result<()>) {
    if let Err(error) = ended {
        tracing::warn!(upload = %id, error = crate::jobs::report(&error), "an upload session could not be ended");
    }
}

/// Whether nothing can come of the upload any more. An early end can be made good, a request that contradicts itself
/// changes nothing, and one that another took over from must leave what is the other's.
fn ends_upload(error: &Error) -> bool {
    !matches!(error.code, Code::BlobUploadInvalid | Code::RequestTimeout | Code::SizeInvalid | Code::UploadConflict)
}

/// The session, when it belongs to the repository that the request names.
fn owned(record: Option<UploadRecord>, target: &Target) -> Result<UploadRecord> {
    record
        .filter(|record| record.registry == target.registry.key && record.repository == target.repository)
        .ok_or_else(|| Error::of(Code::BlobUploadUnknown))
}

#[cfg(test)]
mod tests;
