//! Repositories: made, listed, locked, deleted.

use kogge_types::{RepositoryName, RepositoryPattern};

use crate::attributes::Attributes;
use crate::change::Commit;
use crate::error::MetaError;
use crate::repository::RepositoryDetail;
use crate::suite::{Bench, MANY, cases, image, repository, tag};

cases! {
    a_repository_is_listed_while_it_holds_manifests
    names_come_in_pages
    patterns_select_what_they_match
    very_many_patterns_are_one_listing
    an_unlisted_repository_is_not_listed
    attributes_of_a_repository_hold_for_what_is_in_it
    a_locked_thing_is_found
    a_repository_ends_with_its_last_manifest
    a_deleted_repository_takes_all_and_a_new_one_has_nothing_of_it
}

async fn names(bench: &Bench, patterns: &[RepositoryPattern], after: &str, limit: usize) -> Vec<String> {
    let (key, patterns, after) = (bench.registry.key, patterns.to_vec(), after.to_owned());
    bench.meta.read(move |s| s.repository_names(key, &patterns, &after, limit)).await.expect("read")
}

async fn detail(bench: &Bench, name: &RepositoryName) -> Option<RepositoryDetail> {
    let (registry, name) = (bench.registry.key, name.clone());
    let found = bench.meta.read(move |s| {
        let listed = s.listed_repository(registry, &name)?;
        let detail = s.repository_detail(registry, &name)?;
        assert_eq!(listed, detail.as_ref().map(|detail| detail.key));
        Ok::<_, MetaError>(detail)
    });
    found.await.expect("read")
}

async fn a_repository_is_listed_while_it_holds_manifests(bench: &Bench) {
    let app = repository("team/app");
    bench.push_blob(&app, "one").await;
    assert!(names(bench, &[RepositoryPattern::All], "", MANY).await.is_empty(), "uploads alone make none");
    assert_eq!(detail(bench, &app).await, None);
    let one = bench.push(&app, &["one"], Some("v1")).await;
    bench.push(&app, &["one"], Some("v2")).await;
    bench.push(&app, &["two"], Some("v2")).await;
    assert_eq!(names(bench, &[RepositoryPattern::All], "", MANY).await, ["team/app"]);
    let found = detail(bench, &app).await.expect("there");
    assert_eq!((found.manifests, found.tags, found.attributes), (2, 2, Attributes::OPEN));
    bench.delete_manifest(&app, one).await;
    let found = detail(bench, &app).await.expect("there");
    assert_eq!((found.manifests, found.tags), (1, 1));
    let two = bench.resolve(&app, "v2").await.expect("there");
    bench.delete_manifest(&app, two).await;
    bench.delete_manifest(&app, two).await;
    assert_eq!(detail(bench, &app).await, None);
    assert!(names(bench, &[RepositoryPattern::All], "", MANY).await.is_empty());
    bench.push(&app, &["one"], None).await;
    assert_eq!(detail(bench, &app).await.expect("there").manifests, 1);
}

/// Makes repositories that hold a manifest each.
async fn fill(bench: &Bench, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|name| repository(name)).collect();
    bench
        .write(move |tx, registry| {
            let mut changes = Vec::new();
            for name in names {
                let key = tx.take_repository(registry.key, &name)?;
                changes.push(tx.put_manifest(registry, key, &name, &image(&["one"]))?);
            }
            Ok(Commit::new((), changes))
        })
        .await;
}

const TREE: [&str; 14] =
    ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b0", "a0", "a_b", "b", "team", "team/app", "team/app/x", "team/app2", "z"];

async fn names_come_in_pages(bench: &Bench) {
    fill(bench, &TREE).await;
    for limit in 1..=TREE.len() + 1 {
        let mut walked: Vec<String> = Vec::new();
        loop {
            let after = walked.last().cloned().unwrap_or_default();
            let page = names(bench, &[RepositoryPattern::All], &after, limit).await;
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            walked.extend(page);
        }
        assert_eq!(walked, TREE, "pages of {limit}");
    }
    assert_eq!(names(bench, &[RepositoryPattern::All], "a/b/b", 1).await, ["a/b/c"], "after a name that is not there");
    assert!(names(bench, &[RepositoryPattern::All], "", 0).await.is_empty());
    assert!(names(bench, &[], "", MANY).await.is_empty());
}

async fn patterns_select_what_they_match(bench: &Bench) {
    fill(bench, &TREE).await;
    let sets: [&[&str]; 9] = [
        &["*"],
        &["a/*"],
        &["team/*", "a/b"],
        &["team/app/*", "team/*", "team/app"],
        &["z", "a", "m"],
        &["a/b/*", "*", "z"],
        &["b/*"],
        &["a/*", "a/b/*", "team/app", "team/app2", "team/app3"],
        &["a-b", "a/*", "a0", "a/b", "a/b"],
    ];
    for set in sets {
        let patterns: Vec<RepositoryPattern> = set.iter().map(|text| text.parse().expect("a pattern")).collect();
        let matches = |name: &RepositoryName| patterns.iter().any(|pattern| pattern.matches(name));
        for after in ["", "a", "a/b", "a/b/zzz", "team", "team/app", "team/zzz", "z"] {
            for limit in [1, 2, 3, MANY] {
                let expected: Vec<_> =
                    TREE.into_iter().filter(|name| *name > after && matches(&repository(name))).take(limit).collect();
                assert_eq!(names(bench, &patterns, after, limit).await, expected, "{set:?} after {after} of {limit}");
            }
        }
    }
}

async fn very_many_patterns_are_one_listing(bench: &Bench) {
    let all: Vec<String> = (0..300).map(|number| format!("r{number:04}")).collect();
    fill(bench, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Every third that exists, and many that do not.
    let mut patterns: Vec<RepositoryPattern> =
        (0..3_000).rev().step_by(3).map(|number| format!("r{number:04}").parse().expect("a pattern")).collect();
    patterns.push("r0000/*".parse().expect("a pattern"));
    let expected: Vec<_> =
        all.iter().filter(|name| patterns.iter().any(|pattern| pattern.matches(&repository(name)))).cloned().collect();
    assert_eq!(names(bench, &patterns, "", MANY).await, expected);
    assert_eq!(
        names(bench, &patterns, "r0100", 7).await,
        expected.iter().filter(|n| n.as_str() > "r0100").take(7).cloned().collect::<Vec<_>>()
    );
}

async fn set(bench: &Bench, name: &RepositoryName, attributes: Attributes) {
    let (name, key) = (name.clone(), bench.key(name).await);
    bench
        .write(move |tx, registry| {
            let change = tx.set_repository_attributes(registry, key, &name, attributes)?;
            Ok(Commit::new((), vec![change]))
        })
        .await;
}

async fn an_unlisted_repository_is_not_listed(bench: &Bench) {
    fill(bench, &["a", "b"]).await;
    set(bench, &repository("a"), Attributes { list_enabled: false, ..Attributes::OPEN }).await;
    assert_eq!(names(bench, &[RepositoryPattern::All], "", MANY).await, ["b"]);
    let (registry, name) = (bench.registry.key, repository("a"));
    assert!(bench.meta.read(move |s| s.listed_repository(registry, &name)).await.expect("read").is_some());
}

async fn attributes_of_a_repository_hold_for_what_is_in_it(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    let key = bench.key(&app).await;
    assert_eq!(bench.meta.read(move |s| s.repository_attributes(key)).await.expect("read"), Attributes::OPEN);
    for attributes in (0..16).map(Attributes::from_bits) {
        for reference in ["v1".to_owned(), one.to_string()] {
            bench.resolve(&app, &reference).await;
            set(bench, &app, attributes).await;
            let reference = reference.parse().expect("a reference");
            let served = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read");
            assert_eq!(served.expect("there").attributes, attributes);
        }
        assert_eq!(bench.meta.read(move |s| s.repository_attributes(key)).await.expect("read"), attributes);
    }
}

async fn a_repository_ends_with_its_last_manifest(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    let two = bench.push(&app, &["two"], None).await;
    let unread = Attributes { read_enabled: false, ..Attributes::OPEN };
    set(bench, &app, unread).await;
    let (registry, key) = (bench.registry.key, bench.key(&app).await);
    let detail = || {
        let name = repository("app");
        bench.meta.read(move |s| s.repository_detail(registry, &name))
    };
    let first = detail().await.expect("read").expect("there");
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.delete_manifest(&app, one).await;
    assert_eq!(detail().await.expect("read").expect("there").attributes, unread);
    assert!(bench.links(&app, &kogge_types::Digest::sha256(b"two")).await, "what is cached shows the attributes");
    bench.delete_manifest(&app, two).await;
    assert_eq!(detail().await.expect("read"), None);
    let new = bench.put(&app, image(&["two"]), None).await;
    let again = detail().await.expect("read").expect("there");
    assert_eq!((again.key, again.attributes), (key, Attributes::OPEN), "the blobs that were pushed to it are there");
    assert_eq!(again.created_at_us, first.created_at_us + 1_000_000);
    assert_eq!(bench.resolve(&app, &new.to_string()).await, Some(new));
    assert!(bench.links(&app, &kogge_types::Digest::sha256(b"two")).await);
}

async fn a_locked_thing_is_found(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one"], Some("v1")).await;
    let key = bench.key(&app).await;
    let open = Attributes::OPEN;
    let cases = [
        (open, false),
        (Attributes { list_enabled: false, read_enabled: false, ..open }, false),
        (Attributes { delete_enabled: false, ..open }, true),
        (Attributes { write_enabled: false, ..open }, true),
    ];
    for (attributes, locked) in cases {
        for on_tag in [true, false] {
            let found = bench.write(move |tx, registry| {
                let app = repository("app");
                let change = if on_tag {
                    tx.set_tag_attributes(registry, key, &app, &tag("v1"), attributes)?
                } else {
                    tx.set_manifest_attributes(registry, key, &app, &one, attributes)?
                };
                let found = tx.holds_locked(key)?;
                let mut changes: Vec<_> = change.into_iter().collect();
                changes.extend(tx.set_tag_attributes(registry, key, &app, &tag("v1"), Attributes::OPEN)?);
                changes.extend(tx.set_manifest_attributes(registry, key, &app, &one, Attributes::OPEN)?);
                Ok(Commit::new(found, changes))
            });
            assert_eq!(found.await, locked, "{attributes:?}");
        }
    }
}

async fn a_deleted_repository_takes_all_and_a_new_one_has_nothing_of_it(bench: &Bench) {
    let app = repository("app");
    let one = bench.push(&app, &["one", "layer"], Some("v1")).await;
    let two = bench.push(&app, &["two"], Some("v2")).await;
    let blob = kogge_types::Digest::sha256(b"layer");
    assert!(bench.links(&app, &blob).await);
    set(bench, &app, Attributes { read_enabled: false, ..Attributes::OPEN }).await;
    let old = bench.key(&app).await;
    let taken = bench.write(move |tx, registry| {
        let (taken, change) = tx.delete_repository(registry, old, &repository("app"))?;
        Ok(Commit::new(taken, vec![change]))
    });
    let taken = taken.await;
    let mut manifests = vec![one, two];
    manifests.sort_unstable();
    assert_eq!((taken.manifests, taken.tags), (manifests, vec![tag("v1"), tag("v2")]));
    assert_eq!(bench.resolve(&app, "v1").await, None);
    assert_eq!(bench.resolve(&app, &one.to_string()).await, None);
    assert!(!bench.links(&app, &blob).await);
    assert!(names(bench, &[RepositoryPattern::All], "", MANY).await.is_empty());
    let new = bench.push(&app, &["three"], Some("v3")).await;
    assert_ne!(bench.key(&app).await, old);
    assert_eq!(bench.resolve(&app, "v1").await, None);
    assert_eq!(bench.resolve(&app, "v3").await, Some(new));
    let key = bench.key(&app).await;
    assert_eq!(bench.meta.read(move |s| s.repository_attributes(key)).await.expect("read"), Attributes::OPEN);
    bench.delete_repository(&app).await;
    assert_eq!(bench.resolve(&app, "v3").await, None);
}
