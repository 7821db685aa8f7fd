//! Jobs: leased, backing off, visible; and the journal that is pruned.

use std::time::Duration;

use kogge_meta::Commit;
use kogge_store::Operation;

use crate::fixture::{GRACE, bench, bench_with, settings};
use crate::jobs::{JobKind, RETRY_MAX, RETRY_MIN, run, step};
use crate::{Error, Settings};

async fn ensure(bench: &crate::fixture::Bench) {
    let made = bench.meta.write(|tx| {
        JobKind::ALL.into_iter().try_for_each(|kind| tx.ensure_job(kind.as_str()))?;
        Ok::<_, Error>(Commit::quiet(()))
    });
    made.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_backs_off_and_is_seen() {
    let bench = bench().await;
    ensure(&bench).await;
    bench.push_blob("app", b"content").await;
    bench.clock.advance(GRACE);
    let mut waits = Vec::new();
    for attempt in 1..=12 {
        bench.store.fail(Operation::Remove, 1);
        let wait = step(&bench.core, JobKind::CollectGarbage).await.unwrap();
        let longest = (RETRY_MIN * 2_u32.saturating_pow(attempt as u32 - 1)).min(RETRY_MAX);
        assert!(wait >= longest / 2 && wait <= longest, "{attempt}: {wait:?}");
        waits.push(wait);
        let jobs = bench.core.jobs().await.unwrap();
        let job = jobs.iter().find(|job| job.kind == JobKind::CollectGarbage.as_str()).unwrap();
        assert_eq!((job.attempts, job.running), (attempt, false));
        assert!(job.error.as_deref().unwrap().contains("a fault on demand"), "{job:?}");
        assert_eq!(step(&bench.core, JobKind::CollectGarbage).await.unwrap().min(RETRY_MIN), RETRY_MIN, "not due");
        bench.clock.advance(wait);
    }
    assert!(waits[11] > waits[0] * 10);
    let wait = step(&bench.core, JobKind::CollectGarbage).await.unwrap();
    assert_eq!(wait, bench.core.settings().gc_interval);
    let jobs = bench.core.jobs().await.unwrap();
    let job = jobs.iter().find(|job| job.kind == JobKind::CollectGarbage.as_str()).unwrap();
    assert_eq!((job.attempts, job.error.as_deref()), (0, None));
    assert!(bench.copies().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_runs_is_left_to_him() {
    let bench = bench().await;
    ensure(&bench).await;
    let far = i64::MAX;
    let leased = bench.meta.write(move |tx| tx.lease_job("scrub", far).map(Commit::quiet)).await.unwrap();
    assert!(leased.is_some());
    step(&bench.core, JobKind::Scrub).await.unwrap();
    let jobs = bench.core.jobs().await.unwrap();
    assert!(jobs.iter().find(|job| job.kind == "scrub").unwrap().running);
}

#[tokio::test(flavor = "multi_thread")]
async fn background_work_runs_and_stops() {
    let bench = bench().await;
    let digest = bench.push("app", "v1", &[b"config"]).await;
    bench.core.delete_manifest(&bench.target("app"), &digest).await.unwrap();
    bench.clock.advance(GRACE);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let work = tokio::spawn(run(std::sync::Arc::clone(&bench.core), stopped));
    // Every kind has run once when all say when they ended.
    loop {
        let jobs = bench.core.jobs().await.unwrap();
        if jobs.len() == JobKind::ALL.len() && jobs.iter().all(|job| job.finished_at_us.is_some()) {
            assert!(jobs.iter().all(|job| job.error.is_none()), "{jobs:?}");
            break;
        }
        tokio::task::yield_now().await;
    }
    stop.send(true).unwrap();
    work.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_pruned_of_what_is_old_and_was_followed() {
    let keep = Duration::from_secs(1_000);
    let bench = bench_with(Settings { journal_keep: keep, ..settings() }).await;
    let old = bench.push("app", "v1", &[b"one"]).await;
    bench.core.delete_manifest(&bench.target("app"), &old).await.unwrap();
    let count = || async { bench.meta.read(|s| s.journal_after(0, 1_000)).await.unwrap().len() };
    let all = count().await;
    bench.clock.advance(keep * 2);
    bench.core.prune_journal().await.unwrap();
    assert_eq!(count().await, all, "nobody has followed it");
    bench.core.follow_deletions().await.unwrap();
    bench.push("app", "v2", &[b"two"]).await;
    bench.core.prune_journal().await.unwrap();
    assert_eq!(count().await, 2, "what is young stays");
    let head = bench.meta.read(|s| s.journal_head()).await.unwrap();
    assert_eq!(head.seq as usize, all + 2);
}
