//! Backup and restore, while the registry serves. Nothing that a backup names is removed while it runs.
//!
//! A backup is a folder: `meta.db` (the state), `blobs/` (each stored copy under its digest and copy id). Blobs never
//! change, so a second backup into the same folder copies only what is new.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use kogge_meta::{BlobRecord, Commit, Meta, STATE_FILE};
use kogge_store::{BlobStore, StoreError};
use kogge_types::{Code, Digest, Entropy, Hasher, UploadId, clock, limits};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::core::Core;
use crate::error::{Error, Result};

/// What a backup or a restore has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupReport {
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs that were there already.
    pub unchanged: u64,
    /// Blobs that could not be read, or are not what their digest says, and were left out.
    pub damaged: Vec<Digest>,
}

/// Manifests that a restore verifies at once; each has at most 4 MiB.
const MANIFESTS_AT_ONCE: usize = 16;
/// Bytes that a restore reads at once.
const CHUNK_BYTES: usize = 1024 * 1024;

fn blob_path(folder: &Path, blob: &BlobRecord) -> PathBuf {
    let hex = blob.digest.hex();
    folder.join("blobs").join(blob.digest.algorithm().as_str()).join(&hex[..2]).join(format!("{hex}.{}", blob.copy))
}

fn io(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::new(Code::Internal, format!("{action}: {source}"))
}

/// Makes a file, or the names in a folder, durable.
async fn sync(path: &Path) -> Result<()> {
    let file = tokio::fs::File::open(path).await.map_err(io("open what was backed up"))?;
    file.sync_all().await.map_err(io("sync what was backed up"))
}

impl Core {
    /// Copies the whole installation into `folder`, telling `progress` after each blob.
    pub async fn back_up(
        &self,
        folder: &Path,
        progress: &(dyn Fn(&BackupReport) + Send + Sync),
    ) -> Result<BackupReport> {
        let _fence = self.removal.write().await;
        tokio::fs::create_dir_all(folder).await.map_err(io("make the backup folder"))?;
        let fresh = folder.join(format!("{STATE_FILE}.new"));
        let _ = tokio::fs::remove_file(&fresh).await;
        let (meta, path) = (std::sync::Arc::clone(&self.meta), fresh.clone());
        tokio::task::spawn_blocking(move || meta.copy_state_to(&path)).await.map_err(Error::internal)??;
        let mut report = BackupReport::default();
        let mut folders = BTreeSet::new();
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
                folders.extend(blob_path(folder, &blob).ancestors().skip(1).take(3).map(Path::to_path_buf));
                match self.back_up_blob(folder, &blob, &mut report).await {
                    // What is lost already must not keep the rest from being saved.
                    Err(error) if error.code == Code::BlobUnknown => report.damaged.push(blob.digest),
                    outcome => outcome?,
                }
                progress(&report);
            }
        }
        // The state gets its name last: what has it is whole, after a loss of power too.
        for folder in folders {
            sync(&folder).await?;
        }
        sync(&fresh).await?;
        tokio::fs::rename(&fresh, folder.join(STATE_FILE)).await.map_err(io("name the copied state"))?;
        sync(folder).await?;
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
        let unreadable = |error: StoreError| {
            tracing::error!(digest = %blob.digest, %error, "a stored blob cannot be read and is left out of the backup");
            Error::of(Code::BlobUnknown)
        };
        let reader = self.store.open(&blob.digest, blob.copy).await.map_err(unreadable)?;
        let mut chunks = reader.stream(0..blob.size);
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => file.write_all(&chunk).await.map_err(io("write a backup file"))?,
                Err(error) => {
                    tokio::fs::remove_file(&part).await.map_err(io("remove a backup file"))?;
                    return Err(unreadable(error));
                }
            }
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
    progress: &(dyn Fn(&BackupReport) + Send + Sync),
) -> Result<BackupReport> {
    verify_manifests(meta).await?;
    let mut report = BackupReport::default();
    let mut after = None;
    loop {
        let from = after;
        let page = meta.read(move |snapshot| snapshot.blobs_after(from.as_ref(), limits::WORK_BATCH_ROWS)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.digest);
        for blob in page {
            match restore_blob(folder, store, entropy, &blob).await {
                Err(error) if matches!(error.code, Code::BlobUnknown | Code::DigestInvalid) => {
                    tracing::error!(digest = %blob.digest, %error, "a blob of the backup is damaged and out of service");
                    let BlobRecord { digest, copy, size, .. } = blob;
                    meta.write(move |tx| tx.quarantine_blob(&digest, &copy, size).map(Commit::quiet)).await?;
                    report.damaged.push(digest);
                }
                outcome => outcome?,
            }
            report.blobs += 1;
            report.bytes += blob.size;
            progress(&report);
        }
    }
    meta.write(|tx| tx.open_epoch().map(Commit::quiet)).await?;
    Ok(report)
}

/// A state whose manifests are not what their digests say is not restored from.
async fn verify_manifests(meta: &Meta) -> Result<()> {
    let mut after = 0;
    loop {
        let page = meta.read(move |snapshot| snapshot.manifest_bodies(after, MANIFESTS_AT_ONCE)).await?;
        let Some((last, ..)) = page.last() else { return Ok(()) };
        after = *last;
        if let Some((_, digest, _)) =
            page.iter().find(|(_, digest, body)| Digest::of(digest.algorithm(), body) != *digest)
        {
            return Err(Error::new(Code::DigestInvalid, format!("the backup's manifest {digest} is damaged")));
        }
    }
}

async fn restore_blob(folder: &Path, store: &dyn BlobStore, entropy: &dyn Entropy, blob: &BlobRecord) -> Result<()> {
    let mut file = match tokio::fs::File::open(blob_path(folder, blob)).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(Code::BlobUnknown, format!("the backup has no {}", blob.digest)));
        }
        Err(error) => return Err(io("open a backup file")(error)),
    };
    let upload = UploadId::from_bytes(clock::random(entropy));
    let mut writer = store.begin(upload).await?;
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
        drop(writer);
        store.discard(upload).await?;
        let message = format!("the backup of {} holds {found}: the backup is damaged", blob.digest);
        return Err(Error::new(Code::DigestInvalid, message));
    }
    writer.commit(blob.digest, blob.copy).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
