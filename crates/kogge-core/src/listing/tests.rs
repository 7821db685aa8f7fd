//! Listings in pages, by name and by time, and what they hide.

use std::time::Duration;

use kogge_meta::Order;
use kogge_types::{Code, Digest, Tag};

use crate::fixture::{Bench, bench, code, image_of};
use crate::listing::TagQuery;
use crate::lock::AttributesPatch;

const HIDDEN: AttributesPatch =
    AttributesPatch { delete_enabled: None, write_enabled: None, read_enabled: None, list_enabled: Some(false) };

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

async fn tags(bench: &Bench, order: Order, last: &str, limit: usize) -> (Vec<String>, bool) {
    let query = TagQuery { digest: None, order, last: last.to_owned() };
    let page = bench.core.describe_tags(&bench.target("app"), query, limit).await.unwrap();
    (page.tags.iter().map(|tag| tag.name.to_string()).collect(), page.more)
}

/// Pushes three images, a second apart.
async fn three(bench: &Bench) -> Vec<Digest> {
    let mut digests = Vec::new();
    for name in ["b", "c", "a"] {
        digests.push(bench.push("app", name, &[name.as_bytes()]).await);
        bench.clock.advance(Duration::from_secs(1));
    }
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_in_each_order_and_go_on_behind_the_last() {
    let bench = bench().await;
    three(&bench).await;
    for (order, expected) in
        [(Order::Name, ["a", "b", "c"]), (Order::Oldest, ["b", "c", "a"]), (Order::Newest, ["a", "c", "b"])]
    {
        assert_eq!(tags(&bench, order, "", 100).await, (expected.map(str::to_owned).to_vec(), false));
        assert_eq!(tags(&bench, order, "", 2).await, (expected[..2].iter().map(ToString::to_string).collect(), true));
        assert_eq!(tags(&bench, order, expected[1], 2).await, (vec![expected[2].to_owned()], false));
        assert_eq!(tags(&bench, order, expected[2], 2).await, (vec![], false));
        assert_eq!(tags(&bench, order, "", 0).await, (vec![], false));
    }
    assert_eq!(tags(&bench, Order::Name, "bb", 2).await.0, ["c"], "by name, any text is a place");
    for order in [Order::Newest, Order::Oldest] {
        for last in ["never", "not a tag"] {
            let query = TagQuery { digest: None, order, last: last.to_owned() };
            assert_eq!(code(bench.core.describe_tags(&bench.target("app"), query, 2).await), Code::PaginationInvalid);
        }
        let never = Some(Digest::sha256(b"never"));
        let listed = bench.core.describe_manifests(&bench.target("app"), order, never, 2).await;
        assert_eq!(code(listed), Code::PaginationInvalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_what_he_lists_still_sees_all() {
    let bench = bench().await;
    let target = bench.target("app");
    let digests = three(&bench).await;
    bench.core.untag(&target, &tag("b")).await.unwrap();
    assert_eq!(tags(&bench, Order::Oldest, "b", 1).await, (vec!["c".to_owned()], true));
    bench.core.delete_manifest(&target, &digests[1]).await.unwrap();
    assert_eq!(tags(&bench, Order::Oldest, "c", 1).await, (vec!["a".to_owned()], false));
    let page = bench.core.describe_manifests(&target, Order::Oldest, Some(digests[1]), 1).await.unwrap();
    assert_eq!((page.manifests.len(), page.manifests[0].digest, page.more), (1, digests[2], false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_not_listed_and_is_described_when_named() {
    let bench = bench().await;
    let target = bench.target("app");
    let digests = three(&bench).await;
    bench.core.set_tag_attributes(&target, &tag("a"), HIDDEN).await.unwrap();
    assert_eq!(tags(&bench, Order::Name, "", 10).await.0, ["b", "c"]);
    assert_eq!(bench.core.list_tags(&target, "", 10).await.unwrap().names, ["b", "c"]);
    assert_eq!(bench.core.describe_tag(&target, &tag("a")).await.unwrap().digest, digests[2]);
    bench.core.set_manifest_attributes(&target, &digests[0], HIDDEN).await.unwrap();
    let page = bench.core.describe_manifests(&target, Order::Oldest, None, 10).await.unwrap();
    assert_eq!(page.manifests.iter().map(|manifest| manifest.digest).collect::<Vec<_>>(), digests[1..]);
    assert!(!bench.core.describe_manifest(&target, &digests[0]).await.unwrap().attributes.list_enabled);
    bench.core.set_repository_attributes(&target, HIDDEN).await.unwrap();
    assert_eq!(tags(&bench, Order::Name, "", 10).await, (vec![], false));
    assert!(bench.core.list_tags(&target, "", 10).await.unwrap().names.is_empty());
    assert!(bench.core.describe_manifests(&target, Order::Name, None, 10).await.unwrap().manifests.is_empty());
    assert_eq!(bench.core.describe_repository(&target).await.unwrap().manifests, 3);
    assert_eq!(bench.resolve("app", "a").await, Some(digests[2]), "it is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_by_its_kind() {
    let bench = bench().await;
    let (target, absent, digest) = (bench.target("app"), bench.target("absent"), Digest::sha256(b"absent"));
    three(&bench).await;
    let open = AttributesPatch::default();
    assert_eq!(code(bench.core.describe_tag(&target, &tag("absent")).await), Code::TagUnknown);
    assert_eq!(code(bench.core.untag(&target, &tag("absent")).await), Code::TagUnknown);
    assert_eq!(code(bench.core.set_tag_attributes(&target, &tag("absent"), open).await), Code::TagUnknown);
    assert_eq!(code(bench.core.describe_manifest(&target, &digest).await), Code::ManifestUnknown);
    assert_eq!(code(bench.core.set_manifest_attributes(&target, &digest, open).await), Code::ManifestUnknown);
    assert_eq!(code(bench.core.describe_repository(&absent).await), Code::NameUnknown);
    assert_eq!(code(bench.core.describe_tag(&absent, &tag("a")).await), Code::NameUnknown);
    assert_eq!(code(bench.core.untag(&absent, &tag("a")).await), Code::NameUnknown);
    assert_eq!(code(bench.core.describe_manifest(&absent, &digest).await), Code::NameUnknown);
    assert_eq!(code(bench.core.describe_tags(&absent, TagQuery::default(), 1).await), Code::NameUnknown);
    assert_eq!(code(bench.core.describe_manifests(&absent, Order::Name, None, 1).await), Code::NameUnknown);
    assert_eq!(code(bench.core.set_repository_attributes(&absent, open).await), Code::NameUnknown);
    assert_eq!(code(bench.core.delete_repository(&absent).await), Code::NameUnknown);
    // One that only has uploads is not there yet.
    bench.push_blob("absent", b"blob").await;
    assert_eq!(code(bench.core.set_repository_attributes(&absent, open).await), Code::NameUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_refers_is_a_referrer() {
    let bench = bench().await;
    let target = bench.target("app");
    let image = bench.push("app", "v1", &[b"config"]).await;
    let signature = bench.put("app", "sig", image_of(&[b"config"], Some(&image), 1)).await.unwrap().digest;
    let is =
        async |digest: Digest| bench.core.is_referrer(&target.registry, &target.repository, &digest).await.unwrap();
    assert!(is(signature).await);
    assert!(!is(image).await);
    assert!(!is(Digest::sha256(b"absent")).await);
    let elsewhere = bench.target("other");
    assert!(!bench.core.is_referrer(&elsewhere.registry, &elsewhere.repository, &signature).await.unwrap());
}
