//! Blob records and the links of repositories to them.

use kogge_types::{Digest, media_type};

use crate::change::Commit;
use crate::suite::{Bench, MANY, cases, copy_id, descriptor, image, manifest, put_registry, repository};

cases! {
    the_first_copy_of_a_blob_stays
    a_link_is_extended_and_never_shortened
    a_named_blob_has_a_link_without_end
    an_unlinked_blob_is_not_served
    a_blob_tells_who_holds_it
    a_copy_is_known_while_something_names_it
    a_corrupt_copy_is_out_of_service_until_it_is_pushed_again
    blobs_are_scrubbed_in_turn
    blobs_are_listed_in_pages
}

async fn the_first_copy_of_a_blob_stays(bench: &Bench) {
    let digest = Digest::sha256(b"one");
    let (first, second, end) = (copy_id(), copy_id(), bench.grace_end_us());
    for (copy, expected) in [(first, first), (second, first), (first, first)] {
        let kept = bench.write(move |tx, _| Ok(Commit::quiet(tx.put_blob(&digest, 3, copy, end)?)));
        assert_eq!(kept.await, expected);
    }
    let blob = bench.meta.read(move |s| s.blob(&digest)).await.expect("read").expect("there");
    assert_eq!((blob.digest, blob.size, blob.copy, blob.expires_at_us), (digest, 3, first, Some(end)));
    let condemned = bench.meta.read(|s| s.condemned(i64::MAX, MANY)).await.expect("read");
    assert_eq!(condemned.iter().map(|gone| gone.copy).collect::<Vec<_>>(), [second], "only the copy that lost");
}

async fn end_of(bench: &Bench, digest: &Digest) -> Option<i64> {
    let link = bench.meta.link(bench.registry.key, &repository("app"), digest).await.expect("read");
    let digest = *digest;
    let blob = bench.meta.read(move |s| s.blob(&digest)).await.expect("read").expect("there");
    assert_eq!(blob.expires_at_us, None, "a linked blob has no end of its own");
    link.expect("there").expires_at_us
}

async fn a_link_is_extended_and_never_shortened(bench: &Bench) {
    let app = repository("app");
    let digest = bench.push_blob(&app, "one").await;
    let end = bench.grace_end_us();
    assert_eq!(end_of(bench, &digest).await, Some(end));
    let extend = |to: i64| {
        bench.write(move |tx, registry| {
            Ok(Commit::quiet(tx.extend_link(registry.key, &repository("app"), &digest, to)?))
        })
    };
    assert!(extend(end + 5).await);
    assert_eq!(end_of(bench, &digest).await, Some(end + 5));
    assert!(!extend(end).await);
    assert!(!extend(end + 5).await);
    assert_eq!(end_of(bench, &digest).await, Some(end + 5));
    bench.push_blob(&app, "one").await;
    assert_eq!(end_of(bench, &digest).await, Some(end + 5), "a push of the same does not shorten either");
    let other = bench.write(move |tx, registry| {
        Ok(Commit::quiet(tx.extend_link(registry.key, &repository("other"), &digest, i64::MAX)?))
    });
    assert!(!other.await);
}

async fn a_named_blob_has_a_link_without_end(bench: &Bench) {
    let app = repository("app");
    let digest = bench.push_blob(&app, "one").await;
    assert!(end_of(bench, &digest).await.is_some());
    bench.put(&app, image(&["one"]), None).await;
    assert_eq!(end_of(bench, &digest).await, None);
    bench.push_blob(&app, "one").await;
    assert_eq!(end_of(bench, &digest).await, None, "a push of the blob does not give it an end");
    let extended = bench.write(move |tx, registry| {
        Ok(Commit::quiet(tx.extend_link(registry.key, &repository("app"), &digest, i64::MAX)?))
    });
    assert!(!extended.await);
    assert_eq!(end_of(bench, &digest).await, None);
    // A layer that may live elsewhere is held too, when it is here.
    let foreign = bench.push_blob(&app, "foreign").await;
    let layer = descriptor("foreign", media_type::DOCKER_FOREIGN_LAYER);
    let new = manifest(&serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor("one", media_type::OCI_CONFIG), "layers": [layer],
    }));
    bench.put(&app, new, None).await;
    assert_eq!(end_of(bench, &foreign).await, None);
}

async fn unlink(bench: &Bench, name: &str, digest: Digest) -> bool {
    let name = repository(name);
    let unlinked = bench.write(move |tx, registry| {
        let key = tx.take_repository(registry.key, &name)?;
        let change = tx.unlink_blob(registry, key, &name, &digest)?;
        Ok(Commit::new(change.is_some(), change.into_iter().collect()))
    });
    unlinked.await
}

async fn an_unlinked_blob_is_not_served(bench: &Bench) {
    let (app, other) = (repository("app"), repository("other"));
    let digest = bench.push_blob(&app, "one").await;
    bench.push_blob(&other, "one").await;
    assert!(bench.links(&app, &digest).await && bench.links(&other, &digest).await);
    let stranger = put_registry(&bench.meta, "other").await;
    assert_eq!(bench.meta.link(stranger.key, &app, &digest).await.expect("read"), None, "registries are apart");
    assert!(!bench.links(&repository("third"), &digest).await, "to know a digest is no right");
    assert!(unlink(bench, "app", digest).await);
    assert!(!unlink(bench, "app", digest).await);
    assert!(!bench.links(&app, &digest).await && bench.links(&other, &digest).await);
    let blob = bench.meta.read(move |s| s.blob(&digest)).await.expect("read").expect("there");
    assert_eq!(blob.expires_at_us, None, "another repository still links it");
    assert!(unlink(bench, "other", digest).await);
    let blob = bench.meta.read(move |s| s.blob(&digest)).await.expect("read").expect("there");
    assert_eq!(blob.expires_at_us, Some(crate::suite::START_US), "it ends at once");
}

async fn a_blob_tells_who_holds_it(bench: &Bench) {
    let (a, b) = (repository("a"), repository("b"));
    let one = bench.push(&a, &["blob"], None).await;
    let two = bench.push(&a, &["blob", "x"], None).await;
    let digest = bench.push_blob(&b, "blob").await;
    let holders = bench.meta.read(move |s| s.holders(&digest, MANY)).await.expect("read");
    let mut named = vec![one, two];
    named.sort_unstable();
    assert_eq!(holders.len(), 2);
    assert_eq!((holders[0].repository.as_str(), holders[0].dead, holders[0].expires_at_us), ("a", false, None));
    assert_eq!(holders[0].manifests, named);
    assert_eq!((holders[1].repository.as_str(), holders[1].expires_at_us), ("b", Some(bench.grace_end_us())));
    assert!(holders[1].manifests.is_empty());
    let registry = bench.registry.key;
    let mut names = bench.meta.read(move |s| s.linking_repositories(registry, &digest, MANY)).await.expect("read");
    names.sort_unstable();
    assert_eq!(names, [a.clone(), b.clone()]);
    let (a_key, b_key) = (bench.key(&a).await, bench.key(&b).await);
    let named =
        bench.meta.read(move |s| Ok::<_, crate::MetaError>((s.is_named(a_key, &digest)?, s.is_named(b_key, &digest)?)));
    assert_eq!(named.await.expect("read"), (true, false));
    let linked = bench.meta.read(move |s| s.is_linked(b_key, &digest)).await.expect("read");
    assert!(linked);
    bench.delete_repository(&a).await;
    let holders = bench.meta.read(move |s| s.holders(&digest, MANY)).await.expect("read");
    assert!(holders.iter().any(|holder| holder.dead), "a deleted repository holds until it is reclaimed");
    let names = bench.meta.read(move |s| s.linking_repositories(registry, &digest, MANY)).await.expect("read");
    assert_eq!(names, [b]);
}

async fn a_copy_is_known_while_something_names_it(bench: &Bench) {
    let digest = Digest::sha256(b"one");
    let (served, lost, end) = (copy_id(), copy_id(), bench.grace_end_us());
    let known = |copy| async move { bench.meta.read(move |s| s.is_copy_known(&digest, &copy)).await.expect("read") };
    assert!(!known(served).await);
    bench
        .write(move |tx, _| {
            tx.put_blob(&digest, 3, served, end)?;
            tx.put_blob(&digest, 3, lost, end)?;
            Ok(Commit::quiet(()))
        })
        .await;
    assert!(known(served).await && known(lost).await);
    bench.write(move |tx, _| tx.forget_condemned(&lost).map(Commit::quiet)).await;
    assert!(!known(lost).await);
    bench.write(move |tx, _| tx.quarantine_blob(&digest, &served, 3).map(Commit::quiet)).await;
    assert!(known(served).await, "a corrupt copy is kept to be looked at");
}

async fn a_corrupt_copy_is_out_of_service_until_it_is_pushed_again(bench: &Bench) {
    let app = repository("app");
    bench.push(&app, &["one"], Some("v1")).await;
    let digest = Digest::sha256(b"one");
    let bad = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there").copy;
    for (copy, expected) in [(copy_id(), false), (bad, true), (bad, false)] {
        let taken = bench.write(move |tx, _| tx.quarantine_blob(&digest, &copy, 3).map(Commit::quiet));
        assert_eq!(taken.await, expected);
    }
    assert!(!bench.links(&app, &digest).await);
    bench.push_blob(&app, "one").await;
    assert!(bench.links(&app, &digest).await);
    let link = bench.meta.link(bench.registry.key, &app, &digest).await.expect("read").expect("there");
    assert_ne!(link.copy, bad);
    assert_eq!(link.expires_at_us, None, "the manifest names it still");
    let known = bench.meta.read(move |s| s.is_copy_known(&digest, &bad)).await.expect("read");
    assert!(!known, "the corrupt copy may go");
}

async fn blobs_are_scrubbed_in_turn(bench: &Bench) {
    let app = repository("app");
    let mut order = Vec::new();
    for content in ["one", "two", "three"] {
        order.push(bench.push_blob(&app, content).await);
        bench.clock.advance(std::time::Duration::from_secs(1));
    }
    let due = |before: i64, limit| async move {
        let found = bench.meta.read(move |s| s.blobs_to_scrub(before, limit)).await.expect("read");
        found.into_iter().map(|blob| (blob.digest, blob.copy)).collect::<Vec<_>>()
    };
    let all = due(i64::MAX, MANY).await;
    assert_eq!(all.iter().map(|(digest, _)| *digest).collect::<Vec<_>>(), order);
    assert_eq!(due(crate::suite::START_US + 1_000_000, MANY).await.len(), 1, "before, not at");
    let (digest, copy) = all[0];
    bench.write(move |tx, _| tx.mark_scrubbed(&digest, &copy_id()).map(Commit::quiet)).await;
    assert_eq!(due(i64::MAX, 1).await, [all[0]], "another copy was scrubbed");
    bench.write(move |tx, _| tx.mark_scrubbed(&digest, &copy).map(Commit::quiet)).await;
    assert_eq!(due(i64::MAX, MANY).await, [all[1], all[2], all[0]]);
}

async fn blobs_are_listed_in_pages(bench: &Bench) {
    let mut digests = Vec::new();
    for number in 0..10 {
        digests.push(bench.push_blob(&repository("app"), &number.to_string()).await);
    }
    digests.sort_unstable();
    for limit in [1, 3, 10, 11] {
        let mut walked: Vec<Digest> = Vec::new();
        loop {
            let after = walked.last().copied();
            let page = bench.meta.read(move |s| s.blobs_after(after.as_ref(), limit)).await.expect("read");
            if page.is_empty() {
                break;
            }
            walked.extend(page.iter().map(|blob| blob.digest));
        }
        assert_eq!(walked, digests, "pages of {limit}");
    }
}
