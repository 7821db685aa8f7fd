//! Jobs, settings and upload sessions.

use std::time::Duration;

use kogge_types::{Algorithm, Clock, Hasher};

use crate::change::Commit;
use crate::error::MetaError;
use crate::suite::{Bench, MANY, cases, repository, upload_id};
use crate::upload::UploadRecord;

cases! {
    a_job_is_leased_by_one
    a_failed_job_says_so
    leases_are_freed
    the_first_setting_is_settled
    an_upload_lives_and_ends
    a_superseded_writer_cannot_advance
    idle_uploads_are_found
    an_epoch_is_opened
}

async fn lease(bench: &Bench, seconds: u64) -> Option<crate::Job> {
    let until = bench.clock.now_us() + 1_000_000 * seconds as i64;
    bench.write(move |tx, _| tx.lease_job("sweep", until).map(Commit::quiet)).await
}

async fn finish(bench: &Bench, job: crate::Job, payload: &'static str, seconds: u64, error: Option<&'static str>) {
    let due = bench.clock.now_us() + 1_000_000 * seconds as i64;
    bench.write(move |tx, _| tx.finish_job(&job, payload, due, error).map(Commit::quiet)).await;
}

async fn job(bench: &Bench) -> crate::JobRecord {
    bench.meta.read(|s| s.jobs()).await.expect("read").into_iter().find(|job| job.kind == "sweep").expect("there")
}

async fn a_job_is_leased_by_one(bench: &Bench) {
    assert_eq!(lease(bench, 10).await, None, "there is no such job");
    bench.write(|tx, _| tx.ensure_job("sweep").map(Commit::quiet)).await;
    let first = lease(bench, 10).await.expect("due at once");
    assert_eq!((first.kind.as_str(), first.payload.as_str(), first.attempts), ("sweep", "", 0));
    assert!(job(bench).await.running);
    assert_eq!(lease(bench, 10).await, None, "somebody holds it");
    bench.clock.advance(Duration::from_secs(10));
    let second = lease(bench, 10).await.expect("the lease is over");
    finish(bench, first.clone(), "lost", 60, None).await;
    assert!(job(bench).await.running, "who lost the lease ends nothing");
    let until = bench.clock.now_us() + 20_000_000;
    assert!(!bench.write(move |tx, _| tx.renew_lease(&first, until).map(Commit::quiet)).await, "it is lost");
    let holder = second.clone();
    assert!(bench.write(move |tx, _| tx.renew_lease(&holder, until).map(Commit::quiet)).await);
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(lease(bench, 10).await, None, "the lease was renewed");
    finish(bench, second, "half way", 60, None).await;
    let done = job(bench).await;
    assert!(!done.running);
    assert_eq!((done.attempts, done.error, done.finished_at_us), (0, None, Some(bench.clock.now_us())));
    assert_eq!(lease(bench, 10).await, None, "it is not due");
    bench.write(|tx, _| tx.ensure_job("sweep").map(Commit::quiet)).await;
    assert_eq!(lease(bench, 10).await, None, "to ensure it again changes nothing");
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(lease(bench, 10).await.expect("due").payload, "half way");
}

async fn a_failed_job_says_so(bench: &Bench) {
    bench.write(|tx, _| tx.ensure_job("sweep").map(Commit::quiet)).await;
    for attempts in 0..3 {
        let leased = lease(bench, 10).await.expect("due");
        assert_eq!(leased.attempts, attempts);
        finish(bench, leased, "", 5, Some("the disk is gone")).await;
        assert_eq!(job(bench).await.error.as_deref(), Some("the disk is gone"));
        bench.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(job(bench).await.attempts, 3);
    let leased = lease(bench, 10).await.expect("due");
    finish(bench, leased, "", 0, None).await;
    assert_eq!((job(bench).await.attempts, job(bench).await.error), (0, None));
}

async fn leases_are_freed(bench: &Bench) {
    bench.write(|tx, _| tx.ensure_job("sweep").map(Commit::quiet)).await;
    lease(bench, 1_000).await.expect("due");
    bench.write(|tx, _| tx.free_leases().map(Commit::quiet)).await;
    let leased = lease(bench, 1_000).await.expect("free again");
    finish(bench, leased, "", 1_000, None).await;
    bench.write(|tx, _| tx.hasten_job("sweep").map(Commit::quiet)).await;
    lease(bench, 1_000).await.expect("hastened");
}

async fn the_first_setting_is_settled(bench: &Bench) {
    let get = || async { bench.meta.read(|s| s.setting("key")).await.expect("read") };
    assert_eq!(get().await, None);
    for value in [b"one", b"two"] {
        let held = bench.write(move |tx, _| tx.settle_setting("key", value).map(Commit::quiet)).await;
        assert_eq!(held, b"one");
    }
    bench.write(|tx, _| tx.put_setting("key", b"three").map(Commit::quiet)).await;
    assert_eq!(get().await.as_deref(), Some(&b"three"[..]));
}

fn upload(bench: &Bench) -> UploadRecord {
    UploadRecord {
        id: upload_id(),
        registry: bench.registry.key,
        repository: repository("team/app"),
        bytes: 0,
        algorithm: Algorithm::Sha512,
        hash_state: Hasher::new(Algorithm::Sha512).save(),
        store_state: vec![],
        epoch: 0,
        updated_at_us: bench.clock.now_us(),
    }
}

async fn sessions<T, F>(bench: &Bench, write: F) -> T
where
    F: FnOnce(&mut crate::Tx<'_>) -> crate::Result<T> + Send + 'static,
    T: Send + 'static,
{
    bench.meta.write_sessions(move |tx| Ok::<_, MetaError>(Commit::quiet(write(tx)?))).await.expect("taken")
}

async fn an_upload_lives_and_ends(bench: &Bench) {
    let new = upload(bench);
    let id = new.id;
    let inserted = new.clone();
    sessions(bench, move |tx| tx.insert_upload(&inserted)).await;
    let find = || async { bench.meta.read_sessions(move |s| s.upload(&id)).await.expect("read") };
    assert_eq!(find().await, Some(new.clone()));
    bench.clock.advance(Duration::from_secs(1));
    let mut taken = sessions(bench, move |tx| tx.take_upload(&id)).await.expect("there");
    assert_eq!((taken.epoch, taken.updated_at_us), (1, bench.clock.now_us()));
    taken.bytes = 70_000;
    taken.store_state = vec![1, 2, 3];
    let advanced = taken.clone();
    assert!(sessions(bench, move |tx| tx.advance_upload(&advanced)).await);
    assert_eq!(find().await, Some(taken));
    assert!(sessions(bench, move |tx| tx.delete_upload(&id)).await);
    assert!(!sessions(bench, move |tx| tx.delete_upload(&id)).await);
    assert_eq!(find().await, None);
    assert_eq!(sessions(bench, move |tx| tx.take_upload(&id)).await, None);
}

async fn a_superseded_writer_cannot_advance(bench: &Bench) {
    let new = upload(bench);
    let id = new.id;
    sessions(bench, move |tx| tx.insert_upload(&new)).await;
    let mut first = sessions(bench, move |tx| tx.take_upload(&id)).await.expect("there");
    let mut second = sessions(bench, move |tx| tx.take_upload(&id)).await.expect("there");
    (first.bytes, second.bytes) = (10, 20);
    assert!(!sessions(bench, move |tx| tx.advance_upload(&first)).await);
    assert!(sessions(bench, move |tx| tx.advance_upload(&second)).await);
    let found = bench.meta.read_sessions(move |s| s.upload(&id)).await.expect("read").expect("there");
    assert_eq!(found.bytes, 20);
}

async fn idle_uploads_are_found(bench: &Bench) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        let new = upload(bench);
        ids.push(new.id);
        sessions(bench, move |tx| tx.insert_upload(&new)).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    let idle = |before: i64, after: Option<kogge_types::UploadId>, limit: usize| async move {
        let found =
            bench.meta.read_sessions(move |s| s.idle_uploads(before, after.as_ref(), limit)).await.expect("read");
        found.into_iter().map(|upload| upload.id).collect::<Vec<_>>()
    };
    let first = ids[0];
    sessions(bench, move |tx| tx.take_upload(&first)).await;
    let (at_once, later) = (crate::suite::START_US + 2_000_000, i64::MAX);
    let mut old = vec![ids[1], ids[2]];
    old.sort_unstable();
    assert_eq!(idle(at_once, None, MANY).await, old, "at and before; what was taken is not idle");
    ids.sort_unstable();
    assert_eq!(idle(later, None, 3).await, ids[..3]);
    assert_eq!(idle(later, Some(ids[1]), MANY).await, ids[2..]);
}

async fn an_epoch_is_opened(bench: &Bench) {
    bench.push(&repository("app"), &["one"], Some("v1")).await;
    for _ in 0..2 {
        bench.write(|tx, _| tx.open_epoch().map(Commit::quiet)).await;
        bench.push(&repository("app"), &["two"], Some("v2")).await;
    }
    let found = bench.meta.read(|s| s.journal_after(0, MANY)).await.expect("read");
    assert!(found.iter().map(|entry| entry.seq).eq(1..=found.len() as i64));
}
