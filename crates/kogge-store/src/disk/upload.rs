//! The file of an upload: what is done to it on a thread that may block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bytes::Bytes;
use kogge_types::{CopyId, Digest, UploadId, limits};

use crate::disk::directories;
use crate::disk::lease::Lease;
use crate::disk::shared::Shared;
use crate::error::{Result, StoreError};

/// Buffers that one system call takes (the kernel's IOV_MAX).
const PARTS_PER_CALL_MAX: usize = 1024;

/// An upload's file, open or not yet made.
#[derive(Debug)]
pub(crate) struct UploadFile {
    shared: Arc<Shared>,
    id: UploadId,
    lease: Lease,
    file: Option<Arc<File>>,
    /// Bytes in the file.
    written: u64,
    /// Bytes written since the last early sync began.
    unsynced: u64,
    /// Held while an early sync runs; holds what it failed with.
    early_sync: Arc<Mutex<Option<io::Error>>>,
}

impl UploadFile {
    /// A new upload. Its file is made by the first call that needs one.
    pub(crate) fn begin(shared: Arc<Shared>, id: UploadId) -> Self {
        let lease = shared.leases.take(id);
        Self { shared, id, lease, file: None, written: 0, unsynced: 0, early_sync: Arc::default() }
    }

    /// Opens an upload that has at least `offset` bytes and cuts it there.
    pub(crate) fn resume(shared: Arc<Shared>, id: UploadId, offset: u64) -> Result<Self> {
        let mut upload = Self::begin(shared, id);
        let held = upload.lease.hold()?;
        let failed = |error| StoreError::io("open the upload", error);
        let file = OpenOptions::new().write(true).open(upload.shared.layout.upload(id)).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        if found < offset {
            return Err(StoreError::TooShort { expected: offset, found });
        }
        if found > offset {
            file.set_len(offset).map_err(|error| StoreError::io("shorten the upload", error))?;
        }
        drop(held);
        upload.file = Some(Arc::new(file));
        upload.written = offset;
        Ok(upload)
    }

    /// Bytes in the file.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes `parts` behind what is there; makes the file if there is none yet.
    pub(crate) fn append(&mut self, parts: &[Bytes]) -> Result<()> {
        let held = self.lease.hold()?;
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(create(&self.shared.layout.upload(self.id))?),
        };
        let bytes =
            write_parts(&file, parts, self.written).map_err(|error| StoreError::io("write the upload", error))?;
        drop(held);
        self.file = Some(file);
        self.written += bytes;
        self.unsynced += bytes;
        self.sync_early()
    }

    /// Pushes what is written to the disk in the background from time to time, so that the last sync is short.
    fn sync_early(&mut self) -> Result<()> {
        if self.unsynced < limits::UPLOAD_SYNC_BYTES {
            return Ok(());
        }
        match self.early_sync.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(()),
            Ok(mut failure) => check_early(&mut failure)?,
            Err(TryLockError::Poisoned(failure)) => check_early(&mut failure.into_inner())?,
        }
        let Some(file) = self.file.clone() else { return Ok(()) };
        self.unsynced = 0;
        let path = self.shared.layout.upload(self.id);
        let outcome = Arc::clone(&self.early_sync);
        tokio::task::spawn_blocking(move || {
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.sync_data() {
                // The kernel tells of lost pages once. Without its file no later request can take the upload for whole.
                *outcome = Some(error);
                drop(fs::remove_file(&path));
            }
        });
        Ok(())
    }

    /// Makes all bytes durable and then, by one rename, the copy `copy` of `digest` out of them.
    pub(crate) fn commit(self, digest: &Digest, copy: CopyId) -> Result<()> {
        let _held = self.lease.hold()?;
        let file = self.file.as_ref().ok_or(StoreError::NotFound)?;
        file.sync_data().map_err(|error| StoreError::io("sync the blob", error))?;
        check_early(&mut self.early_sync.lock().unwrap_or_else(PoisonError::into_inner))?;
        let from = self.shared.layout.upload(self.id);
        let to = self.shared.layout.blob(digest, copy);
        let directory = to.parent().unwrap_or(self.shared.layout.root());
        directories::within(directory, || fs::rename(&from, &to))
            .map_err(|error| StoreError::io("name the blob", error))?;
        self.shared.directories.settle(directory).map_err(|error| StoreError::io("sync the blob's name", error))
    }
}

/// Fails if an early sync did.
fn check_early(failure: &mut Option<io::Error>) -> Result<()> {
    failure.take().map_or(Ok(()), |error| Err(StoreError::io("sync the upload", error)))
}

fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let directory = path.parent().unwrap_or(path);
    directories::within(directory, || options.open(path)).map_err(|error| StoreError::io("make the upload", error))
}

/// Writes all of `parts` at `offset`; the number of bytes.
fn write_parts(file: &File, parts: &[Bytes], offset: u64) -> io::Result<u64> {
    let mut at = offset;
    for parts in parts.chunks(PARTS_PER_CALL_MAX) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    at += bytes as u64;
                    IoSlice::advance_slices(&mut rest, bytes);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(at - offset)
}
