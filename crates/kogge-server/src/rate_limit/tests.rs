use std::time::Duration;

use tokio::time::{Instant, advance};

use super::*;
use crate::config::RateLimit;

const REGISTRY: RegistryId = RegistryId::from_bytes([1; 16]);

fn known(id: u8) -> Identity {
    Identity::Caller(PrincipalId::Directory([id; 16]))
}

fn limits_of(config: &RateLimit) -> RateLimits {
    RateLimits::new(config, NonZeroU32::MIN, RateLimitMetrics::default())
}

/// One read a second, sixty at once.
fn one_a_second() -> RateLimits {
    limits_of(&RateLimit { registry_reads: 60, ..RateLimit::default() })
}

async fn read(limits: &RateLimits, id: u8) -> Result<(), TooMany> {
    limits.admit(Category::Read, REGISTRY, known(id)).await
}

/// Takes all tokens that are there.
async fn drain(limits: &RateLimits, category: Category, tokens: usize) {
    let begun = Instant::now();
    for _ in 0..tokens {
        limits.admit(category, REGISTRY, known(0)).await.expect("a token");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

fn waiting(limits: &RateLimits) -> usize {
    limits.0.as_ref().expect("limited").waiting.load(Ordering::Relaxed)
}

/// Lets spawned tasks come to where they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_nobody_waits() {
    let off = limits_of(&RateLimit::default());
    for _ in 0..100_000 {
        off.admit(Category::Login, REGISTRY, Identity::of_address([127, 0, 0, 1].into())).await.expect("no limit");
    }
    assert!(off.0.is_none());
    // Only reads are limited here.
    drain(&one_a_second(), Category::Write, 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_over_the_limit_waits_his_turn_and_no_longer_than_he_may() {
    let limits = one_a_second();
    drain(&limits, Category::Read, 60).await;
    let begun = Instant::now();
    let mut waiters = Vec::new();
    for _ in 0..5 {
        let limits = limits.clone();
        waiters.push(tokio::spawn(async move { read(&limits, 0).await.map(|()| begun.elapsed()) }));
        settle().await;
    }
    assert_eq!(waiting(&limits), 5);
    // The sixth would have to wait for longer than anybody may: it is told so at once, and when to come.
    assert_eq!(read(&limits, 0).await, Err(TooMany { retry_after_seconds: 6 }));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for (position, waiter) in waiters.into_iter().enumerate() {
        let waited = waiter.await.expect("no panic").expect("a turn");
        let turn = Duration::from_secs(position as u64 + 1);
        assert!(waited >= turn && waited < turn + Duration::from_millis(5), "{position}: {waited:?}");
    }
    assert_eq!(waiting(&limits), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_kept_and_counts_down() {
    let limits = limits_of(&RateLimit { identity_reads: 6, ..RateLimit::default() });
    drain(&limits, Category::Read, 6).await;
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(read(&limits, 0).await.expect_err("ten seconds are too long to wait").retry_after_seconds);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(told, [10, 9, 8, 7, 6]);
    // Another identity is not concerned.
    read(&limits, 1).await.expect("another's token");
    advance(Duration::from_secs(5)).await;
    let begun = Instant::now();
    read(&limits, 0).await.expect("the token that was promised");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_a_lot_does_not_keep_the_others_out() {
    let limits = limits_of(&RateLimit { registry_reads: 600, ..RateLimit::default() });
    drain(&limits, Category::Read, 600).await;
    let mut greedy = Vec::new();
    for _ in 0..40 {
        let limits = limits.clone();
        greedy.push(tokio::spawn(async move { read(&limits, 0).await }));
    }
    settle().await;
    let begun = Instant::now();
    for id in 1..4 {
        read(&limits, id).await.expect("a turn");
    }
    // Ten a second: three turns of his own, and one of the greedy one's before each.
    assert!(begun.elapsed() < Duration::from_millis(650), "{:?}", begun.elapsed());
    for waiter in greedy {
        waiter.await.expect("no panic").expect("all of them in five seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_takes_nothing_along() {
    let limits = one_a_second();
    drain(&limits, Category::Read, 60).await;
    let begun = Instant::now();
    let waiter = |limits: &RateLimits| {
        let limits = limits.clone();
        tokio::spawn(async move { read(&limits, 0).await.map(|()| begun.elapsed()) })
    };
    let (first, second) = (waiter(&limits), waiter(&limits));
    settle().await;
    first.abort();
    settle().await;
    assert_eq!(waiting(&limits), 1);
    let waited = second.await.expect("no panic").expect("a turn");
    assert!(waited < Duration::from_millis(1_005), "{waited:?}");
    // A token that comes at the moment of leaving is there for the next.
    let late = waiter(&limits);
    settle().await;
    let inner = Arc::clone(limits.0.as_ref().expect("limited"));
    advance(Duration::from_secs(1)).await;
    late.abort();
    settle().await;
    assert_eq!(waiting(&limits), 0);
    let begun = Instant::now();
    read(&limits, 1).await.expect("the token that was left");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let lanes = inner.lanes(Category::Read);
    assert!(lanes.by_registry.values().all(|served| served.alarm.is_none()), "nobody serves an empty queue");
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_referrers_is_a_read_too() {
    let limits = limits_of(&RateLimit { registry_reads: 3, registry_referrers: 10, ..RateLimit::default() });
    drain(&limits, Category::Referrers, 3).await;
    let refused = limits.admit(Category::Referrers, REGISTRY, known(0)).await.expect_err("no read is left");
    assert_eq!(refused.retry_after_seconds, 20);
    // What the refused ones took of the other limit they gave back.
    for _ in 0..20 {
        limits.admit(Category::Referrers, REGISTRY, known(0)).await.expect_err("no read is left");
    }
    advance(Duration::from_secs(60)).await;
    drain(&limits, Category::Read, 0).await;
    drain(&limits, Category::Referrers, 3).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_for_each_and_for_all() {
    let limits = limits_of(&RateLimit { registry_reads: 60_000, ..RateLimit::default() });
    drain(&limits, Category::Read, 60_000).await;
    let mut waiters = Vec::new();
    for id in 0..4 {
        for _ in 0..kogge_types::limits::RATE_WAITERS_PER_IDENTITY_MAX {
            let limits = limits.clone();
            waiters.push(tokio::spawn(async move { read(&limits, id).await }));
        }
        settle().await;
        let refused = read(&limits, id).await.expect_err("one more than may wait");
        assert!(refused.retry_after_seconds >= 1);
    }
    assert_eq!(waiting(&limits), kogge_types::limits::RATE_WAITERS_MAX);
    read(&limits, 9).await.expect_err("as many wait as may");
    assert_eq!(waiting(&limits), kogge_types::limits::RATE_WAITERS_MAX);
    for waiter in waiters {
        waiter.await.expect("no panic").expect("a turn within two seconds");
    }
    assert_eq!(waiting(&limits), 0);
}

#[tokio::test(start_paused = true)]
async fn nodes_share_a_limit() {
    let config = RateLimit { registry_reads: 60, ..RateLimit::default() };
    let limits = RateLimits::new(&config, NonZeroU32::new(3).expect("three"), RateLimitMetrics::default());
    drain(&limits, Category::Read, 20).await;
    let begun = Instant::now();
    read(&limits, 0).await.expect("a turn");
    assert!((3_000..3_005).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_is_forgotten() {
    let limits = limits_of(&RateLimit { registry_reads: 600, identity_reads: 60, ..RateLimit::default() });
    for id in 0..100 {
        read(&limits, id).await.expect("a token");
    }
    let inner = limits.0.as_ref().expect("limited");
    let remembered = || {
        let lanes = inner.lanes(Category::Read);
        lanes.by_registry.values().map(|served| served.lane.remembered()).sum::<usize>()
    };
    assert_eq!(remembered(), 100);
    advance(Duration::from_secs(61)).await;
    let other = RegistryId::from_bytes([2; 16]);
    limits.admit(Category::Read, other, known(0)).await.expect("a token");
    assert_eq!(remembered(), 1);
    assert_eq!(inner.lanes(Category::Read).by_registry.len(), 1);
}

#[test]
fn requests_have_their_category() {
    for (operation, method, category) in [
        (Operation::Health, Method::GET, None),
        (Operation::Metrics, Method::GET, None),
        (Operation::GetToken, Method::GET, Some(Category::Login)),
        (Operation::Exchange, Method::POST, Some(Category::Login)),
        (Operation::Base, Method::GET, Some(Category::Read)),
        (Operation::GetBlob, Method::HEAD, Some(Category::Read)),
        (Operation::ListReferrers, Method::GET, Some(Category::Referrers)),
        (Operation::StartUpload, Method::POST, Some(Category::Write)),
        (Operation::PatchUpload, Method::PATCH, Some(Category::Write)),
        (Operation::PutManifest, Method::PUT, Some(Category::Write)),
        (Operation::DeleteManifest, Method::DELETE, Some(Category::Delete)),
    ] {
        assert_eq!(Category::of(operation, &method), category, "{operation:?}");
    }
}
