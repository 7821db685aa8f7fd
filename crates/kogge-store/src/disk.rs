//! Blob bytes on a local disk.

mod directories;
mod gather;
mod layout;
mod lease;
mod listing;
mod pool;
pub(crate) mod read;
mod shared;
mod task;
mod upload;
mod writer;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use kogge_types::{CopyId, Digest, UploadId};

use crate::disk::read::Readers;
use crate::disk::shared::Shared;
use crate::disk::upload::UploadFile;
use crate::disk::writer::DiskWriter;
use crate::error::{Result, StoreError};
use crate::reader::BlobReader;
use crate::store::{BlobStore, BoxFuture, StoreHealth, StoredCopy, UploadWriter};

/// The blob store on a local disk. Must be used within a tokio runtime, by one process at a time.
#[derive(Debug, Clone)]
pub struct DiskStore {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
}

impl DiskStore {
    /// Opens the store in the directory `root`, which is made if it is missing, with the directories that uploads and
    /// sha256 blobs fan out to. Looks at no blob.
    pub fn open(root: &Path) -> Result<Self> {
        let shared = Shared::new(root);
        let failed = |error| StoreError::io("make the store's directory", error);
        directories::make_root(root).map_err(failed)?;
        for directory in [shared.layout.canonical_blobs(), shared.layout.uploads()] {
            shared.directories.make_fan_out(&directory).map_err(failed)?;
        }
        Ok(Self { shared: Arc::new(shared), readers: Arc::default() })
    }

    fn writer(&self, file: UploadFile) -> Box<dyn UploadWriter> {
        Box::new(DiskWriter::new(Arc::clone(&self.shared), file))
    }
}

impl BlobStore for DiskStore {
    fn begin(&self, id: UploadId) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>> {
        Box::pin(async move { Ok(self.writer(UploadFile::begin(Arc::clone(&self.shared), id))) })
    }

    fn resume(&self, id: UploadId, offset: u64, _state: &[u8]) -> BoxFuture<'_, Result<Box<dyn UploadWriter>>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            let file = task::run(move || UploadFile::resume(shared, id, offset)).await?;
            Ok(self.writer(file))
        })
    }

    fn discard(&self, id: UploadId) -> BoxFuture<'_, Result<()>> {
        let lease = self.shared.leases.take(id);
        let path = self.shared.layout.upload(id);
        Box::pin(task::run(move || match lease.hold() {
            Ok(_held) => remove_file(&path),
            // Whoever came after this call began the upload anew.
            Err(_) => Ok(()),
        }))
    }

    fn open(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<BlobReader>> {
        let path = self.shared.layout.blob(digest, copy);
        Box::pin(async move { self.readers.open(path).await.map(BlobReader::file) })
    }

    fn open_upload(&self, id: UploadId, _state: &[u8]) -> BoxFuture<'_, Result<BlobReader>> {
        let path = self.shared.layout.upload(id);
        Box::pin(async move { self.readers.open(path).await.map(BlobReader::file) })
    }

    fn remove(&self, digest: &Digest, copy: CopyId) -> BoxFuture<'_, Result<()>> {
        let path = self.shared.layout.blob(digest, copy);
        Box::pin(task::run(move || remove_file(&path)))
    }

    fn uploads(&self, after: Option<UploadId>) -> BoxFuture<'_, Result<Vec<UploadId>>> {
        let directory = self.shared.layout.uploads();
        Box::pin(task::run(move || {
            listing::uploads(&directory, after).map_err(|error| StoreError::io("list the uploads", error))
        }))
    }

    fn copies(&self, after: Option<(Digest, CopyId)>) -> BoxFuture<'_, Result<Vec<StoredCopy>>> {
        let directory = self.shared.layout.blobs();
        Box::pin(task::run(move || {
            listing::copies(&directory, after).map_err(|error| StoreError::io("list the copies", error))
        }))
    }

    fn probe(&self) -> BoxFuture<'_, Result<StoreHealth>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(task::run(move || {
            let failed = |error| StoreError::io("write to the store", error);
            let path = shared.layout.probe();
            let written = File::create(&path).and_then(|mut file| file.write_all(b"probe"));
            let removed = remove_file(&path);
            written.map_err(failed)?;
            removed?;
            let room = rustix::fs::statvfs(shared.layout.root()).map_err(|error| failed(error.into()))?;
            Ok(StoreHealth { free_bytes: Some(room.f_bavail.saturating_mul(room.f_frsize)) })
        }))
    }
}

/// Removes a file that may be gone already.
fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|error| StoreError::io("remove stored bytes", error)),
    }
}

#[cfg(test)]
mod tests;
