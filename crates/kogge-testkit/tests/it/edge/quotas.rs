//! A registry that is full says so, and what is there already is never refused.

use bytes::Bytes;
use kogge_core::auth::policy::rules::property;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Item, Seed};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::{Repository, with_digest};
use kogge_types::Algorithm;
use kogge_types::media_type::OCTET_STREAM;
use serde_json::json;

use super::{set_property, uploads_left};

fn blob(byte: u8, bytes: usize) -> Item {
    Item::new(Algorithm::Sha256, OCTET_STREAM, Bytes::from(vec![byte; bytes]))
}

async fn push(repository: &Repository, blob: &Item) -> Reply {
    let location = repository.start_upload().await;
    repository.client().put(with_digest(&location, &blob.digest)).body(blob.bytes.clone()).send().await
}

async fn limit(registry: &TestRegistry, repositories: &str, bytes: u64) {
    let quotas = json!([{ "repositories": repositories, "bytes": bytes }]);
    set_property(registry, "default", property::QUOTAS, quotas).await;
}

#[tokio::test]
async fn a_push_over_the_quota_is_refused_with_limit_and_use() {
    let registry = TestRegistry::start().await;
    let client = registry.client();
    let (app, two, other) =
        (Repository::new(&client, "team/app"), Repository::new(&client, "team/two"), Repository::new(&client, "other"));
    limit(&registry, "team/*", 10_000).await;
    push(&app, &blob(1, 9_000)).await.expect_status(201);
    let refused = push(&app, &blob(2, 1_001)).await.expect_error(403, "DENIED");
    let error = &refused.json()["errors"][0];
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("the quota of 'team/*' is 10000 bytes, of which 9000 are used"), "{message}");
    assert_eq!(
        error["detail"],
        json!({ "repositories": "team/*", "limitBytes": 10_000, "usedBytes": 9_000, "neededBytes": 1_001 })
    );
    assert_eq!(uploads_left(&registry), 0);
    app.head_blob(&blob(2, 1_001).digest).await.expect_status(404);
    // In one request, in chunks and by a mount it is no other.
    let whole = app.path(format_args!("blobs/uploads/?digest={}", blob(2, 1_001).digest));
    client.post(whole).body(blob(2, 1_001).bytes).send().await.expect_error(403, "DENIED");
    push(&other, &blob(2, 1_001)).await.expect_status(201);
    let mount = app.path(format_args!("blobs/uploads/?mount={}&from=other", blob(2, 1_001).digest));
    client.post(&mount).send().await.expect_error(403, "DENIED");
    // What is there already costs nothing, in whichever repository of the quota.
    push(&two, &blob(1, 9_000)).await.expect_status(201);
    limit(&registry, "team/*", 10_001).await;
    client.post(&mount).send().await.expect_status(201);
}

#[tokio::test]
async fn a_full_registry_still_serves_and_takes_tags() {
    let registry = TestRegistry::start().await;
    let app = Repository::new(&registry.client(), "app");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    app.push_tagged(&image, "v1").await;
    limit(&registry, "*", 1).await;
    app.get_manifest("v1").await.expect_status(200);
    app.put_manifest("v2", image.root()).await.expect_status(201);
    app.push(&image).await;
    let other = ImageBuilder::new(&mut Seed::new(2)).build();
    push(&app, &other.blobs[0]).await.expect_error(403, "DENIED");
    Repository::new(&registry.client(), "new").put_manifest("v1", image.root()).await.expect_error(403, "DENIED");
    // It is no quota for another registry.
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let mine = Repository::new(&registry.client().with_host("myreg.localhost"), "app");
    mine.push_tagged(&image, "v1").await;
    // Nor does it outlive its removal.
    set_property(&registry, "default", property::QUOTAS, json!([])).await;
    app.push_tagged(&other, "v3").await;
}

#[tokio::test]
async fn the_deployment_s_bound_holds_for_a_registry_without_its_own() {
    let registry = TestRegistry::start_with("[quota]\nregistry-bytes = '10000B'").await;
    let app = Repository::new(&registry.client(), "app");
    push(&app, &blob(1, 10_000)).await.expect_status(201);
    push(&app, &blob(2, 1)).await.expect_error(403, "DENIED");
    limit(&registry, "*", 20_000).await;
    push(&app, &blob(2, 10_000)).await.expect_status(201);
    push(&app, &blob(3, 1)).await.expect_error(403, "DENIED");
    // A restart knows what is there.
    let registry = registry.restart().await;
    let app = Repository::new(&registry.client(), "app");
    push(&app, &blob(3, 1)).await.expect_error(403, "DENIED");
}
