//! The ring: when the disk does not follow, pulls are dropped and everything else leaves its trace, in bounded memory.

use super::*;
use crate::audit::line::{Origin, encode};
use crate::audit::ring::{Batch, COMMON_BYTES_MAX, FOLDS_MAX, Put, RESERVED_BYTES, Ring};
use crate::audit::segment::mark_of;

fn put(ring: &Ring, event: &Event<'_>) -> Put {
    let mut line = Vec::new();
    encode(&mut line, event, &Origin::default(), None);
    ring.put(event, &line, mark_of(&line).unwrap())
}

fn take(ring: &Ring) -> Batch {
    let mut batch = Batch::default();
    ring.take(&mut batch, Duration::ZERO);
    batch
}

#[test]
fn pulls_give_way_and_denials_never_vanish() {
    let ring = Ring::new();
    let mut pulls = 0;
    while put(&ring, &pull(START, "v1")) == Put::Kept {
        pulls += 1;
    }
    assert!(pulls > 1_000, "{pulls}");
    assert_eq!(put(&ring, &pull(START, "v1")), Put::Dropped);
    let mut denials = 0;
    while put(&ring, &denial(START)) == Put::Kept {
        denials += 1;
    }
    assert!(denials > 1_000, "the reserved part takes them: {denials}");
    let folded = 100_000;
    for number in 1..folded {
        assert_eq!(put(&ring, &denial(START + number)), Put::Folded);
    }
    let batch = take(&ring);
    assert!(batch.lines.len() <= COMMON_BYTES_MAX + RESERVED_BYTES);
    assert_eq!((batch.marks.len(), batch.dropped), (pulls + denials, 2));
    let folds: Vec<_> = batch.folds.iter().collect();
    let [(key, fold)] = folds[..] else { panic!("{folds:?}") };
    assert_eq!((key.operation.as_str(), key.registry.as_str()), ("put_manifest", "contoso"));
    assert_eq!(key.reason, Some(DenialReason::Policy));
    assert_eq!((fold.count, fold.first_us, fold.last_us), (folded as u64, START, START + folded - 1));
    assert_eq!(put(&ring, &pull(START, "v1")), Put::Kept, "there is room again");
}

#[test]
fn folding_is_bounded_however_many_registries_there_are() {
    let ring = Ring::new();
    while put(&ring, &login(START)) == Put::Kept {}
    for number in 0..10 * FOLDS_MAX {
        let name = format!("registry{number}");
        let request = Request { registry: &name, ..request(START) };
        let event = Event::Login(LoginEvent {
            request,
            jwt_id: "",
            refused: Some((DenialReason::Authentication, "the password is wrong")),
        });
        assert_eq!(put(&ring, &event), Put::Folded);
    }
    let batch = take(&ring);
    let total: u64 = batch.folds.values().map(|fold| fold.count).sum();
    assert_eq!(total, 10 * FOLDS_MAX as u64 + 1, "every one is counted");
    assert!(batch.folds.len() <= FOLDS_MAX + 1, "{}", batch.folds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_tried_again_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("audit");
    let (recorder, _) = open(&folder);
    std::fs::remove_dir(&folder).unwrap();
    for number in 0..10_000 {
        recorder.record(&denial(START + number));
    }
    assert!(!recorder.flush().await, "nothing can be written");
    let counters = recorder.counters().unwrap();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert!(count(&counters.write_failures) > 0);
    assert_eq!(count(&counters.recorded) + count(&counters.folded), 10_000);
    std::fs::create_dir(&folder).unwrap();
    while !recorder.flush().await {}
    let mut told = 0;
    let mut query = AuditQuery { limit: 1_000, ..AuditQuery::default() };
    loop {
        let page = recorder.query(query.clone()).await.unwrap();
        told += page
            .records
            .iter()
            .map(|record| record.columns.get("Count").map_or(1, |n| n.as_u64().unwrap()))
            .sum::<u64>();
        if !page.more {
            break;
        }
        query.after = page.position;
    }
    assert_eq!(told, 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_beside_a_working_disk_loses_nothing_but_pulls() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, _) = open(root.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..5_000 {
                    recorder.record(&pull(START + number, "v1"));
                    recorder.record(&login(START + number));
                }
            });
        }
    });
    while !recorder.flush().await {}
    let (mut pulls, mut logins, mut dropped) = (0, 0, 0);
    let mut query = AuditQuery { limit: 1_000, ..AuditQuery::default() };
    loop {
        let page = recorder.query(query.clone()).await.unwrap();
        for record in &page.records {
            let count = record.columns.get("Count").map_or(1, |count| count.as_u64().unwrap());
            match record.text("OperationName") {
                "Pull" => pulls += count,
                "Login" => logins += count,
                "Dropped" => dropped += count,
                other => panic!("{other}"),
            }
        }
        if !page.more {
            break;
        }
        query.after = page.position;
    }
    assert_eq!((pulls + dropped, logins), (20_000, 20_000));
}
