//! Manifests: put, listed, referred to, deleted.

use std::time::Duration;

use kogge_types::manifest::Platform;
use kogge_types::{Digest, limits, media_type};

use crate::attributes::Attributes;
use crate::change::Commit;
use crate::manifest::NewManifest;
use crate::page::{Cursor, Order};
use crate::repository::RepositoryKey;
use crate::suite::{Bench, MANY, cases, descriptor, image, manifest, referrer, repository, tag};

cases! {
    bytes_come_back_as_they_were_put
    a_manifest_put_again_counts_once
    a_deleted_manifest_takes_its_tags
    manifests_are_listed_in_pages
    manifests_are_listed_by_time
    a_listing_by_time_goes_on_behind_what_was_deleted
    a_hidden_manifest_is_served_and_not_listed
    a_platform_is_kept_and_filled_in_later
    an_index_says_what_it_names
    a_page_of_large_manifests_is_a_short_one
    referrers_are_listed_by_type_and_in_pages
    attributes_of_a_manifest_join_those_of_its_tag
}

async fn bytes_come_back_as_they_were_put(bench: &Bench) {
    let app = repository("app");
    let new = image(&["one", "layer"]);
    let digest = bench.put(&app, new.clone(), Some("v1")).await;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let reference = reference.parse().expect("a reference");
        for _ in 0..2 {
            let found = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read").expect("there");
            assert_eq!((found.digest, &found.body), (digest, &new.body));
            assert_eq!((found.media_type.as_str(), found.attributes), (media_type::OCI_MANIFEST, Attributes::OPEN));
        }
    }
}

async fn a_manifest_put_again_counts_once(bench: &Bench) {
    let app = repository("app");
    bench.put(&app, image(&["one"]), None).await;
    bench.clock.advance(std::time::Duration::from_secs(1));
    bench.put(&app, image(&["one"]), None).await;
    let key = bench.key(&app).await;
    let found = bench.meta.read(move |s| s.manifests(key, Order::Name, None, MANY)).await.expect("read").manifests;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].updated_at_us, found[0].created_at_us + 1_000_000);
    let (registry, name) = (bench.registry.key, app.clone());
    let detail = bench.meta.read(move |s| s.repository_detail(registry, &name)).await.expect("read").expect("there");
    assert_eq!(detail.manifests, 1);
}

async fn a_deleted_manifest_takes_its_tags(bench: &Bench) {
    let app = repository("app");
    let one = bench.put(&app, image(&["one"]), Some("v1")).await;
    bench.put(&app, image(&["one"]), Some("v1.0")).await;
    let two = bench.put(&app, image(&["two"]), Some("v2")).await;
    for reference in ["v1", "v1.0", "v2", &one.to_string()] {
        assert!(bench.resolve(&app, reference).await.is_some());
    }
    bench.delete_manifest(&app, one).await;
    for reference in ["v1", "v1.0", &one.to_string()] {
        assert_eq!(bench.resolve(&app, reference).await, None, "{reference}");
    }
    assert_eq!(bench.resolve(&app, "v2").await, Some(two));
    let key = bench.key(&app).await;
    assert_eq!(bench.meta.read(move |s| s.tag_names(key, "", MANY)).await.expect("read"), ["v2"]);
    assert_eq!(bench.meta.read(move |s| s.manifest_attributes(key, &one)).await.expect("read"), None);
}

async fn manifests_are_listed_in_pages(bench: &Bench) {
    let app = repository("app");
    let mut digests = Vec::new();
    for number in 0..9 {
        digests.push(bench.put(&app, image(&[&number.to_string(), "layer"]), Some(&format!("v{number}"))).await);
    }
    let sha512 = {
        let mut new = image(&["a sha512 one"]);
        new.digest = Digest::of(kogge_types::Algorithm::Sha512, &new.body);
        bench.put(&app, new, None).await
    };
    digests.push(sha512);
    digests.sort_unstable();
    let key = bench.key(&app).await;
    for limit in [1, 2, 3, 9, 10, 11] {
        assert_eq!(walk(bench, key, Order::Name, limit).await, digests, "pages of {limit}");
    }
    let new = image(&["3", "layer"]);
    let all = bench.meta.read(move |s| s.manifests(key, Order::Name, None, MANY)).await.expect("read").manifests;
    let found = all.iter().find(|manifest| manifest.digest == new.digest).expect("listed");
    assert_eq!(found.size, new.body.len() as u64 + 1 + 5);
    assert_eq!(
        (found.tags.as_slice(), found.config_media_type.as_deref()),
        (&["v3".to_owned()][..], Some(media_type::OCI_CONFIG))
    );
    assert_eq!((found.subject, found.attributes), (None, Attributes::OPEN));
}

/// The digests of all pages of `limit`, one after the other.
async fn walk(bench: &Bench, key: RepositoryKey, order: Order, limit: usize) -> Vec<Digest> {
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let page = bench.meta.read(move |s| s.manifests(key, order, after.as_ref(), limit)).await.expect("read");
        assert!(page.manifests.len() <= limit);
        walked.extend(page.manifests.iter().map(|manifest| manifest.digest));
        if !page.more {
            return walked;
        }
        let last = page.manifests.last().expect("a page that goes on is not empty");
        after = Some(Cursor { item: last.digest, updated_at_us: last.updated_at_us });
    }
}

async fn manifests_are_listed_by_time(bench: &Bench) {
    let app = repository("app");
    let mut oldest_first = Vec::new();
    for number in 0..6 {
        oldest_first.push(bench.put(&app, image(&[&number.to_string()]), None).await);
        bench.clock.advance(Duration::from_secs(1));
    }
    // Two of one time come in the order of their digests; one that is put again is new.
    let mut pair = Vec::new();
    for number in 6..8 {
        pair.push(bench.put(&app, image(&[&number.to_string()]), None).await);
    }
    pair.sort_unstable();
    oldest_first.extend(pair);
    bench.clock.advance(Duration::from_secs(1));
    oldest_first.push(bench.put(&app, image(&["2"]), None).await);
    oldest_first.remove(2);
    let key = bench.key(&app).await;
    let newest_first: Vec<_> = oldest_first.iter().rev().copied().collect();
    for limit in 1..=9 {
        assert_eq!(walk(bench, key, Order::Oldest, limit).await, oldest_first, "pages of {limit}");
        assert_eq!(walk(bench, key, Order::Newest, limit).await, newest_first, "pages of {limit}");
    }
}

async fn a_listing_by_time_goes_on_behind_what_was_deleted(bench: &Bench) {
    let app = repository("app");
    let mut digests = Vec::new();
    for number in 0..4 {
        let text = number.to_string();
        digests.push(bench.put(&app, image(&[&text]), Some(&format!("v{number}"))).await);
        bench.clock.advance(Duration::from_secs(1));
    }
    let (registry, key) = (bench.registry.key, bench.key(&app).await);
    let times = |digest: Digest, name: &'static str| {
        bench.meta.read(move |s| {
            let app = repository("app");
            let of_manifest = s.manifest_updated_at(registry, key, &app, &digest).expect("read");
            (of_manifest, s.tag_updated_at(registry, key, &app, &tag(name)).expect("read"))
        })
    };
    let before = times(digests[1], "v1").await;
    assert!(before.0.is_some() && before.0 == before.1);
    bench.delete_manifest(&app, digests[1]).await;
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(times(digests[1], "v1").await, before);
    assert_eq!(times(Digest::sha256(b"unknown"), "unknown").await, (None, None));
    let after = Cursor { item: digests[1], updated_at_us: before.0.expect("known") };
    let page = bench.meta.read(move |s| s.manifests(key, Order::Oldest, Some(&after), MANY)).await.expect("read");
    let found: Vec<_> = page.manifests.iter().map(|manifest| manifest.digest).collect();
    assert_eq!(found, digests[2..]);
}

async fn a_hidden_manifest_is_served_and_not_listed(bench: &Bench) {
    let app = repository("app");
    let one = bench.put(&app, image(&["one"]), Some("v1")).await;
    let shown = bench.put(&app, image(&["two"]), Some("v2")).await;
    let signature = bench.put(&app, referrer(&shown, "application/signature", 0), None).await;
    let hidden = Attributes { list_enabled: false, ..Attributes::OPEN };
    let key = bench.key(&app).await;
    bench
        .write(move |tx, registry| {
            let app = repository("app");
            let mut changes = Vec::new();
            for digest in [one, signature] {
                changes.extend(tx.set_manifest_attributes(registry, key, &app, &digest, hidden)?);
            }
            changes.extend(tx.set_tag_attributes(registry, key, &app, &tag("v2"), hidden)?);
            Ok(Commit::new((), changes))
        })
        .await;
    for order in [Order::Name, Order::Newest, Order::Oldest] {
        let page = bench.meta.read(move |s| s.manifests(key, order, None, MANY)).await.expect("read");
        let found: Vec<_> = page.manifests.iter().map(|manifest| (manifest.digest, manifest.tags.len())).collect();
        assert_eq!(found, [(shown, 0)], "nor is its hidden tag");
    }
    let referrers = bench.meta.read(move |s| s.referrers(key, &shown, None, None, MANY)).await.expect("read");
    assert!(referrers.descriptors.is_empty());
    let named = bench.meta.read(move |s| s.manifest_detail(key, &shown)).await.expect("read").expect("there");
    assert_eq!(named.tags, ["v2"], "who names it sees all its tags");
    assert_eq!(bench.resolve(&app, "v1").await, Some(one));
}

async fn a_platform_is_kept_and_filled_in_later(bench: &Bench) {
    let app = repository("app");
    let platform =
        |architecture: &str| Some(Platform { architecture: architecture.into(), os: "linux".into(), variant: None });
    let of = |platform| NewManifest { platform, ..image(&["one"]) };
    let key_of = |new: NewManifest| async {
        let digest = bench.put(&repository("app"), new, None).await;
        let key = bench.key(&app).await;
        bench.meta.read(move |s| s.manifest_detail(key, &digest)).await.expect("read").expect("there").platform
    };
    assert_eq!(key_of(of(None)).await, None);
    assert_eq!(key_of(of(platform("amd64"))).await, platform("amd64"));
    assert_eq!(key_of(of(None)).await, platform("amd64"), "it stays known");
    assert_eq!(key_of(of(platform("other"))).await, platform("amd64"), "the bytes are the same");
}

async fn an_index_says_what_it_names(bench: &Bench) {
    let app = repository("app");
    let children = ["amd64", "arm64"].map(|architecture| {
        let mut child = descriptor(architecture, media_type::OCI_MANIFEST);
        child["platform"] = serde_json::json!({ "architecture": architecture, "os": "linux" });
        child
    });
    let plain = descriptor("plain", media_type::OCI_MANIFEST);
    let manifests = [&children[0], &children[1], &plain];
    let index = manifest(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests,
    }));
    let digest = bench.put(&app, index, None).await;
    let key = bench.key(&app).await;
    let found = bench.meta.read(move |s| s.manifest_detail(key, &digest)).await.expect("read").expect("there");
    let said: Vec<_> = found.children.iter().map(|child| child.platform.as_ref().map(|p| &*p.architecture)).collect();
    assert_eq!(said, [Some("amd64"), Some("arm64"), None]);
    assert_eq!(found.children[2].digest, Digest::sha256(b"plain"));
    let listed = bench.meta.read(move |s| s.manifests(key, Order::Name, None, MANY)).await.expect("read");
    assert_eq!(listed.manifests, [found]);
}

async fn a_page_of_large_manifests_is_a_short_one(bench: &Bench) {
    let app = repository("app");
    for salt in 0..6 {
        let mut large = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": [],
            "config": descriptor("{}", media_type::OCI_EMPTY), "annotations": { "salt": salt.to_string() },
        });
        large["annotations"]["bulk"] = "x".repeat(limits::MANIFEST_BYTES_MAX - 1_000).into();
        bench.put(&app, manifest(&large), None).await;
    }
    let key = bench.key(&app).await;
    let page = bench.meta.read(move |s| s.manifests(key, Order::Name, None, MANY)).await.expect("read");
    assert_eq!((page.manifests.len(), page.more), (4, true));
    assert_eq!(walk(bench, key, Order::Newest, MANY).await.len(), 6);
}

async fn referrers_are_listed_by_type_and_in_pages(bench: &Bench) {
    let app = repository("app");
    let subject = bench.put(&app, image(&["one"]), None).await;
    let key = bench.key(&app).await;
    let mut signatures = Vec::new();
    let mut all = Vec::new();
    for salt in 0..10 {
        let kind = if salt % 3 == 0 { "application/sbom" } else { "application/signature" };
        let digest = bench.put(&app, referrer(&subject, kind, salt), None).await;
        all.push(digest);
        if salt % 3 != 0 {
            signatures.push(digest);
        }
    }
    let elsewhere = bench.put(&repository("other"), referrer(&subject, "application/signature", 99), None).await;
    all.sort_unstable();
    signatures.sort_unstable();
    for (kind, expected) in
        [(None, &all), (Some("application/signature"), &signatures), (Some("application/none"), &vec![])]
    {
        for limit in [1, 3, 6, 7, 10, 11] {
            let (mut after, mut walked) = (None, Vec::new());
            loop {
                let page = bench
                    .meta
                    .read(move |s| s.referrers(key, &subject, kind, after.as_ref(), limit))
                    .await
                    .expect("read");
                assert!(page.descriptors.len() <= limit);
                walked.extend(page.descriptors);
                if page.next.is_none() {
                    break;
                }
                after = page.next;
            }
            let expected: Vec<_> = expected.iter().map(|digest| format!("{{\"digest\":\"{digest}\"}}")).collect();
            assert_eq!(walked, expected, "{kind:?} in pages of {limit}");
        }
    }
    let found = bench.meta.read(move |s| s.referrer_digests(key, &subject, MANY)).await.expect("read");
    assert_eq!(found, all);
    assert!(!found.contains(&elsewhere), "referrers are of one repository");
    assert_eq!(bench.meta.read(move |s| s.referrer_digests(key, &subject, 4)).await.expect("read"), all[..4]);
    let listed = bench.meta.read(move |s| s.manifests(key, Order::Name, None, MANY)).await.expect("read").manifests;
    assert_eq!(listed.iter().filter(|manifest| manifest.subject == Some(subject)).count(), 10);
    bench.delete_manifest(&app, all[0]).await;
    let left = bench.meta.read(move |s| s.referrers(key, &subject, None, None, MANY)).await.expect("read");
    assert_eq!(left.descriptors.len(), 9);
}

async fn attributes_of_a_manifest_join_those_of_its_tag(bench: &Bench) {
    let app = repository("app");
    let one = bench.put(&app, image(&["one"]), Some("v1")).await;
    let key = bench.key(&app).await;
    for (of_tag, of_manifest) in (0..16).flat_map(|a| [(a, 15 - a), (15, a), (a, 15), (7, a)]) {
        let (of_tag, of_manifest) = (Attributes::from_bits(of_tag), Attributes::from_bits(of_manifest));
        bench.resolve(&app, "v1").await;
        bench.resolve(&app, &one.to_string()).await;
        bench
            .write(move |tx, registry| {
                let app = repository("app");
                let mut changes: Vec<_> =
                    tx.set_tag_attributes(registry, key, &app, &tag("v1"), of_tag)?.into_iter().collect();
                changes.extend(tx.set_manifest_attributes(registry, key, &app, &one, of_manifest)?);
                Ok(Commit::new((), changes))
            })
            .await;
        for (reference, expected) in [("v1".to_owned(), of_tag.and(of_manifest)), (one.to_string(), of_manifest)] {
            let reference = reference.parse().expect("a reference");
            let served = bench.meta.manifest(bench.registry.key, &app, &reference).await.expect("read").expect("there");
            assert_eq!(served.attributes, expected);
        }
        assert_eq!(bench.meta.read(move |s| s.manifest_attributes(key, &one)).await.expect("read"), Some(of_manifest));
    }
    let unknown = Digest::sha256(b"unknown");
    let set = bench.write(move |tx, registry| {
        let change = tx.set_manifest_attributes(registry, key, &repository("app"), &unknown, Attributes::OPEN)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    assert!(!set.await);
}
