//! Tags: set, moved, listed, taken away.

use kogge_types::Digest;

use crate::attributes::Attributes;
use crate::change::Commit;
use crate::page::{Cursor, Order};
use crate::suite::{Bench, MANY, cases, repository, tag};

cases! {
    a_tag_is_set_and_moved
    a_tag_is_taken_away_alone
    tags_are_listed_in_byte_order_and_pages
    tags_are_listed_by_time_and_of_one_manifest
    an_unlisted_tag_is_served_and_not_listed
    attributes_of_a_tag_are_kept
    a_tag_belongs_to_one_repository
}

async fn a_tag_is_set_and_moved(bench: &Bench) {
    let app = repository("team/app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    assert_eq!(bench.resolve(&app, "v1").await, Some(one));
    let key = bench.key(&app).await;
    let first = bench.meta.read(move |s| s.tag(key, &tag("v1"))).await.expect("read").expect("there");
    bench.clock.advance(std::time::Duration::from_secs(1));
    let two = bench.push(&app, &["two"], Some("v1")).await;
    assert_eq!(bench.resolve(&app, "v1").await, Some(two));
    assert_eq!(bench.resolve(&app, &one.to_string()).await, Some(one), "the manifest stays");
    let moved = bench.meta.read(move |s| s.tag(key, &tag("v1"))).await.expect("read").expect("there");
    assert_eq!((moved.digest, moved.created_at_us), (two, first.created_at_us));
    assert_eq!(moved.updated_at_us, first.updated_at_us + 1_000_000);
    assert_eq!(bench.meta.read(move |s| s.tags_of(key, &one)).await.expect("read"), []);
    assert_eq!(bench.meta.read(move |s| s.tags_of(key, &two)).await.expect("read"), [tag("v1")]);
}

async fn a_tag_is_taken_away_alone(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    assert_eq!(bench.resolve(&app, "v1").await, Some(one));
    for expected in [true, false] {
        let name = app.clone();
        let deleted = bench.write(move |tx, registry| {
            let key = tx.take_repository(registry.key, &name)?;
            let change = tx.delete_tag(registry, key, &name, &tag("v1"))?;
            Ok(Commit::new(change.is_some(), change.into_iter().collect()))
        });
        assert_eq!(deleted.await, expected);
    }
    assert_eq!(bench.resolve(&app, "v1").await, None);
    assert_eq!(bench.resolve(&app, &one.to_string()).await, Some(one));
    bench.put(&app, crate::suite::image(&["one"]), Some("v1")).await;
    assert_eq!(bench.resolve(&app, "v1").await, Some(one));
}

async fn tags_are_listed_in_byte_order_and_pages(bench: &Bench) {
    let app = repository("app");
    let mut names = ["v1", "v10", "v2", "V1", "_x", "0", "latest", "v1.0", "v1-a", "Z"].map(ToOwned::to_owned);
    for name in &names {
        bench.push(&app, &["one"], Some(name)).await;
    }
    names.sort_unstable();
    let key = bench.key(&app).await;
    let page = |after: &str, limit: usize| {
        let after = after.to_owned();
        bench.meta.read(move |s| s.tag_names(key, &after, limit))
    };
    assert_eq!(page("", MANY).await.expect("read"), names);
    for limit in 1..=names.len() + 1 {
        let mut walked: Vec<String> = Vec::new();
        loop {
            let after = walked.last().cloned().unwrap_or_default();
            let found = page(&after, limit).await.expect("read");
            assert!(found.len() <= limit);
            if found.is_empty() {
                break;
            }
            walked.extend(found);
        }
        assert_eq!(walked, names, "pages of {limit}");
    }
    assert_eq!(page("v10", 1).await.expect("read"), ["v2"]);
    assert_eq!(page("v11", 1).await.expect("read"), ["v2"], "after a name that is not there");
    assert!(page("v2", 1).await.expect("read").is_empty(), "after the last");
    assert!(page("", 0).await.expect("read").is_empty(), "a page of nothing");
}

/// The names of all pages of `limit`, one after the other.
async fn walk(bench: &Bench, digest: Option<Digest>, order: Order, limit: usize) -> Vec<String> {
    let key = bench.key(&repository("app")).await;
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = bench.meta.read(move |s| s.tags(key, digest.as_ref(), order, after.as_ref(), limit));
        let page = page.await.expect("read");
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return walked };
        after = Some(Cursor { item: last.name.to_string(), updated_at_us: last.detail.updated_at_us });
        walked.extend(page.iter().map(|tag| tag.name.to_string()));
    }
}

async fn tags_are_listed_by_time_and_of_one_manifest(bench: &Bench) {
    let app = repository("app");
    let mut digests = Vec::new();
    for (name, blob) in [("b", "one"), ("a", "two"), ("d", "one"), ("hidden", "one"), ("c", "two"), ("e", "one")] {
        digests.push(bench.push(&app, &[blob], Some(name)).await);
        // c and e are of one time.
        if name != "c" {
            bench.clock.advance(std::time::Duration::from_secs(1));
        }
    }
    bench.push(&app, &["two"], Some("b")).await;
    set(bench, "hidden", Attributes { list_enabled: false, ..Attributes::OPEN }).await;
    let (one, two) = (digests[0], digests[1]);
    let cases: [(Option<Digest>, Order, &[&str]); 9] = [
        (None, Order::Name, &["a", "b", "c", "d", "e"]),
        (None, Order::Oldest, &["a", "d", "c", "e", "b"]),
        (None, Order::Newest, &["b", "e", "c", "d", "a"]),
        (Some(one), Order::Name, &["d", "e"]),
        (Some(one), Order::Oldest, &["d", "e"]),
        (Some(one), Order::Newest, &["e", "d"]),
        (Some(two), Order::Name, &["a", "b", "c"]),
        (Some(two), Order::Newest, &["b", "c", "a"]),
        (Some(Digest::sha256(b"unknown")), Order::Newest, &[]),
    ];
    for (digest, order, expected) in cases {
        for limit in 1..=6 {
            assert_eq!(walk(bench, digest, order, limit).await, expected, "{digest:?} {order:?} in pages of {limit}");
        }
    }
    let key = bench.key(&app).await;
    let page = bench.meta.read(move |s| s.tags(key, None, Order::Name, None, MANY)).await.expect("read");
    let b = bench.meta.read(move |s| s.tag(key, &tag("b"))).await.expect("read").expect("there");
    assert_eq!((page[1].name.as_str(), &page[1].detail), ("b", &b));
}

async fn an_unlisted_tag_is_served_and_not_listed(bench: &Bench) {
    let app = repository("app");
    bench.push(&app, &["one"], Some("shown")).await;
    let one = bench.push(&app, &["one"], Some("hidden")).await;
    set(bench, "hidden", Attributes { list_enabled: false, ..Attributes::OPEN }).await;
    let key = bench.key(&app).await;
    assert_eq!(bench.meta.read(move |s| s.tag_names(key, "", MANY)).await.expect("read"), ["shown"]);
    assert_eq!(bench.resolve(&app, "hidden").await, Some(one));
}

async fn attributes_of_a_tag_are_kept(bench: &Bench) {
    let app = repository("app");
    bench.push(&app, &["one"], Some("v1")).await;
    let key = bench.key(&app).await;
    for attributes in (0..16).map(Attributes::from_bits) {
        bench.resolve(&app, "v1").await;
        assert!(set(bench, "v1", attributes).await);
        bench.push(&app, &["one"], Some("v1")).await;
        let found = bench.meta.read(move |s| s.tag(key, &tag("v1"))).await.expect("read").expect("there");
        assert_eq!(found.attributes, attributes, "a push over it keeps them");
        let reference = "v1".parse().expect("a reference");
        let served = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read").expect("there");
        assert_eq!(served.attributes, attributes);
    }
    assert!(!set(bench, "v2", Attributes::OPEN).await);
}

async fn set(bench: &Bench, name: &str, attributes: Attributes) -> bool {
    let name = tag(name);
    let set = bench.write(move |tx, registry| {
        let app = repository("app");
        let key = tx.take_repository(registry.key, &app)?;
        let change = tx.set_tag_attributes(registry, key, &app, &name, attributes)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    set.await
}

async fn a_tag_belongs_to_one_repository(bench: &Bench) {
    bench.push(&repository("a"), &["one"], Some("v1")).await;
    bench.push(&repository("b"), &["two"], None).await;
    assert_eq!(bench.resolve(&repository("b"), "v1").await, None);
    let other = crate::suite::put_registry(&bench.meta, "other").await;
    let reference = "v1".parse().expect("a reference");
    let found = bench.meta.manifest(other.key, &repository("a"), &reference).await.expect("read");
    assert_eq!(found, None, "registries are apart");
}
