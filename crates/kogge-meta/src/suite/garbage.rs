//! Garbage: what ends, when, and what does not.

use kogge_types::Digest;

use crate::change::Commit;
use crate::garbage::GarbageCount;
use crate::suite::{Bench, GRACE, MANY, cases, copy_id, image, repository};

cases! {
    an_unnamed_blob_goes_after_the_grace_and_not_before
    a_named_blob_never_goes
    a_released_blob_goes_after_another_grace
    a_blob_that_another_manifest_names_is_not_released
    a_manifest_that_is_there_again_is_not_released
    a_sparse_image_holds_a_blob_that_comes_later
    a_dead_repository_is_reclaimed_in_steps
    a_dead_repository_does_not_take_from_its_successor
    a_fenced_blob_is_pushed_again_under_another_copy
    each_step_takes_a_bounded_number
}

/// One pass of collection, without the store: what was ended and fenced.
async fn collect(bench: &Bench) -> (usize, usize) {
    let mut found = (0, 0);
    loop {
        let ended = bench.write(|tx, _| tx.end_links(2).map(Commit::quiet)).await;
        found.0 += ended;
        if ended == 0 {
            break;
        }
    }
    loop {
        let fenced = bench.write(|tx, _| tx.fence_blobs(2).map(Commit::quiet)).await;
        found.1 += fenced;
        if fenced == 0 {
            break;
        }
    }
    for gone in bench.meta.read(|s| s.condemned(i64::MAX, MANY)).await.expect("read") {
        bench.write(move |tx, _| tx.forget_condemned(&gone.copy).map(Commit::quiet)).await;
    }
    found
}

async fn release(bench: &Bench, name: &str, digest: Digest) {
    let (name, end) = (repository(name), bench.grace_end_us());
    bench.write(move |tx, registry| tx.release_manifest(&registry.id, &name, &digest, end).map(Commit::quiet)).await;
}

async fn count(bench: &Bench) -> GarbageCount {
    let now_us = kogge_types::Clock::now_us(bench.clock.as_ref());
    bench.meta.read(move |s| s.garbage(now_us)).await.expect("read")
}

async fn is_stored(bench: &Bench, digest: Digest) -> bool {
    bench.meta.read(move |s| s.blob(&digest)).await.expect("read").is_some()
}

async fn an_unnamed_blob_goes_after_the_grace_and_not_before(bench: &Bench) {
    let app = repository("app");
    let digest = bench.push_blob(&app, "four").await;
    assert_eq!(count(bench).await, GarbageCount { links_waiting: 1, ..GarbageCount::default() });
    bench.clock.advance(GRACE - std::time::Duration::from_micros(1));
    assert_eq!(collect(bench).await, (0, 0));
    assert!(bench.links(&app, &digest).await);
    bench.clock.advance(std::time::Duration::from_micros(1));
    let due = GarbageCount { links_due: 1, blobs_due: 1, bytes_due: 4, ..GarbageCount::default() };
    assert_eq!(count(bench).await, due, "a dry run tells what will go");
    assert_eq!(collect(bench).await, (1, 1));
    assert!(!bench.links(&app, &digest).await && !is_stored(bench, digest).await);
    assert_eq!(count(bench).await, GarbageCount::default());
    let (registry, name) = (bench.registry.key, app.clone());
    assert_eq!(bench.meta.read(move |s| s.repository(registry, &name)).await.expect("read"), None, "nothing is left");
}

async fn a_named_blob_never_goes(bench: &Bench) {
    let app = repository("app");
    bench.push(&app, &["one", "layer"], Some("v1")).await;
    bench.clock.advance(GRACE * 1_000);
    assert_eq!(collect(bench).await, (0, 0));
    assert!(bench.links(&app, &Digest::sha256(b"layer")).await);
}

async fn a_released_blob_goes_after_another_grace(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], None).await;
    let digest = Digest::sha256(b"one");
    bench.clock.advance(GRACE * 10);
    assert!(bench.links(&app, &digest).await);
    bench.delete_manifest(&app, one).await;
    assert_eq!(collect(bench).await, (0, 0), "held until the deletion is followed");
    release(bench, "app", one).await;
    assert!(bench.links(&app, &digest).await);
    let link = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there");
    assert_eq!(link.expires_at_us, Some(bench.grace_end_us()));
    release(bench, "app", one).await;
    assert_eq!(collect(bench).await, (0, 0));
    bench.clock.advance(GRACE);
    assert_eq!(collect(bench).await, (1, 1));
    assert!(!bench.links(&app, &digest).await);
}

async fn a_blob_that_another_manifest_names_is_not_released(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one", "shared"], None).await;
    let two = bench.push(&app, &["two", "shared"], None).await;
    bench.delete_manifest(&app, one).await;
    release(bench, "app", one).await;
    bench.clock.advance(GRACE);
    assert_eq!(collect(bench).await, (1, 1), "only what the deleted one alone named");
    assert!(bench.links(&app, &Digest::sha256(b"shared")).await);
    bench.delete_manifest(&app, two).await;
    release(bench, "app", two).await;
    bench.clock.advance(GRACE);
    assert_eq!(collect(bench).await, (2, 2));
}

async fn a_manifest_that_is_there_again_is_not_released(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], None).await;
    let digest = Digest::sha256(b"one");
    // Deleted and put again before anybody followed.
    bench.delete_manifest(&app, one).await;
    bench.put(&app, image(&["one"]), None).await;
    release(bench, "app", one).await;
    bench.clock.advance(GRACE * 2);
    assert_eq!(collect(bench).await, (0, 0));
    assert!(bench.links(&app, &digest).await);
    // Deleted, followed, and put again within the grace.
    bench.delete_manifest(&app, one).await;
    release(bench, "app", one).await;
    bench.put(&app, image(&["one"]), None).await;
    bench.clock.advance(GRACE * 2);
    assert_eq!(collect(bench).await, (0, 0));
    assert!(bench.links(&app, &digest).await);
}

async fn a_sparse_image_holds_a_blob_that_comes_later(bench: &Bench) {
    let app = repository("app");
    bench.put(&app, image(&["one"]), None).await;
    let digest = bench.push_blob(&app, "one").await;
    bench.clock.advance(GRACE);
    collect(bench).await;
    assert!(bench.links(&app, &digest).await);
    let link = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there");
    assert_eq!(link.expires_at_us, None);
}

async fn reclaim(bench: &Bench, name: &str, limit: usize) -> bool {
    let name = repository(name);
    let more =
        bench.write(move |tx, registry| tx.reclaim_dead_repository(&registry.id, &name, limit).map(Commit::quiet));
    more.await
}

async fn a_dead_repository_is_reclaimed_in_steps(bench: &Bench) {
    let app = repository("app");
    for number in 0..7 {
        bench.push(&app, &[&format!("config {number}"), "layer"], Some(&format!("v{number}"))).await;
    }
    bench.delete_repository(&app).await;
    assert!(is_stored(bench, Digest::sha256(b"layer")).await);
    let mut steps = 0;
    while reclaim(bench, "app", 2).await {
        steps += 1;
        assert!(steps < 20, "it ends");
    }
    assert!(steps >= 7, "14 rows in steps of 2");
    assert_eq!(collect(bench).await, (0, 8), "its blobs go at once");
    assert!(!reclaim(bench, "app", 2).await);
}

async fn a_dead_repository_does_not_take_from_its_successor(bench: &Bench) {
    let (app, other) = (repository("app"), repository("other"));
    bench.push(&app, &["one", "layer"], Some("v1")).await;
    bench.push(&other, &["else", "layer"], Some("v1")).await;
    bench.delete_repository(&app).await;
    let one = bench.push(&app, &["one"], Some("v1")).await;
    while reclaim(bench, "app", MANY).await {}
    assert_eq!(collect(bench).await, (0, 0));
    assert_eq!(bench.resolve(&app, "v1").await, Some(one));
    assert!(bench.links(&app, &Digest::sha256(b"one")).await);
    assert!(!bench.links(&app, &Digest::sha256(b"layer")).await);
    assert!(bench.links(&other, &Digest::sha256(b"layer")).await);
    // Deleted twice before anybody reclaims.
    bench.delete_repository(&app).await;
    bench.push(&app, &["one"], Some("v1")).await;
    bench.delete_repository(&app).await;
    while reclaim(bench, "app", MANY).await {}
    assert_eq!(collect(bench).await, (0, 1));
}

async fn a_fenced_blob_is_pushed_again_under_another_copy(bench: &Bench) {
    let app = repository("app");
    let digest = bench.push_blob(&app, "one").await;
    let first = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there").copy;
    bench.clock.advance(GRACE);
    bench.write(|tx, _| tx.end_links(MANY).map(Commit::quiet)).await;
    bench.write(|tx, _| tx.fence_blobs(MANY).map(Commit::quiet)).await;
    assert!(!is_stored(bench, digest).await, "a fenced blob is unknown");
    bench.push_blob(&app, "one").await;
    let second = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there").copy;
    assert_ne!(first, second);
    let condemned = bench.meta.read(|s| s.condemned(i64::MAX, MANY)).await.expect("read");
    assert_eq!(
        condemned.iter().map(|gone| (gone.digest, gone.copy, gone.size)).collect::<Vec<_>>(),
        [(digest, first, 3)]
    );
    assert_eq!(count(bench).await.bytes_condemned, 3);
    // A blob that is ended and linked again before it is fenced stays.
    bench.clock.advance(GRACE);
    bench.write(|tx, _| tx.end_links(MANY).map(Commit::quiet)).await;
    bench.push_blob(&app, "one").await;
    assert_eq!(bench.write(|tx, _| tx.fence_blobs(MANY).map(Commit::quiet)).await, 0);
    assert!(bench.links(&app, &digest).await);
}

async fn each_step_takes_a_bounded_number(bench: &Bench) {
    let app = repository("app");
    for number in 0..5 {
        bench.push_blob(&app, &number.to_string()).await;
    }
    bench.clock.advance(GRACE);
    for expected in [2, 2, 1, 0] {
        assert_eq!(bench.write(|tx, _| tx.end_links(2).map(Commit::quiet)).await, expected);
    }
    for expected in [2, 2, 1, 0] {
        assert_eq!(bench.write(|tx, _| tx.fence_blobs(2).map(Commit::quiet)).await, expected);
    }
    assert_eq!(bench.meta.read(|s| s.condemned(i64::MAX, 3)).await.expect("read").len(), 3);
    let now_us = kogge_types::Clock::now_us(bench.clock.as_ref());
    assert!(bench.meta.read(move |s| s.condemned(now_us - 1, MANY)).await.expect("read").is_empty());
    let (digest, copy) = (Digest::sha256(b"0"), copy_id());
    bench.write(move |tx, _| tx.condemn(&digest, copy, 1).map(Commit::quiet)).await;
    bench.write(move |tx, _| tx.condemn(&digest, copy, 1).map(Commit::quiet)).await;
    assert_eq!(bench.meta.read(|s| s.condemned(i64::MAX, MANY)).await.expect("read").len(), 6);
}
