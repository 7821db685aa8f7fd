//! Manifests: what they need, what forbids them, what goes with them.

use std::sync::Arc;

use kogge_meta::{Attributes, Commit, MetaError, Order};
use kogge_types::{Algorithm, Code, Digest, Reference, Tag, limits};

use crate::core::Settings;
use crate::fixture::{Bench, bench, bench_with, code, image, image_of, index, put, settings};
use crate::manifest::{PutManifest, TagCondition};

#[tokio::test(flavor = "multi_thread")]
async fn an_image_needs_its_blobs_in_its_repository() {
    let bench = bench().await;
    let bytes = image(&[b"config", b"layer"]);
    let missing = bench.put("app", "v1", bytes.clone()).await.unwrap_err();
    assert_eq!(missing.code, Code::ManifestBlobUnknown);
    assert_eq!(missing.detail.unwrap()["digests"].as_array().unwrap().len(), 2);
    bench.push_blob("other", b"config").await;
    bench.push_blob("app", b"layer").await;
    assert_eq!(code(bench.put("app", "v1", bytes.clone()).await), Code::ManifestBlobUnknown, "another's is none");
    assert_eq!(bench.resolve("app", "v1").await, None);
    bench.push_blob("app", b"config").await;
    let outcome = bench.put("app", "v1", bytes.clone()).await.unwrap();
    assert_eq!(outcome.digest, Digest::sha256(&bytes));
    let found = bench.core.get_manifest(&bench.target("app"), &"v1".parse().unwrap()).await.unwrap();
    assert_eq!(found.body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_not_the_blobs_is_refused() {
    let bench = bench().await;
    bench.push_blob("app", b"config").await;
    let text = String::from_utf8(image(&[b"config"]).to_vec()).unwrap();
    let wrong = text.replace("\"size\":6", "\"size\":7");
    assert_ne!(wrong, text);
    assert_eq!(code(bench.put("app", "v1", wrong.into()).await), Code::ManifestInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_image_is_a_switch() {
    let bench = bench_with(Settings { sparse_images: true, ..settings() }).await;
    let digest = bench.put("app", "v1", image(&[b"config", b"layer"])).await.unwrap().digest;
    assert_eq!(bench.resolve("app", "v1").await, Some(digest));
    bench.push_blob("app", b"layer").await;
    bench.clock.advance(crate::fixture::GRACE * 2);
    bench.core.collect_garbage().await.unwrap();
    assert!(bench.read("app", &Digest::sha256(b"layer")).await.is_some(), "it is named, though it came late");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_manifest_is_refused_by_its_fault() {
    let bench = bench().await;
    bench.push_blob("app", b"config").await;
    let good = put("v1", image(&[b"config"]));
    let with = |content_type: &str, body: &[u8]| PutManifest {
        content_type: content_type.to_owned(),
        body: body.to_vec().into(),
        ..good.clone()
    };
    let oci = good.content_type.as_str();
    let large = vec![b' '; limits::MANIFEST_BYTES_MAX + 1];
    for (put, expected) in [
        (with(oci, b""), Code::ManifestInvalid),
        (with(oci, b"{"), Code::ManifestInvalid),
        (with(oci, b"{\"schemaVersion\":1}"), Code::ManifestInvalid),
        (with("application/vnd.oci.image.index.v1+json", &good.body), Code::ManifestInvalid),
        (with("text/plain", &good.body), Code::MediaTypeUnsupported),
        (with("application/vnd.docker.distribution.manifest.v1+json", b"{}"), Code::MediaTypeUnsupported),
        (with(oci, &large), Code::ManifestTooLarge),
    ] {
        assert_eq!(code(bench.core.put_manifest(&bench.target("app"), put).await), expected);
    }
    let wrong = Digest::sha256(b"another").to_string();
    assert_eq!(code(bench.put("app", &wrong, good.body.clone()).await), Code::DigestInvalid);
    let long = Digest::of(Algorithm::Sha512, &good.body);
    assert_eq!(bench.put("app", &long.to_string(), good.body).await.unwrap().digest, long);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_and_its_tags_are_set_together_or_not_at_all() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config"]).await;
    let tags: Vec<Tag> = ["a", "b", "v1"].map(|tag| tag.parse().unwrap()).to_vec();
    let digest = bench.core.put_manifest(&bench.target("app"), PutManifest { tags, ..put("c", index(&[])) }).await;
    let digest = digest.unwrap().digest;
    for tag in ["a", "b", "c", "v1"] {
        assert_eq!(bench.resolve("app", tag).await, Some(digest), "{tag}");
    }
    set(&bench, On::Tag("b"), Attributes { write_enabled: false, ..Attributes::OPEN }).await;
    let tags: Vec<Tag> = ["x", "b"].map(|tag| tag.parse().unwrap()).to_vec();
    let refused = PutManifest { tags, ..put("y", image(&[b"config"])) };
    assert_eq!(code(bench.core.put_manifest(&bench.target("app"), refused).await), Code::Disallowed);
    assert_eq!((bench.resolve("app", "x").await, bench.resolve("app", "y").await), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_holds_or_nothing_is_written() {
    let bench = bench().await;
    let one = bench.push("app", "v1", &[b"one"]).await;
    bench.push_blob("app", b"two").await;
    let (two, other) = (Digest::sha256(&image(&[b"two"])), Digest::sha256(b"other"));
    let cases = [
        ("v1", TagCondition::Missing, false),
        ("v2", TagCondition::Exists, false),
        ("v2", TagCondition::Is(vec![one]), false),
        ("v1", TagCondition::Is(vec![other]), false),
        ("v1", TagCondition::IsNot(vec![other, one]), false),
        ("v1", TagCondition::Is(vec![other, one]), true),
        ("v1", TagCondition::IsNot(vec![other]), true),
        ("v1", TagCondition::Exists, true),
        ("v2", TagCondition::IsNot(vec![one]), true),
        ("v3", TagCondition::Missing, true),
    ];
    for (tag, condition, holds) in cases {
        let before = bench.resolve("app", tag).await;
        let new = PutManifest { condition: condition.clone(), ..put(tag, image(&[b"two"])) };
        let written = bench.core.put_manifest(&bench.target("app"), new).await;
        if holds {
            assert_eq!(written.unwrap().digest, two, "{tag} {condition:?}");
            assert_eq!(bench.resolve("app", tag).await, Some(two));
        } else {
            assert_eq!(code(written), Code::PreconditionFailed, "{tag} {condition:?}");
            assert_eq!(bench.resolve("app", tag).await, before);
        }
        if before.is_some() {
            bench.put("app", tag, image(&[b"one"])).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_of_a_missing_tag_one_wins() {
    let bench = bench().await;
    bench.push_blob("app", b"config").await;
    for round in 0..5 {
        let tag = format!("v{round}");
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let (core, target) = (Arc::clone(&bench.core), bench.target("app"));
                let new = put(&tag, image_of(&[b"config"], None, writer));
                let new = PutManifest { condition: TagCondition::Missing, ..new };
                tokio::spawn(async move { core.put_manifest(&target, new).await })
            })
            .collect();
        let mut won = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                Ok(outcome) => won.push(outcome.digest),
                Err(error) => assert_eq!(error.code, Code::PreconditionFailed),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(bench.resolve("app", &tag).await, Some(won[0]));
    }
}

/// What is locked.
#[derive(Debug, Clone, Copy)]
enum On {
    Repository,
    Tag(&'static str),
    Manifest(Digest),
}

async fn set(bench: &Bench, on: On, attributes: Attributes) {
    let target = bench.target("app");
    let set = bench.meta.write(move |tx| {
        let (registry, name) = (&target.registry, &target.repository);
        let key = tx.take_repository(registry.key, name)?;
        let change = match on {
            On::Repository => Some(tx.set_repository_attributes(registry, key, name, attributes)?),
            On::Tag(tag) => tx.set_tag_attributes(registry, key, name, &tag.parse().unwrap(), attributes)?,
            On::Manifest(digest) => tx.set_manifest_attributes(registry, key, name, &digest, attributes)?,
        };
        Ok::<_, MetaError>(Commit::new((), change.into_iter().collect()))
    });
    set.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_hold_at_three_levels() {
    let bench = bench().await;
    let target = bench.target("app");
    let digest = bench.push("app", "v1", &[b"config"]).await;
    let open = Attributes::OPEN;
    let (no_read, no_write) = (Attributes { read_enabled: false, ..open }, Attributes { write_enabled: false, ..open });
    let no_delete = Attributes { delete_enabled: false, ..open };
    let (by_tag, by_digest) = (Reference::Tag("v1".parse().unwrap()), Reference::Digest(digest));
    for on in [On::Repository, On::Tag("v1"), On::Manifest(digest)] {
        set(&bench, on, no_read).await;
        assert_eq!(code(bench.core.get_manifest(&target, &by_tag).await), Code::Disallowed, "{on:?}");
        let by_digest = bench.core.get_manifest(&target, &by_digest).await;
        assert_eq!(by_digest.is_ok(), matches!(on, On::Tag(_)), "{on:?}");
        for attributes in [no_write, no_delete] {
            set(&bench, on, attributes).await;
            assert_eq!(code(bench.core.delete_manifest(&target, &digest).await), Code::Disallowed, "{on:?}");
            assert_eq!(code(bench.core.delete_repository(&target).await), Code::Disallowed, "{on:?}");
            let untagged = bench.core.delete_tag(&target, &"v1".parse().unwrap()).await;
            match on {
                On::Manifest(_) => drop(bench.put("app", "v1", image(&[b"config"])).await.unwrap()),
                On::Repository | On::Tag(_) => assert_eq!(code(untagged), Code::Disallowed, "{on:?}"),
            }
        }
        set(&bench, on, no_write).await;
        let moved = bench.put("app", "v1", image_of(&[b"config"], None, 1)).await;
        match on {
            On::Repository | On::Tag(_) => assert_eq!(code(moved), Code::Disallowed, "{on:?}"),
            // The tag is not locked: it may name another manifest.
            On::Manifest(_) => drop(moved.unwrap()),
        }
        set(&bench, on, open).await;
        assert!(bench.core.get_manifest(&target, &by_tag).await.is_ok());
    }
    bench.core.delete_manifest(&target, &digest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_takes_all_that_refers_or_nothing() {
    let bench = bench().await;
    let target = bench.target("app");
    let subject = bench.push("app", "v1", &[b"config"]).await;
    let mut chain = vec![subject];
    for salt in 0..5 {
        let about = chain[chain.len() / 2];
        chain.push(
            bench.put("app", &format!("r{salt}"), image_of(&[b"config"], Some(&about), salt)).await.unwrap().digest,
        );
    }
    // Somebody refers to himself in a circle that no client can make, but for a subject that is not there yet.
    let absent = Digest::sha256(b"absent");
    let apart = bench.put("app", "apart", image_of(&[b"config"], Some(&absent), 9)).await.unwrap();
    assert_eq!(apart.subject, Some(absent));
    for on in [On::Manifest(chain[5]), On::Tag("r4")] {
        set(&bench, on, Attributes { delete_enabled: false, ..Attributes::OPEN }).await;
        assert_eq!(code(bench.core.delete_manifest(&target, &subject).await), Code::Disallowed);
        for digest in &chain {
            assert_eq!(bench.resolve("app", &digest.to_string()).await, Some(*digest), "all or nothing");
        }
        set(&bench, on, Attributes::OPEN).await;
    }
    bench.core.delete_manifest(&target, &subject).await.unwrap();
    for digest in &chain {
        assert_eq!(bench.resolve("app", &digest.to_string()).await, None);
    }
    assert_eq!(bench.resolve("app", "apart").await, Some(apart.digest));
    assert_eq!(code(bench.core.delete_manifest(&target, &subject).await), Code::ManifestUnknown);
    let page = bench.core.list_referrers(&target, &subject, None, None, 100).await.unwrap();
    assert!(page.descriptors.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_child_leaves_its_index_sparse_and_a_deleted_index_its_children() {
    let bench = bench().await;
    let target = bench.target("app");
    let one = bench.push("app", "one", &[b"one"]).await;
    let two = bench.push("app", "two", &[b"two"]).await;
    let of_both = bench.put("app", "both", index(&[one, two])).await.unwrap().digest;
    let nested = bench.put("app", "nested", index(&[of_both, Digest::sha256(b"absent")])).await.unwrap().digest;
    bench.core.delete_manifest(&target, &one).await.unwrap();
    assert_eq!(bench.resolve("app", "both").await, Some(of_both));
    bench.core.delete_manifest(&target, &of_both).await.unwrap();
    assert_eq!(bench.resolve("app", "two").await, Some(two));
    assert_eq!(bench.resolve("app", "nested").await, Some(nested));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_manifests_are_listed_in_pages() {
    let bench = bench().await;
    let target = bench.target("app");
    assert_eq!(code(bench.core.list_tags(&target, "", 10).await), Code::NameUnknown);
    for tag in ["c", "a", "b"] {
        bench.push("app", tag, &[tag.as_bytes()]).await;
    }
    for (after, limit, names, more) in [
        ("", 10, &["a", "b", "c"][..], false),
        ("", 3, &["a", "b", "c"], false),
        ("", 2, &["a", "b"], true),
        ("b", 2, &["c"], false),
        ("c", 2, &[], false),
        ("", 0, &[], false),
    ] {
        let page = bench.core.list_tags(&target, after, limit).await.unwrap();
        assert_eq!(
            (page.names.as_slice(), page.more),
            (names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>().as_slice(), more)
        );
    }
    let page = bench.core.describe_manifests(&target, Order::Name, None, 2).await.unwrap();
    assert_eq!((page.manifests.len(), page.more), (2, true));
    let page = bench.core.describe_manifests(&target, Order::Name, Some(page.manifests[1].digest), 2).await.unwrap();
    assert_eq!((page.manifests.len(), page.more), (1, false));
    assert_eq!(bench.core.describe_repository(&target).await.unwrap().tags, 3);
}
