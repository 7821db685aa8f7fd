//! The scrubber: reads stored blobs slowly, and takes those out of service that are not what their digest says.

use std::time::Duration;

use futures_util::StreamExt;
use kogge_meta::{BlobRecord, Commit, Condemned};
use kogge_store::StoreError;
use kogge_types::{Code, Hasher, clock, limits};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::{Error, Result};
use crate::gc::Counters;

/// What a pass of the scrubber found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrubReport {
    pub blobs_read: u64,
    pub bytes_read: u64,
    /// Blobs that were not what their digest says, or were not there, and are out of service now.
    pub corrupt: u64,
    /// Those of them that the disk did not give.
    pub unreadable: u64,
    /// Blobs that were out of service, are sound after all, and serve again.
    pub reinstated: u64,
    /// Stored copies that no record knows, removed.
    pub orphans: u64,
}

/// Blobs that one pass takes out of service because they could not be read, before it gives the disk up.
const UNREADABLE_MAX: u64 = 3;
/// How long after a failed read a blob is read once more.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// What a look at a stored copy found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Sound,
    /// Other bytes than the digest says, or none.
    Wrong,
    /// The disk did not give the bytes.
    Unreadable,
}

impl Core {
    /// Verifies the blobs that were verified longest ago: all of them, or those that are due.
    ///
    /// Reads at the configured rate, unless `everything` was asked for by an operator who waits.
    pub async fn scrub(&self, everything: bool) -> Result<ScrubReport> {
        let mut report = ScrubReport::default();
        self.reinstate_sound(everything, &mut report).await?;
        let interval_us = if everything { 0 } else { clock::micros(self.settings.scrub_interval) };
        let before_us = self.now_us().saturating_sub(interval_us);
        loop {
            let due =
                self.meta.read(move |snapshot| snapshot.blobs_to_scrub(before_us, limits::WORK_BATCH_ROWS)).await?;
            if due.is_empty() {
                break;
            }
            for blob in due {
                self.scrub_blob(&blob, everything, &mut report).await?;
            }
        }
        if everything {
            report.orphans = self.sweep_orphans().await?;
        }
        Ok(report)
    }

    async fn scrub_blob(&self, blob: &BlobRecord, at_full_speed: bool, report: &mut ScrubReport) -> Result<()> {
        let copy = Condemned { digest: blob.digest, copy: blob.copy, size: blob.size };
        let finding = self.look_twice(&copy, at_full_speed).await?;
        report.blobs_read += 1;
        report.bytes_read += blob.size;
        Counters::add(&self.counters.blobs_scrubbed, 1);
        Counters::add(&self.counters.bytes_scrubbed, blob.size);
        let Condemned { digest, copy, size } = copy;
        if finding == Finding::Sound {
            self.meta.write(move |tx| tx.mark_scrubbed(&digest, &copy).map(Commit::quiet)).await?;
            return Ok(());
        }
        let _fence = self.removal.read().await;
        let taken = self.meta.write(move |tx| tx.quarantine_blob(&digest, &copy, size).map(Commit::quiet)).await?;
        if taken {
            report.corrupt += 1;
            Counters::add(&self.counters.blobs_corrupt, 1);
            tracing::error!(%digest, %copy, ?finding, "a stored blob is corrupt and out of service: push it again");
        }
        report.unreadable += u64::from(finding == Finding::Unreadable);
        if report.unreadable > UNREADABLE_MAX {
            return Err(Error::new(Code::Unavailable, "the disk does not give stored bytes: the scrubber stops"));
        }
        Ok(())
    }

    /// Puts copies back into service that were taken out and are sound after all: the disk was ill, and is not any more.
    async fn reinstate_sound(&self, at_full_speed: bool, report: &mut ScrubReport) -> Result<()> {
        let mut after = None;
        loop {
            let corrupt = self
                .meta
                .read(move |snapshot| snapshot.corrupt_copies(after.as_ref(), limits::WORK_BATCH_ROWS))
                .await?;
            let Some(last) = corrupt.last() else { return Ok(()) };
            after = Some(last.digest);
            for copy in corrupt {
                if self.look(&copy, at_full_speed).await? == Finding::Sound {
                    self.meta.write(move |tx| tx.reinstate_blob(&copy).map(Commit::quiet)).await?;
                    report.reinstated += 1;
                    tracing::info!(digest = %copy.digest, "a blob that was out of service is sound and serves again");
                }
            }
        }
    }

    /// A single failed read may be the weather; two are the disk.
    async fn look_twice(&self, copy: &Condemned, at_full_speed: bool) -> Result<Finding> {
        match self.look(copy, at_full_speed).await? {
            Finding::Unreadable => {
                tokio::time::sleep(SECOND_LOOK_AFTER).await;
                self.look(copy, at_full_speed).await
            }
            finding => Ok(finding),
        }
    }

    async fn look(&self, copy: &Condemned, at_full_speed: bool) -> Result<Finding> {
        let reader = match self.store.open(&copy.digest, copy.copy).await {
            Ok(reader) => reader,
            Err(StoreError::NotFound) => return Ok(Finding::Wrong),
            Err(error) => {
                tracing::error!(digest = %copy.digest, %error, "a stored blob cannot be opened");
                return Ok(Finding::Unreadable);
            }
        };
        if reader.size() != copy.size {
            return Ok(Finding::Wrong);
        }
        let mut hasher = Hasher::new(copy.digest.algorithm());
        let mut chunks = reader.stream(0..copy.size);
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(StoreError::TooShort { .. } | StoreError::NotFound) => return Ok(Finding::Wrong),
                Err(error) => {
                    tracing::error!(digest = %copy.digest, %error, "a stored blob cannot be read");
                    return Ok(Finding::Unreadable);
                }
            };
            hasher.update(&chunk);
            if !at_full_speed {
                let rate = self.settings.scrub_bytes_per_second.max(1);
                tokio::time::sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
            }
        }
        Ok(if hasher.finish() == copy.digest { Finding::Sound } else { Finding::Wrong })
    }

    /// Removes copies that no record knows and that are older than the grace: what a crash left between the store
    /// and the record. Says how many.
    pub async fn sweep_orphans(&self) -> Result<u64> {
        let mut removed = 0;
        let mut after = None;
        loop {
            let page = self.store.copies(after).await?;
            let Some(last) = page.last() else { return Ok(removed) };
            after = Some((last.digest, last.copy));
            let oldest_us = self.now_us().saturating_sub(clock::micros(self.settings.gc_grace));
            for stored in page.into_iter().filter(|stored| stored.written_at_us <= oldest_us) {
                // In this order: a commit records its copy before it is no longer pending.
                let pending = self.pending.holds(&stored.copy);
                let known =
                    self.meta.read(move |snapshot| snapshot.is_copy_known(&stored.digest, &stored.copy)).await?;
                if !known && !pending {
                    let _fence = self.removal.read().await;
                    self.store.remove(&stored.digest, stored.copy).await?;
                    removed += 1;
                    Counters::add(&self.counters.orphans_removed, 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
