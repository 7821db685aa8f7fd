//! What keeps writers of uploads out of each other's way within a process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kogge_types::{CopyId, UploadId};

/// Turns at taking an upload: whoever takes its session first also opens its bytes first, so that a late one
/// cannot cut off what a later request has written.
#[derive(Debug)]
pub(crate) struct Turns(Vec<tokio::sync::Mutex<()>>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self((0..=u8::MAX).map(|_| tokio::sync::Mutex::default()).collect())
    }

    /// Waits until nobody else takes `upload`.
    pub(crate) async fn wait(&self, upload: UploadId) -> tokio::sync::MutexGuard<'_, ()> {
        self.0[usize::from(upload.as_bytes()[0])].lock().await
    }
}

/// Stored copies that a commit is about to record: no record knows them yet, and they are not orphans.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<HashSet<CopyId>>);

/// One pending copy, until it is dropped.
#[derive(Debug)]
pub(crate) struct PendingCopy<'p> {
    pending: &'p Pending,
    copy: CopyId,
}

impl Pending {
    /// Says that `copy` is about to be stored and recorded.
    pub(crate) fn announce(&self, copy: CopyId) -> PendingCopy<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(copy);
        PendingCopy { pending: self, copy }
    }

    pub(crate) fn holds(&self, copy: &CopyId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(copy)
    }
}

impl Drop for PendingCopy<'_> {
    fn drop(&mut self) {
        self.pending.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.copy);
    }
}
