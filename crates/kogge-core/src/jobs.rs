//! Background work: one task a kind, leased in the database, visible, backing off when it fails.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kogge_meta::{Commit, Job, JobRecord};
use kogge_types::{Code, clock};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::core::Core;
use crate::error::{Error, Result};

/// How long a job stays with who leased it last, who renews that while it runs: after this, the job of a node that died
/// goes on at another one. A process that is alone frees its leases when it starts.
const LEASE: Duration = Duration::from_secs(24 * 60 * 60);
const LEASE_AMONG_NODES: Duration = Duration::from_secs(60);
/// How long a failed job waits at first, and at most.
const RETRY_MIN: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);
/// How often the journal is looked at when no hint comes.
const JOURNAL_POLL: Duration = Duration::from_secs(5);
/// How long changes are gathered before they are followed.
const JOURNAL_GATHER: Duration = Duration::from_millis(100);
/// How often orphans are looked for, at most and at least.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Journal entries that one step prunes.
const PRUNE_ROWS: usize = 10_000;

/// The kinds of background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    CollectGarbage,
    ExpireUploads,
    MeasureUsage,
    PruneJournal,
    PurgeGrants,
    RotateKeys,
    Scrub,
    SweepOrphans,
}

impl JobKind {
    pub const ALL: [Self; 8] = [
        Self::CollectGarbage,
        Self::ExpireUploads,
        Self::MeasureUsage,
        Self::PruneJournal,
        Self::PurgeGrants,
        Self::RotateKeys,
        Self::Scrub,
        Self::SweepOrphans,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::CollectGarbage => "collect-garbage",
            Self::ExpireUploads => "expire-uploads",
            Self::MeasureUsage => "measure-usage",
            Self::PruneJournal => "prune-journal",
            Self::PurgeGrants => "purge-grants",
            Self::RotateKeys => "rotate-keys",
            Self::Scrub => "scrub",
            Self::SweepOrphans => "sweep-orphans",
        }
    }

    /// Whether every node runs it for itself: what it finds out stays in the node's memory.
    fn is_of_each_node(self) -> bool {
        match self {
            Self::MeasureUsage => true,
            Self::CollectGarbage
            | Self::ExpireUploads
            | Self::PruneJournal
            | Self::PurgeGrants
            | Self::RotateKeys
            | Self::Scrub
            | Self::SweepOrphans => false,
        }
    }

    fn interval(self, core: &Core) -> Duration {
        match self {
            Self::CollectGarbage => core.settings.gc_interval,
            Self::MeasureUsage => core.usage.interval(),
            Self::ExpireUploads | Self::PruneJournal | Self::PurgeGrants | Self::RotateKeys | Self::Scrub => {
                Duration::from_secs(60 * 60)
            }
            // An orphan is one only after the grace, so that more often would find no more.
            Self::SweepOrphans => core.settings.gc_grace.clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX),
        }
    }

    async fn run(self, core: &Core) -> Result<()> {
        match self {
            Self::CollectGarbage => core.collect_garbage().await.map(|_| ()),
            Self::ExpireUploads => core.expire_uploads().await.map(|_| ()),
            Self::MeasureUsage => core.measure_usage().await,
            Self::PruneJournal => core.prune_journal().await,
            Self::PurgeGrants => core.purge_grants().await,
            Self::RotateKeys => core.rotate_old_keys().await,
            Self::Scrub if core.settings.scrub_bytes_per_second == 0 => Ok(()),
            Self::Scrub => core.scrub(false).await.map(|_| ()),
            Self::SweepOrphans => core.sweep_orphans().await.map(|_| ()),
        }
    }
}

/// Runs all background work until `stop` changes.
pub async fn run(core: Arc<Core>, stop: watch::Receiver<bool>) -> Result<()> {
    let alone = !core.meta.is_shared();
    core.meta
        .write(move |tx| {
            if alone {
                tx.free_leases()?;
            }
            for kind in JobKind::ALL {
                tx.ensure_job(kind.as_str())?;
            }
            Ok::<_, Error>(Commit::quiet(()))
        })
        .await?;
    let mut tasks = JoinSet::new();
    for kind in JobKind::ALL {
        tasks.spawn(repeat(Arc::clone(&core), kind, stop.clone()));
    }
    tasks.spawn(crate::audit::follow(Arc::clone(&core), stop.clone()));
    tasks.spawn(crate::currency::follow(Arc::clone(&core), stop.clone()));
    tasks.spawn(follow(core, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a background task has ended before its time");
        }
    }
    Ok(())
}

/// Follows the journal as it grows.
async fn follow(core: Arc<Core>, mut stop: watch::Receiver<bool>) {
    let mut hint = core.meta.journal_hint();
    loop {
        if let Err(error) = core.follow_deletions().await {
            tracing::error!(error = %report(&error), "cannot follow the journal");
        }
        tokio::select! {
            _ = stop.changed() => return,
            _ = tokio::time::timeout(JOURNAL_POLL, hint.changed()) => {}
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(JOURNAL_GATHER) => {}
        }
    }
}

async fn repeat(core: Arc<Core>, kind: JobKind, mut stop: watch::Receiver<bool>) {
    loop {
        // A step that is dropped is cut between two transactions; the next start begins it again.
        let stepped = tokio::select! {
            _ = stop.changed() => return,
            stepped = step(&core, kind) => stepped,
        };
        let wait = match stepped {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(job = kind.as_str(), error = %report(&error), "cannot run the job");
                RETRY_MAX
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Runs the job when it is due. Says how long until it is due again.
async fn step(core: &Core, kind: JobKind) -> Result<Duration> {
    let name = kind.as_str();
    if core.meta.is_shared() && kind.is_of_each_node() {
        kind.run(core).await?;
        return Ok(kind.interval(core));
    }
    let until_us = lease_end_us(core);
    let Some(job) = core.meta.write(move |tx| tx.lease_job(name, until_us).map(Commit::quiet)).await? else {
        let jobs = core.meta.read(|snapshot| snapshot.jobs()).await?;
        let due_us = jobs.iter().find(|job| job.kind == name).map_or(0, |job| job.not_before_us);
        let wait_us = u64::try_from(due_us - core.now_us()).unwrap_or(0);
        return Ok(Duration::from_micros(wait_us).clamp(RETRY_MIN, RETRY_MAX));
    };
    // A job that panics has failed, and is tried again like any other.
    let run = AssertUnwindSafe(kind.run(core)).catch_unwind();
    let outcome = tokio::select! {
        outcome = run => outcome,
        // Another node has it now.
        () = lose_lease(core, job.clone()) => return Ok(RETRY_MIN),
    };
    let outcome = outcome.unwrap_or_else(|_| Err(Error::new(Code::Internal, "the job panicked")));
    let wait = match &outcome {
        Ok(()) => kind.interval(core),
        Err(_) => {
            let doubling = 2_u32.saturating_pow(u32::try_from(job.attempts).unwrap_or(u32::MAX).min(16));
            let jitter = u32::from(clock::random::<1>(core.entropy.as_ref())[0]);
            (RETRY_MIN * doubling).min(RETRY_MAX) * (256 + jitter) / 512
        }
    };
    let failure = outcome.err().map(|error| report(&error));
    if let Some(failure) = &failure {
        tracing::warn!(job = name, error = failure, "a job failed and will be tried again");
    }
    let due_us = core.now_us().saturating_add(clock::micros(wait));
    core.meta
        .write(move |tx| {
            tx.finish_job(&job, "", due_us, failure.as_deref())?;
            Ok::<_, Error>(Commit::quiet(()))
        })
        .await?;
    Ok(wait)
}

fn lease_of(core: &Core) -> Duration {
    if core.meta.is_shared() { LEASE_AMONG_NODES } else { LEASE }
}

fn lease_end_us(core: &Core) -> i64 {
    core.now_us().saturating_add(clock::micros(lease_of(core)))
}

/// Renews the lease of a job that runs, until it is lost.
async fn lose_lease(core: &Core, job: Job) {
    let mut held_until_us = lease_end_us(core);
    loop {
        tokio::time::sleep(lease_of(core) / 4).await;
        let (job, until_us) = (job.clone(), lease_end_us(core));
        match core.meta.write(move |tx| tx.renew_lease(&job, until_us).map(Commit::quiet)).await {
            Ok(true) => held_until_us = until_us,
            Ok(false) => return,
            // The database is away: the lease is ours until it ends.
            Err(_) if core.now_us() < held_until_us => {}
            Err(_) => return,
        }
    }
}

/// An error with its causes, for the log.
pub fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Core {
    /// Every job and how it fares.
    pub async fn jobs(&self) -> Result<Vec<JobRecord>> {
        Ok(self.meta.read(|snapshot| snapshot.jobs()).await?)
    }

    /// Removes journal entries that everybody has read, and tombstones, when they are old enough.
    pub async fn prune_journal(&self) -> Result<()> {
        let before_us = self.now_us().saturating_sub(clock::micros(self.settings.journal_keep));
        while self.meta.write(move |tx| tx.prune_journal(before_us, PRUNE_ROWS).map(Commit::quiet)).await? > 0 {}
        while self.meta.write(move |tx| tx.prune_tombstones(before_us, PRUNE_ROWS).map(Commit::quiet)).await? > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
