//! Garbage collection, online: links end, blobs without links are fenced, fenced copies are removed. Each step is
//! short, takes no lock that a push could wait for, and goes on where the last one stopped.

use std::sync::atomic::{AtomicU64, Ordering};

use kogge_meta::{BlobRecord, Commit, Entry, Event, GarbageCount, Holder};
use kogge_types::{Digest, RegistryId, RepositoryName, clock, limits};
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::{Error, Result};

/// The name under which the journal knows this consumer.
const CONSUMER: &str = "gc";
/// Entries that need nothing done before the cursor is written all the same.
const CURSOR_STRIDE: i64 = 1_000;

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GcReport {
    /// Links that ended.
    pub links_ended: u64,
    /// Blobs that were fenced.
    pub blobs_fenced: u64,
    /// Copies whose bytes were removed.
    pub copies_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
}

/// What background work has done since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    pub gc_runs: AtomicU64,
    pub copies_removed: AtomicU64,
    pub bytes_removed: AtomicU64,
    pub uploads_expired: AtomicU64,
    /// Uploads that were read again because their digest's algorithm had not been announced.
    pub upload_rereads: AtomicU64,
    pub blobs_scrubbed: AtomicU64,
    pub bytes_scrubbed: AtomicU64,
    pub blobs_corrupt: AtomicU64,
    pub orphans_removed: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

/// Why a blob is kept, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStory {
    pub blob: Option<BlobRecord>,
    pub holders: Vec<Holder>,
}

impl Core {
    /// What a collection would find now.
    pub async fn count_garbage(&self) -> Result<GarbageCount> {
        let now_us = self.now_us();
        Ok(self.meta.read(move |snapshot| snapshot.garbage(now_us)).await?)
    }

    /// Collects what there is to collect now.
    pub async fn collect_garbage(&self) -> Result<GcReport> {
        self.follow_deletions().await?;
        let mut report = GcReport::default();
        while let ended @ 1.. = self.meta.write(|tx| tx.end_links(limits::WORK_BATCH_ROWS).map(Commit::quiet)).await? {
            report.links_ended += ended as u64;
        }
        loop {
            let _fence = self.removal.read().await;
            let fenced = self.meta.write(|tx| tx.fence_blobs(limits::WORK_BATCH_ROWS).map(Commit::quiet)).await?;
            if fenced == 0 {
                break;
            }
            report.blobs_fenced += fenced as u64;
        }
        self.remove_condemned(&mut report).await?;
        Counters::add(&self.counters.gc_runs, 1);
        Ok(report)
    }

    async fn remove_condemned(&self, report: &mut GcReport) -> Result<()> {
        loop {
            let before_us = self.now_us();
            let condemned =
                self.meta.read(move |snapshot| snapshot.condemned(before_us, limits::WORK_BATCH_ROWS)).await?;
            if condemned.is_empty() {
                return Ok(());
            }
            let _fence = self.removal.read().await;
            for gone in &condemned {
                self.store.remove(&gone.digest, gone.copy).await?;
                report.copies_removed += 1;
                report.bytes_removed += gone.size;
                Counters::add(&self.counters.copies_removed, 1);
                Counters::add(&self.counters.bytes_removed, gone.size);
            }
            self.meta
                .write(move |tx| {
                    condemned.iter().try_for_each(|gone| tx.forget_condemned(&gone.copy))?;
                    Ok::<_, Error>(Commit::quiet(()))
                })
                .await?;
        }
    }

    /// Ends uploads that nobody has written to for long. Says how many.
    pub async fn expire_uploads(&self) -> Result<u64> {
        let mut expired = 0;
        let before_us = self.now_us().saturating_sub(clock::micros(self.settings.upload_life));
        let mut after = None;
        loop {
            let idle = self.sessions.idle(before_us, after, limits::WORK_BATCH_ROWS).await?;
            let Some(last) = idle.last() else { break };
            after = Some(*last);
            for id in idle {
                self.forget_upload(id).await?;
                expired += 1;
            }
        }
        let mut after = None;
        loop {
            let stored = self.store.uploads(after).await?;
            let Some(last) = stored.last() else { break };
            after = Some(*last);
            for id in stored {
                if self.sessions.find(id).await?.is_none() {
                    self.store.discard(id).await?;
                    expired += 1;
                }
            }
        }
        Counters::add(&self.counters.uploads_expired, expired);
        Ok(expired)
    }

    /// Why a blob is kept.
    pub async fn tell_blob(&self, digest: &Digest) -> Result<BlobStory> {
        let digest = *digest;
        let story = self.meta.read(move |snapshot| {
            Ok::<_, Error>(BlobStory {
                blob: snapshot.blob(&digest)?,
                holders: snapshot.holders(&digest, limits::WORK_BATCH_ROWS)?,
            })
        });
        story.await
    }

    /// The journal's last sequence, and how many entries of it have not been followed yet.
    pub async fn journal_state(&self) -> Result<(i64, i64)> {
        let (head, cursor) = self
            .meta
            .read(|snapshot| Ok::<_, Error>((snapshot.journal_head()?.seq, snapshot.cursor(CONSUMER)?)))
            .await?;
        // The cursor is written only when there was something to do; the position in memory may be ahead of it.
        let position = self.followed.load(Ordering::Relaxed).max(cursor);
        Ok((head, head - position))
    }

    /// Follows the journal to its end: lets go of what deleted manifests and repositories held.
    pub async fn follow_deletions(&self) -> Result<()> {
        let _turn = self.following.lock().await;
        let stored = self.meta.read(|snapshot| snapshot.cursor(CONSUMER)).await?;
        let mut position = stored.max(self.followed.load(Ordering::Relaxed));
        loop {
            let after = position;
            let entries =
                self.meta.read(move |snapshot| snapshot.journal_after(after, limits::WORK_BATCH_ROWS)).await?;
            let Some(last) = entries.last().map(|entry| entry.seq) else { break };
            let acted = self.let_go(entries, last).await?;
            if !acted && last - stored >= CURSOR_STRIDE {
                self.meta.write(move |tx| tx.set_cursor(CONSUMER, last).map(Commit::quiet)).await?;
            }
            position = last;
            self.followed.store(position, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reacts to a page of entries, and notes in the same transaction that it has. False when none of them needed anything.
    async fn let_go(&self, entries: Vec<Entry>, last: i64) -> Result<bool> {
        let mut released = Vec::new();
        let mut acted = false;
        for entry in entries {
            match entry.event {
                Event::ManifestDeleted { registry, repository, digest } => {
                    released.push((registry, repository, digest));
                }
                Event::RepositoryDeleted { registry, repository } => {
                    acted = true;
                    self.reclaim_repository(registry, repository).await?;
                }
                Event::RegistryDeleted { registry, .. } => {
                    acted = true;
                    self.reclaim_registry(registry).await?;
                }
                Event::RegistryPut { .. }
                | Event::PrincipalPut { .. }
                | Event::PrincipalDeleted { .. }
                | Event::EpochRaised { .. }
                | Event::GroupMemberSet { .. }
                | Event::ResourcePut { .. }
                | Event::ResourceDeleted { .. }
                | Event::CredentialPut { .. }
                | Event::CredentialDeleted { .. }
                | Event::ManifestPut { .. }
                | Event::TagSet { .. }
                | Event::TagDeleted { .. }
                | Event::BlobUnlinked { .. }
                | Event::AttributesSet { .. } => {}
            }
        }
        if released.is_empty() && !acted {
            return Ok(false);
        }
        let end = self.grace_end_us();
        self.meta
            .write(move |tx| {
                // Where there are several nodes, each follows; the first does what there is to do.
                if tx.cursor(CONSUMER)? >= last {
                    return Ok(Commit::quiet(true));
                }
                for (registry, repository, digest) in &released {
                    tx.release_manifest(registry, repository, digest, end)?;
                }
                tx.set_cursor(CONSUMER, last)?;
                Ok::<_, Error>(Commit::quiet(true))
            })
            .await
    }

    /// Takes apart what a deleted registry held, step by step.
    async fn reclaim_registry(&self, registry: RegistryId) -> Result<()> {
        let step = move |tx: &mut kogge_meta::Tx<'_>| {
            tx.reclaim_deleted_registry(&registry, limits::WORK_BATCH_ROWS).map(Commit::quiet)
        };
        while self.meta.write(step).await? {}
        Ok(())
    }

    /// Takes apart what deleted repositories of this name held, step by step.
    async fn reclaim_repository(&self, registry: RegistryId, repository: RepositoryName) -> Result<()> {
        loop {
            let name = repository.clone();
            let more = self.meta.write(move |tx| {
                tx.reclaim_dead_repository(&registry, &name, limits::WORK_BATCH_ROWS).map(Commit::quiet)
            });
            if !more.await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
