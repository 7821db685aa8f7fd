//! The writing end of an upload on local disk: one write is in flight while the next gathers.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use kogge_types::{CopyId, Digest};
use tokio::task::JoinHandle;

use crate::disk::gather::Gather;
use crate::disk::shared::{Active, Shared};
use crate::disk::task;
use crate::disk::upload::UploadFile;
use crate::error::{Result, StoreError};
use crate::store::{BoxFuture, UploadWriter};

pub(crate) struct DiskWriter {
    offset: u64,
    gather: Gather,
    stage: Stage,
    active: Active,
}

enum Stage {
    Idle(UploadFile),
    Writing(JoinHandle<Result<UploadFile>>),
    Failed,
}

impl DiskWriter {
    pub(crate) fn new(shared: Arc<Shared>, file: UploadFile) -> Self {
        let offset = file.written();
        Self { offset, gather: Gather::default(), stage: Stage::Idle(file), active: Active::new(shared) }
    }

    /// Waits for the write in flight and takes the file out.
    async fn file(&mut self) -> Result<UploadFile> {
        if let Stage::Writing(flight) = &mut self.stage {
            let landed = task::landed(flight).await;
            self.stage = Stage::Failed;
            return landed;
        }
        match mem::replace(&mut self.stage, Stage::Failed) {
            Stage::Idle(file) => Ok(file),
            Stage::Writing(_) | Stage::Failed => Err(StoreError::Io {
                action: "go on with the upload",
                source: std::io::Error::other("an earlier write of it failed"),
            }),
        }
    }

    async fn take(&mut self, chunk: Bytes) -> Result<()> {
        self.offset += chunk.len() as u64;
        self.gather.push(chunk);
        if self.gather.bytes() < self.active.gather_bytes() {
            return Ok(());
        }
        let mut file = self.file().await?;
        let parts = self.gather.take();
        self.stage = Stage::Writing(tokio::task::spawn_blocking(move || {
            file.append(&parts)?;
            Ok(file)
        }));
        Ok(())
    }
}

impl UploadWriter for DiskWriter {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.take(chunk))
    }

    fn pause(mut self: Box<Self>) -> BoxFuture<'static, Result<Vec<u8>>> {
        Box::pin(async move {
            let mut file = self.file().await?;
            let parts = self.gather.take();
            task::run(move || file.append(&parts)).await?;
            Ok(Vec::new())
        })
    }

    fn commit(mut self: Box<Self>, digest: Digest, copy: CopyId) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let mut file = self.file().await?;
            let parts = self.gather.take();
            task::run(move || {
                file.append(&parts)?;
                file.commit(&digest, copy)
            })
            .await
        })
    }
}
