//! Backup and restore, while the registry serves. Nothing that a backup names is removed while it runs.
//!
//! A backup is a folder: `meta.db` (the state), `blobs/` (each stored copy under its digest and copy id). Blobs never
//! change, so a second backup into the same folder copies only what is new.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use kogge_meta::{BlobRecord, Commit, Meta, STATE_FILE};
use kogge_store::BlobStore;
use kogge_types::{Code, Entropy, Hasher, UploadId, clock, limits};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::core::Core;
use crate::error::{Error, Result};

/// What a backup or a restore has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupReport {
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs that were there already.
    pub unchanged: u64,
}

/// Bytes that a restore reads at once.
const CHUNK_BYTES: usize = 1024 * 1024;

fn blob_path(folder: &Path, blob: &BlobRecord) -> PathBuf {
    let hex = blob.digest.hex();
    folder
        .join("blobs")
        .join(blob.digest.algorithm().as_str())
        .join(&hex[..2])
        .join(format!("{hex}.{}", blob.copy))
}

fn io(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::new(Code::Internal, format!("{action}: {source}"))
}

impl Core {
    /// Copies the whole installation into `folder`, telling `progress` after each blob.
    pub async fn back_up(&self, folder: &Path, progress: &(dyn Fn(BackupReport) + Send + Sync)) -> Result<BackupReport> {
        let _fence = self.removal.write().await;
        tokio::fs::create_dir_all(folder).await.map_err(io("make the backup folder"))?;
        let fresh = folder.join(format!("{STATE_FILE}.new"));
        let _ = tokio::fs::remove_file(&fresh).await;
        let (meta, path) = (std::sync::Arc::clone(&self.meta), fresh.clone());
        tokio::task::spawn_blocking(move || meta.copy_state_to(&path)).await.map_err(Error::internal)??;
        let mut report = BackupReport::default();
        let mut after = None;
        loop {
            // What the copied state names, which by now may differ from what the present one does.
            let (from, path) = (after, fresh.clone());
            let page = tokio::task::spawn_blocking(move || {
                kogge_meta::blobs_in_copy(&path, from.as_ref(), limits::WORK_BATCH_ROWS)
            });
            let page = page.await.map_err(Error::internal)??;
            let Some(last) = page.last() else { break };
            after = Some(last.digest);
            for blob in page {
                self.back_up_blob(folder, &blob, &mut report).await?;
                progress(report);
            }
        }
        let state = tokio::fs::File::open(&fresh).await.map_err(io("open the copied state"))?;
        state.sync_all().await.map_err(io("sync the copied state"))?;
        tokio::fs::rename(&fresh, folder.join(STATE_FILE)).await.map_err(io("name the copied state"))?;
        Ok(report)
    }

    async fn back_up_blob(&self, folder: &Path, blob: &BlobRecord, report: &mut BackupReport) -> Result<()> {
        let path = blob_path(folder, blob);
        report.blobs += 1;
        report.bytes += blob.size;
        if tokio::fs::metadata(&path).await.is_ok_and(|found| found.len() == blob.size) {
            report.unchanged += 1;
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(io("make a backup folder"))?;
        }
        let part = path.with_extension("part");
        let mut file = tokio::fs::File::create(&part).await.map_err(io("make a backup file"))?;
        let reader = self.store.open(&blob.digest, blob.copy).await?;
        let mut chunks = reader.stream(0..blob.size);
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk?).await.map_err(io("write a backup file"))?;
        }
        file.sync_all().await.map_err(io("sync a backup file"))?;
        tokio::fs::rename(&part, &path).await.map_err(io("name a backup file"))?;
        Ok(())
    }
}

/// Fills an empty store from the backup in `folder`, whose state `meta` holds already, and verifies each blob. The
/// installation gets a new epoch: what it does from now on is told apart from what was lost.
pub async fn restore(
    folder: &Path,
    meta: &Meta,
    store: &dyn BlobStore,
    entropy: &dyn Entropy,
    progress: &(dyn Fn(BackupReport) + Send + Sync),
) -> Result<BackupReport> {
    let mut report = BackupReport::default();
    let mut after = None;
    loop {
        let from = after;
        let page = meta.read(move |snapshot| snapshot.blobs_after(from.as_ref(), limits::WORK_BATCH_ROWS)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.digest);
        for blob in page {
            restore_blob(folder, store, entropy, &blob).await?;
            report.blobs += 1;
            report.bytes += blob.size;
            progress(report);
        }
    }
    meta.write(|tx| tx.open_epoch().map(Commit::quiet)).await?;
    Ok(report)
}

async fn restore_blob(folder: &Path, store: &dyn BlobStore, entropy: &dyn Entropy, blob: &BlobRecord) -> Result<()> {
    let mut file = tokio::fs::File::open(blob_path(folder, blob)).await.map_err(io("open a backup file"))?;
    let mut writer = store.begin(UploadId::from_bytes(clock::random(entropy))).await?;
    let mut hasher = Hasher::new(blob.digest.algorithm());
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        if (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await.map_err(io("read a backup file"))? == 0 {
            break;
        }
        hasher.update(&chunk);
        writer.write(chunk.into()).await?;
    }
    let found = hasher.finish();
    if found != blob.digest {
        let message = format!("the backup of {} holds {found}: the backup is damaged", blob.digest);
        return Err(Error::new(Code::DigestInvalid, message));
    }
    writer.commit(blob.digest, blob.copy).await?;
    Ok(())
}
