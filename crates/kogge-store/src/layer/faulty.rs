//! A store that fails on demand, for tests of what stands on it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kogge_types::{CopyId, Digest, UploadId};
use tokio::sync::watch;

use crate::error::{Result, StoreError};
use crate::reader::BlobReader;
use crate::store::{BlobStore, BoxFuture, StoreHealth, StoredCopy, UploadWriter};

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Begin,
    Resume,
    Write,
    Pause,
    Commit,
    Discard,
    Open,
    Remove,
    Uploads,
    Copies,
    Probe,
}

/// A store that passes every call on, except those that it was told to fail or to hold up. Clones are handles
/// to the same store.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn BlobStore>,
    faults: Faults,
}

/// The switches of a [`FaultyStore`].
#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    /// Calls until one of the operation fails; 1 is the next.
    countdown: HashMap<Operation, u64>,
    /// Everything fails.
    refusing: bool,
    /// Bytes that can still be written.
    room: Option<u64>,
    /// State of the generator and failures in 1,000 calls.
    random: Option<(u64, u64)>,
    /// Calls of the operation wait until the sender is dropped.
    held: HashMap<Operation, watch::Receiver<()>>,
}

/// Holds up calls while it lives.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    _until_dropped: watch::Sender<()>,
}

impl FaultyStore {
    /// A store in front of `inner` that has no faults yet.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// Fails the `nth` call of `operation` from now on, once; 1 is the next call.
    pub fn fail(&self, operation: Operation, nth: u64) {
        self.faults.plan().countdown.insert(operation, nth);
    }

    /// Fails every call while `refusing`.
    pub fn refuse(&self, refusing: bool) {
        self.faults.plan().refusing = refusing;
    }

    /// Fails writes with `NoSpace` once `bytes` more were written; `None` takes the bound away.
    pub fn limit_room(&self, bytes: Option<u64>) {
        self.faults.plan().room = bytes;
    }

    /// Fails about `per_mille` of 1,000 calls, the same ones for the same `seed` and order of calls.
    pub fn fail_at_random(&self, seed: u64, per_mille: u64) {
        self.faults.plan().random = Some((seed, per_mille));
    }

    /// Holds up calls of `operation` until the answer is dropped.
    pub fn hold(&self, operation: Operation) -> Hold {
        let (hold, held) = watch::channel(());
        self.faults.plan().held.insert(operation, held);
        Hold { _until_dropped: hold }
    }

    fn writer(&self, inner: Box<dyn UploadWriter>) -> Box<dyn UploadWriter> {
        Box::new(FaultyWriter { inner, faults: self.faults.clone(), failed: false })
    }
}

impl Faults {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `operation` is held up, then fails if the plan says so. `bytes` are about to be written.
    async fn meet(&self, operation: Operation, bytes: u64) -> Result<()> {
        let held = self.plan().held.get(&operation).cloned();
        if let Some(mut held) = held {
            // The only change there can be is the end of the hold.
            drop(held.changed().await);
        }
        self.plan().next(operation, bytes)
    }
}

impl Plan {
    fn next(&mut self, operation: Operation, bytes: u64) -> Result<()> {
        let mut fails = self.refusing;
        if let Some(calls) = self.countdown.get_mut(&operation) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                self.countdown.remove(&operation);
                fails = true;
            }
        }
        if let Some((state, per_mille)) = &mut self.random {
            fails |= draw(state) % 1_000 < *per_mille;
        }
        if fails {
            return Err(on_demand());
        }
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(bytes).ok_or(StoreError::NoSpace)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

fn on_demand() -> StoreError {
    StoreError::Io { action: "do what was asked", source: io::Error::other("a fault on demand") }
}

/// The next number of a SplitMix64 sequence.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl BlobStore for FaultyStore {
    fn begin(&self, id: UploadId) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>> {
        Box::pin(async move {
            self.faults.meet(Operation::Begin, 0).await?;
            Ok(self.writer(self.inner.begin(id).await?))
        })
    }

    fn resume(&self, id: UploadId, offset: u64, state: &[u8]) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>> {
        let state = state.to_vec();
        Box::pin(async move {
            self.faults.meet(Operation::Resume, 0).await?;
            Ok(self.writer(self.inner.resume(id, offset, &state).await?))
        })
    }

    fn discard(&self, id: UploadId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.faults.meet(Operation::Discard, 0).await?;
            self.inner.discard(id).await
        })
    }

    fn open(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<BlobReader>> {
        let digest = *digest;
        Box::pin(async move {
            self.faults.meet(Operation::Open, 0).await?;
            self.inner.open(&digest, copy).await
        })
    }

    fn open_upload(&self, id: UploadId, state: &[u8]) -> BoxFuture<'_, Result<BlobReader>> {
        let state = state.to_vec();
        Box::pin(async move {
            self.faults.meet(Operation::Open, 0).await?;
            self.inner.open_upload(id, &state).await
        })
    }

    fn remove(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<()>> {
        let digest = *digest;
        Box::pin(async move {
            self.faults.meet(Operation::Remove, 0).await?;
            self.inner.remove(&digest, copy).await
        })
    }

    fn uploads(&self, after: Option<UploadId>) -> BoxFuture<'_, Result<Vec<UploadId>>> {
        Box::pin(async move {
            self.faults.meet(Operation::Uploads, 0).await?;
            self.inner.uploads(after).await
        })
    }

    fn copies(&self, after: Option<(Digest, CopyId)>) -> BoxFuture<'_, Result<Vec<StoredCopy>>> {
        Box::pin(async move {
            self.faults.meet(Operation::Copies, 0).await?;
            self.inner.copies(after).await
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<StoreHealth>> {
        Box::pin(async move {
            self.faults.meet(Operation::Probe, 0).await?;
            self.inner.probe().await
        })
    }
}

struct FaultyWriter {
    inner: Box<dyn UploadWriter>,
    faults: Faults,
    /// A write failed, so that nothing may follow it.
    failed: bool,
}

impl FaultyWriter {
    async fn meet(&mut self, operation: Operation, bytes: u64) -> Result<()> {
        if self.failed {
            return Err(on_demand());
        }
        let result = self.faults.meet(operation, bytes).await;
        self.failed = result.is_err();
        result
    }
}

impl UploadWriter for FaultyWriter {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.meet(Operation::Write, chunk.len() as u64).await?;
            self.inner.write(chunk).await
        })
    }

    fn pause(mut self: Box<Self>) -> BoxFuture<'static, Result<Vec<u8>>> {
        Box::pin(async move {
            self.meet(Operation::Pause, 0).await?;
            self.inner.pause().await
        })
    }

    fn commit(mut self: Box<Self>, digest: Digest, copy: CopyId) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            self.meet(Operation::Commit, 0).await?;
            self.inner.commit(digest, copy).await
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::disk::DiskStore;
    use crate::suite;

    fn store() -> (tempfile::TempDir, FaultyStore) {
        let root = tempfile::tempdir().unwrap();
        let disk = DiskStore::open(root.path()).unwrap();
        (root, FaultyStore::new(Arc::new(disk)))
    }

    const ID: UploadId = UploadId::from_bytes([1; 16]);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_faulty_store_without_faults_conforms() {
        let (_root, store) = store();
        suite::conform(Arc::new(store)).await;
    }

    #[tokio::test]
    async fn the_named_call_fails_once() {
        let (_root, store) = store();
        store.fail(Operation::Probe, 2);
        assert!(store.probe().await.is_ok());
        assert!(store.probe().await.is_err());
        assert!(store.probe().await.is_ok());
        store.refuse(true);
        assert!(store.discard(ID).await.is_err());
        store.refuse(false);
        assert!(store.discard(ID).await.is_ok());
    }

    #[tokio::test]
    async fn a_full_store_leaves_nothing_behind_a_discard() {
        let (_root, store) = store();
        store.limit_room(Some(100));
        let mut writer = store.begin(ID).await.unwrap();
        writer.write(Bytes::from_static(&[0; 90])).await.unwrap();
        let full = writer.write(Bytes::from_static(&[0; 11])).await;
        assert!(matches!(full, Err(StoreError::NoSpace)), "{full:?}");
        assert!(writer.pause().await.is_err());
        store.discard(ID).await.unwrap();
        assert!(store.uploads(None).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_same_seed_fails_the_same_calls() {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let (_root, store) = store();
            store.fail_at_random(42, 300);
            let mut failed = Vec::new();
            for _ in 0..50 {
                failed.push(store.discard(ID).await.is_err());
            }
            runs.push(failed);
        }
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].contains(&true) && runs[0].contains(&false));
    }

    #[tokio::test]
    async fn a_held_call_goes_on_when_the_hold_ends() {
        let (_root, store) = store();
        let hold = store.hold(Operation::Commit);
        let writer = store.begin(ID).await.unwrap();
        let (digest, copy) = (Digest::sha256(b""), CopyId::from_bytes([2; 16]));
        let mut commit = writer.commit(digest, copy);
        assert!((&mut commit).now_or_never().is_none());
        drop(hold);
        commit.await.unwrap();
        assert_eq!(store.open(&digest, copy).await.unwrap().size(), 0);
    }
}
