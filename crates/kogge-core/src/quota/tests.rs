use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kogge_meta::{Commit, NewResource};
use kogge_types::{Algorithm, Code, Digest, RegistryId, RepositoryPattern, ResourceId};
use serde_json::json;

use super::book::{Content, Page, PageEnd, Scope};
use super::*;
use crate::audit::DenialReason;
use crate::auth::policy::rules::property;
use crate::directory::operator;
use crate::fixture::{Bench, bench, bench_with, body, code, image, settings};
use crate::upload::UploadStart;

/// Sets a property of the default registry, as the management API does.
async fn set_quotas(bench: &Bench, quotas: Value) {
    let id = ResourceId::from_bytes(*bench.registry().id.as_bytes());
    let write = bench.core.write_policy(move |tx| {
        let present = tx.resource_by_id(&id)?.expect("the registry's resource");
        let mut registers: BTreeMap<_, _> = present.registers.clone();
        registers.insert(property::QUOTAS.to_owned(), quotas);
        let (_, change) = tx.put_resource(&NewResource {
            id,
            kind: &present.kind,
            parent: &present.parent,
            name: &present.name,
            location: present.location.as_deref(),
            by: &operator(),
            registers: &registers,
        })?;
        Ok(Commit::new((), vec![change]))
    });
    write.await.unwrap();
}

async fn try_push(bench: &Bench, repository: &str, content: &[u8]) -> crate::error::Result<()> {
    let digest = Digest::sha256(content);
    bench.core.put_blob(&bench.target(repository), &digest, body(content, 1024)).await
}

/// What is held under a pattern, by a new measurement.
async fn held(bench: &Bench, pattern: &str) -> u64 {
    bench.clock.advance(Duration::from_secs(60 * 60 + 1));
    let usage = bench.core.registry_usage(&bench.registry()).await.unwrap();
    match pattern {
        "*" => usage.bytes,
        _ => usage.quotas.iter().find(|quota| quota.repositories.to_string() == pattern).unwrap().bytes,
    }
}

#[test]
fn quotas_are_read_or_refused() {
    assert_eq!(Quotas::parse(&Value::Null).unwrap(), Quotas::default());
    let quotas = json!([{ "repositories": "*", "bytes": 5 }, { "repositories": "team/*", "bytes": 0 }]);
    let quotas = Quotas::parse(&quotas).unwrap();
    assert_eq!(quotas.limit(&RepositoryPattern::All), Some(5));
    assert_eq!(quotas.clone().with_default(Some(9)).limit(&RepositoryPattern::All), Some(5));
    assert_eq!(Quotas::default().with_default(Some(9)).limit(&RepositoryPattern::All), Some(9));
    assert_eq!(quotas.clone().covering(&"team/app".parse().unwrap()).len(), 2);
    assert_eq!(quotas.covering(&"app".parse().unwrap()).len(), 1);
    for (value, reason) in [
        (json!({}), "is a list"),
        (json!([1]), "is an object"),
        (json!([{ "bytes": 1 }]), "names its repositories"),
        (json!([{ "repositories": "a*", "bytes": 1 }]), "a*"),
        (json!([{ "repositories": "*", "bytes": -1 }]), "not negative"),
        (json!([{ "repositories": "*", "bytes": 1.5 }]), "whole number"),
        (json!([{ "repositories": "*" }]), "whole number"),
        (json!([{ "repositories": "*", "bytes": u64::MAX }]), "whole number"),
        (json!([{ "repositories": "*", "bytes": 1, "soft": true }]), "no field \"soft\""),
        (json!([{ "repositories": "*", "bytes": 1 }, { "repositories": "*", "bytes": 2 }]), "more than one"),
    ] {
        let error = Quotas::parse(&value).unwrap_err();
        assert!(error.contains(reason), "{value}: {error}");
    }
    let many = |count: usize| {
        let quotas = (0..count).map(|i| json!({ "repositories": format!("a{i}"), "bytes": 1 })).collect();
        Quotas::parse(&Value::Array(quotas))
    };
    assert!(many(limits::QUOTAS_MAX).is_ok());
    assert!(many(limits::QUOTAS_MAX + 1).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_filled_to_the_last_byte_and_no_further() {
    let bench = bench().await;
    bench.push_blob("team/old", &[9; 40]).await;
    set_quotas(&bench, json!([{ "repositories": "team/*", "bytes": 100 }])).await;
    try_push(&bench, "team/app", &[1; 60]).await.unwrap();
    let error = try_push(&bench, "team/app", &[2; 1]).await.unwrap_err();
    assert_eq!(error.code, Code::Denied);
    assert!(error.message.starts_with("the quota of 'team/*' is 100 bytes, of which 100 are used"), "{error}");
    assert_eq!(error.detail.unwrap()["neededBytes"], 1);
    assert_eq!(bench.uploads().await, 0);
    assert_eq!(bench.copies().await.len(), 2);
    // Other repositories are not concerned, and what is there already needs no room.
    try_push(&bench, "elsewhere", &[2; 1000]).await.unwrap();
    try_push(&bench, "team/new", &[1; 60]).await.unwrap();
    try_push(&bench, "team/app", &[9; 40]).await.unwrap();
    assert_eq!(held(&bench, "team/*").await, 100);
    assert_eq!(held(&bench, "*").await, 1100);
    set_quotas(&bench, json!([{ "repositories": "team/*", "bytes": 101 }])).await;
    try_push(&bench, "team/app", &[2; 1]).await.unwrap();
}

/// What is larger than the quota is not even taken in: an upload that nobody closes would lie on the disk for a day.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_never_grows_beyond_a_quota() {
    let bench = bench().await;
    set_quotas(&bench, json!([{ "repositories": "*", "bytes": 5_000 }, { "repositories": "team/*", "bytes": 1_000 }]))
        .await;
    assert_eq!(held(&bench, "team/*").await, 0);
    let content = [7; 6_000];
    for (repository, most) in [("team/app", 1_000), ("app", 5_000)] {
        let target = bench.target(repository);
        let upload = bench.core.start_upload(&target, UploadStart { algorithm: Algorithm::Sha256 }).await.unwrap();
        let write = async |bytes| bench.core.write_chunk(&target, upload.id, None, body(&content[..bytes], 500)).await;
        assert_eq!(write(most).await.unwrap().bytes, most as u64);
        let error = write(1).await.unwrap_err();
        assert_eq!((error.code, error.denial), (Code::Denied, Some(DenialReason::Quota)), "{repository}");
        let gone = bench.core.upload_progress(&target, upload.id).await.unwrap_err();
        assert_eq!(gone.code, Code::BlobUploadUnknown, "nothing is left of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quota_that_covers_a_repository_counts() {
    let bench = bench().await;
    let quotas = json!([
        { "repositories": "*", "bytes": 100 },
        { "repositories": "team/*", "bytes": 50 },
        { "repositories": "team/app", "bytes": 20 },
    ]);
    set_quotas(&bench, quotas).await;
    assert!(try_push(&bench, "team/app", &[1; 21]).await.unwrap_err().message.contains("'team/app'"));
    try_push(&bench, "team/app", &[1; 20]).await.unwrap();
    assert!(try_push(&bench, "team/more", &[2; 31]).await.unwrap_err().message.contains("'team/*'"));
    try_push(&bench, "team/more", &[2; 30]).await.unwrap();
    assert!(try_push(&bench, "other", &[3; 51]).await.unwrap_err().message.contains("'*'"));
    try_push(&bench, "other", &[3; 50]).await.unwrap();
    // What a refusal set aside is free again: the sums are exact to the last byte.
    for pattern in ["*", "team/*", "team/app"] {
        let usage = held(&bench, pattern).await;
        assert_eq!(
            usage,
            match pattern {
                "*" => 100,
                "team/*" => 50,
                _ => 20,
            },
            "{pattern}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_and_manifests_need_room_too() {
    let bench = bench().await;
    let layer = bench.push_blob("source", &[1; 200]).await;
    set_quotas(&bench, json!([{ "repositories": "team/*", "bytes": 150 }])).await;
    let mount = async |repository: &str| {
        bench.core.mount_blob(&bench.target(repository), &"source".parse().unwrap(), &layer).await
    };
    assert_eq!(code(mount("team/app").await), Code::Denied);
    set_quotas(&bench, json!([{ "repositories": "team/*", "bytes": 200 }])).await;
    assert!(mount("team/app").await.unwrap());
    // Within the quota it is there already.
    assert!(mount("team/two").await.unwrap());
    assert_eq!(code(bench.put("team/app", "v1", image(&[&[1; 200]])).await), Code::Denied);
    let bytes = image(&[&[1; 200]]).len() as u64;
    set_quotas(&bench, json!([{ "repositories": "team/*", "bytes": 200 + bytes }])).await;
    bench.put("team/app", "v1", image(&[&[1; 200]])).await.unwrap();
    // The same manifest under another tag is nothing new; in another repository it is stored again.
    bench.put("team/app", "v2", image(&[&[1; 200]])).await.unwrap();
    assert_eq!(code(bench.put("team/two", "v1", image(&[&[1; 200]])).await), Code::Denied);
    assert_eq!(held(&bench, "team/*").await, 200 + bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_a_quota_has_the_deployment_s() {
    let bench = bench_with(crate::core::Settings { registry_bytes: Some(100), ..settings() }).await;
    try_push(&bench, "app", &[1; 100]).await.unwrap();
    assert_eq!(code(try_push(&bench, "app", &[2; 1]).await), Code::Denied);
    let usage = bench.core.registry_usage(&bench.registry()).await.unwrap();
    assert_eq!((usage.bytes, usage.limit_bytes), (100, Some(100)));
    set_quotas(&bench, json!([{ "repositories": "*", "bytes": 1000 }])).await;
    try_push(&bench, "app", &[2; 1]).await.unwrap();
    // A restart knows nothing, and measures before it lets anybody push.
    set_quotas(&bench, json!([{ "repositories": "*", "bytes": 101 }])).await;
    let bench = bench.restart("a boot").await;
    assert_eq!(code(try_push(&bench, "app", &[3; 1]).await), Code::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_found_again_when_content_is_gone() {
    let bench = bench().await;
    set_quotas(&bench, json!([{ "repositories": "*", "bytes": 100 }])).await;
    let digest = bench.push_blob("app", &[1; 100]).await;
    assert_eq!(code(try_push(&bench, "app", &[2; 1]).await), Code::Denied);
    bench.core.delete_blob(&bench.target("app"), &digest).await.unwrap();
    bench.core.measure_usage().await.unwrap();
    try_push(&bench, "app", &[2; 100]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_was_away_knows_what_came_meanwhile() {
    let bench = bench().await;
    let quota = json!([{ "repositories": "team/*", "bytes": 100 }]);
    set_quotas(&bench, quota.clone()).await;
    try_push(&bench, "team/app", &[1; 50]).await.unwrap();
    set_quotas(&bench, json!([])).await;
    try_push(&bench, "team/app", &[2; 50]).await.unwrap();
    set_quotas(&bench, quota).await;
    assert_eq!(code(try_push(&bench, "team/app", &[3; 1]).await), Code::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_once_do_not_go_over_together() {
    let bench = Arc::new(bench().await);
    set_quotas(&bench, json!([{ "repositories": "*", "bytes": 100 }])).await;
    let pushes: Vec<_> = (0..32_u8)
        .map(|i| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { try_push(&bench, &format!("app{i}"), &[i; 10]).await })
        })
        .collect();
    let mut taken = 0;
    for push in pushes {
        match push.await.unwrap() {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error.code, Code::Denied),
        }
    }
    assert_eq!(taken, 10);
    assert_eq!(held(&bench, "*").await, 100);
}

/// Pushes at random, each decision and each measurement compared with what is known to be there.
#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_exact_on_one_node() {
    let bench = bench().await;
    let patterns = ["*", "a/*", "a/one", "b/*"];
    let limits = [900, 500, 300, 400];
    let quotas = patterns.iter().zip(limits).map(|(p, bytes)| json!({ "repositories": p, "bytes": bytes })).collect();
    set_quotas(&bench, Value::Array(quotas)).await;
    let names = ["a/one", "a/two", "b/one", "c"];
    let mut there: BTreeSet<(usize, u8)> = BTreeSet::new();
    let mut word = 7_u64;
    let mut refused = 0;
    for round in 0..300 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (name, blob) = ((word >> 33) as usize % names.len(), ((word >> 40) % 24) as u8);
        let size = |blob: u8| 10 + usize::from(blob) * 7;
        let used = |pattern: &RepositoryPattern, there: &BTreeSet<(usize, u8)>| {
            let blobs = there.iter().filter(|(name, _)| pattern.matches(&names[*name].parse().unwrap()));
            blobs.map(|(_, blob)| *blob).collect::<BTreeSet<u8>>().into_iter().map(size).sum::<usize>()
        };
        let mut after = there.clone();
        after.insert((name, blob));
        let fits = patterns.iter().zip(limits).all(|(pattern, limit)| {
            let pattern = pattern.parse().unwrap();
            let (before, after) = (used(&pattern, &there), used(&pattern, &after));
            after == before || after <= limit
        });
        let pushed = try_push(&bench, names[name], &vec![blob; size(blob)]).await;
        assert_eq!(pushed.is_ok(), fits, "round {round}: {} {blob}: {pushed:?}", names[name]);
        if fits {
            there = after;
        } else {
            refused += 1;
        }
        if round % 50 == 17 {
            for pattern in patterns {
                assert_eq!(held(&bench, pattern).await, used(&pattern.parse().unwrap(), &there) as u64, "{pattern}");
            }
        }
    }
    assert!(refused > 30, "{refused}");
}

/// What is added while a measurement runs counts once, wherever the measurement is.
#[test]
fn a_push_beside_a_measurement_counts_once() {
    let scope: Scope = (RegistryId::from_bytes([1; 16]), RepositoryPattern::All);
    let mut digests: Vec<Digest> = (0..4_u8).map(|i| Digest::sha256(&[i])).collect();
    digests.sort_unstable();
    let [first, second, third, fourth] = digests[..] else { panic!("four digests") };
    let add = |book: &UsageBook, content| book.charge(content, vec![(scope.clone(), 1, u64::MAX)]).unwrap().settle();
    let finish = |book: &UsageBook, seen: u64| {
        book.finish(HashMap::from([(scope.clone(), seen)]), 1, Duration::ZERO);
        book.used(&scope).unwrap().0
    };
    let book = UsageBook::default();
    finish(&book, 0);
    book.begin();
    // Beyond the page, so that the next one finds it.
    add(&book, Content::Blob(fourth));
    book.end_page(PageEnd::Blob(second));
    book.turn(Page::Blobs { after: Some(second) });
    // Before the page: nobody looks there again.
    add(&book, Content::Blob(first));
    // Manifests come later.
    add(&book, Content::Manifest);
    book.end_page(PageEnd::Blob(third));
    book.turn(Page::Blobs { after: Some(third) });
    book.end_page(PageEnd::Last);
    book.turn(Page::Manifests);
    add(&book, Content::Manifest);
    book.end_page(PageEnd::More);
    // After the last blob.
    add(&book, Content::Blob(second));
    book.end_page(PageEnd::Last);
    // The measurement saw the fourth blob and both manifests.
    assert_eq!(finish(&book, 3), 5);
    // Without a measurement everything is counted at once.
    add(&book, Content::Manifest);
    assert_eq!(book.used(&scope).unwrap().0, 6);
}

#[test]
fn what_is_set_aside_outlives_a_measurement() {
    let scope: Scope = (RegistryId::from_bytes([1; 16]), RepositoryPattern::All);
    let book = UsageBook::default();
    let ask = |bytes| book.charge(Content::Manifest, vec![(scope.clone(), bytes, 10)]);
    let charge = ask(6).unwrap();
    book.begin();
    book.finish(HashMap::from([(scope.clone(), 0)]), 1, Duration::from_secs(30));
    assert_eq!(book.interval(), Duration::from_secs(600));
    assert_eq!(ask(5).unwrap_err().used, 6);
    drop(charge);
    let charge = ask(10).unwrap();
    charge.settle();
    assert_eq!(ask(1).unwrap_err().used, 10);
    drop(ask(0).unwrap());
}
