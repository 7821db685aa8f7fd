//! The scrubber: reads stored blobs slowly, and takes those out of service that are not what their digest says.

use std::time::Duration;

use futures_util::StreamExt;
use kogge_meta::{BlobRecord, Commit};
use kogge_store::StoreError;
use kogge_types::{Hasher, clock, limits};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Result;
use crate::gc::Counters;

/// What a pass of the scrubber found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrubReport {
    pub blobs_read: u64,
    pub bytes_read: u64,
    /// Blobs that were not what their digest says, or were not there, and are out of service now.
    pub corrupt: u64,
    /// Stored copies that no record knows, removed.
    pub orphans: u64,
}

impl Core {
    /// Verifies the blobs that were verified longest ago: all of them, or those that are due.
    ///
    /// Reads at the configured rate, unless `everything` was asked for by an operator who waits.
    pub async fn scrub(&self, everything: bool) -> Result<ScrubReport> {
        let mut report = ScrubReport::default();
        let interval_us = if everything { 0 } else { clock::micros(self.settings.scrub_interval) };
        let before_us = self.now_us().saturating_sub(interval_us);
        loop {
            let due = self.meta.read(move |snapshot| snapshot.blobs_to_scrub(before_us, limits::WORK_BATCH_ROWS)).await?;
            if due.is_empty() {
                break;
            }
            for blob in due {
                self.scrub_blob(&blob, everything, &mut report).await?;
            }
        }
        self.sweep_orphans(&mut report).await?;
        Ok(report)
    }

    async fn scrub_blob(&self, blob: &BlobRecord, at_full_speed: bool, report: &mut ScrubReport) -> Result<()> {
        let (digest, copy, size) = (blob.digest, blob.copy, blob.size);
        let sound = self.is_sound(blob, at_full_speed).await?;
        report.blobs_read += 1;
        report.bytes_read += size;
        Counters::add(&self.counters.blobs_scrubbed, 1);
        Counters::add(&self.counters.bytes_scrubbed, size);
        if sound {
            self.meta.write(move |tx| tx.mark_scrubbed(&digest, &copy).map(Commit::quiet)).await?;
            return Ok(());
        }
        let _fence = self.removal.read().await;
        let taken = self.meta.write(move |tx| tx.quarantine_blob(&digest, &copy, size).map(Commit::quiet)).await?;
        if taken {
            report.corrupt += 1;
            Counters::add(&self.counters.blobs_corrupt, 1);
            tracing::error!(%digest, %copy, "a stored blob is corrupt and out of service: push it again");
        }
        Ok(())
    }

    async fn is_sound(&self, blob: &BlobRecord, at_full_speed: bool) -> Result<bool> {
        let reader = match self.store.open(&blob.digest, blob.copy).await {
            Ok(reader) => reader,
            Err(StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if reader.size() != blob.size {
            return Ok(false);
        }
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut chunks = reader.stream(0..blob.size);
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(StoreError::TooShort { .. } | StoreError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            hasher.update(&chunk);
            if !at_full_speed {
                let rate = self.settings.scrub_bytes_per_second.max(1);
                tokio::time::sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64)).await;
            }
        }
        Ok(hasher.finish() == blob.digest)
    }

    /// Removes copies that no record knows and that are older than the grace: what a crash left between the store
    /// and the record.
    async fn sweep_orphans(&self, report: &mut ScrubReport) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.store.copies(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.digest, last.copy));
            let oldest_us = self.now_us().saturating_sub(clock::micros(self.settings.gc_grace));
            for stored in page.into_iter().filter(|stored| stored.written_at_us <= oldest_us) {
                // In this order: a copy that is pending no more is on record.
                let known = self.pending.holds(&stored.copy)
                    || self.meta.read(move |snapshot| snapshot.is_copy_known(&stored.digest, &stored.copy)).await?;
                if !known {
                    let _fence = self.removal.read().await;
                    self.store.remove(&stored.digest, stored.copy).await?;
                    report.orphans += 1;
                    Counters::add(&self.counters.orphans_removed, 1);
                }
            }
        }
    }
}
