//! What one node does, the others know.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::StatusCode;
use kogge_server::serve::ADMIN;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Item, Seed};
use kogge_testkit::postgres::Server;
use kogge_testkit::repository::Repository;
use kogge_types::Algorithm;
use kogge_types::media_type::OCTET_STREAM;

use super::Region;

const PART_BYTES: usize = 100_000;

fn on(node: &TestRegistry, name: &str) -> Repository {
    Repository::new(&node.client(), name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_at_any_node() {
    let region = Region::new(&Server::shared());
    let nodes = [region.node().await, region.node().await, region.node().await];
    let seen = nodes.each_ref().map(|node| on(node, "team/app"));
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(1).bytes(5 * PART_BYTES));
    let mut location = seen[0].start_upload().await;
    for part in 0..5 {
        let start = part * PART_BYTES;
        let chunk = blob.bytes.slice(start..start + PART_BYTES);
        location = seen[part % 3].patch(&location, start, chunk).await.expect_status(202).location();
    }
    seen[2].close_upload(&location, &blob.digest).await.expect_status(201);
    for repository in &seen {
        repository.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
        repository.client().get(&location).send().await.expect_status(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_at_one_offset_one_wins() {
    let region = Region::new(&Server::shared());
    let nodes = [region.node().await, region.node().await];
    let seen = nodes.each_ref().map(|node| on(node, "team/app"));
    let blob = Item::new(Algorithm::Sha256, OCTET_STREAM, Seed::new(2).bytes(PART_BYTES));
    for _ in 0..10 {
        let location = seen[0].start_upload().await;
        let closed = join_all(seen.iter().map(|repository| {
            let put = repository.client().put(kogge_testkit::repository::with_digest(&location, &blob.digest));
            put.body(blob.bytes.clone()).send()
        }));
        let mut statuses: Vec<_> = closed.await.iter().map(|reply| reply.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201, "{statuses:?}");
        assert!([201, 404, 409, 416].contains(&statuses[1]), "{statuses:?}");
        seen[1].get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_and_a_lock_are_seen_by_the_next_request_elsewhere() {
    let region = Region::new(&Server::shared());
    let (a, b) = (region.node().await, region.node().await);
    let (on_a, on_b) = (on(&a, "app"), on(&b, "app"));
    let seed = &mut Seed::new(3);
    for round in 0..10 {
        let image = ImageBuilder::new(seed).build();
        on_a.push_tagged(&image, "v1").await;
        on_b.get_manifest("v1").await.expect_status(200).expect_body(&image.root().bytes);
        let locked = r#"{"writeEnabled":false,"deleteEnabled":false}"#;
        let open = r#"{"writeEnabled":true,"deleteEnabled":true}"#;
        let patch = |node: &TestRegistry, body: &'static str| {
            let client = node.client();
            async move {
                let patch = client.patch("/acr/v1/app/_tags/v1").header("content-type", "application/json");
                patch.body(body).send().await.expect_status(200);
            }
        };
        patch(&a, locked).await;
        let refused = on_b.put_manifest("v1", image.root()).await.status;
        assert_eq!(refused, StatusCode::METHOD_NOT_ALLOWED, "round {round}");
        patch(&b, open).await;
        on_a.delete_manifest(image.root().digest).await.expect_status(202);
        on_b.get_manifest("v1").await.expect_status(404);
        on_b.head_manifest(image.root().digest).await.expect_status(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_revoked_is_refused_elsewhere_within_a_second() {
    let region = Region::new(&Server::shared());
    let (a, b) = (region.node().await, region.node().await);
    on(&a, "app").push_tagged(&ImageBuilder::new(&mut Seed::new(4)).build(), "v1").await;
    let password = "a password of some length";
    let reader = kogge_core::auth::role::built_in_by_id(&kogge_core::auth::role::OWNER).expect("a role");
    let grant = kogge_core::directory::Grant {
        role: reader,
        registry: None,
        repositories: kogge_types::RepositoryPattern::All,
    };
    a.core().put_user("mallory", password, &[grant]).await.expect("the user is made");
    // A node takes a name that it does not know yet for a reason to look.
    let token = b.anonymous().with_basic("mallory", password).token(&["repository:app:pull"]).await.expect("a token");
    let bearer = b.anonymous().with_bearer(&token);
    let pull = || bearer.get("/v2/app/manifests/v1").send();
    pull().await.expect_status(200);
    assert!(a.core().delete_user("mallory").await.expect("deleted"));
    let deleted = Instant::now();
    while pull().await.status != StatusCode::UNAUTHORIZED {
        assert!(deleted.elapsed() < Duration::from_secs(1), "the token is still good");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_node_made_is_taken_at_once() {
    let region = Region::new(&Server::shared());
    let (a, b) = (region.node().await, region.node().await);
    on(&a, "app").push_tagged(&ImageBuilder::new(&mut Seed::new(5)).build(), "v1").await;
    for _ in 0..3 {
        a.core().rotate_keys().await.expect("a new key");
        let token = a.client().token(&["repository:app:pull"]).await.expect("a token");
        b.anonymous().with_bearer(&token).get("/v2/app/manifests/v1").send().await.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_make_one_of_everything() {
    let region = Region::new(&Server::shared());
    let nodes = join_all((0..3).map(|_| region.founder())).await;
    let passwords: Vec<_> = nodes.iter().filter_map(TestRegistry::made_password).collect();
    assert_eq!(passwords.len(), 1, "one node tells the password");
    for node in &nodes {
        let client = node.anonymous().with_basic(ADMIN, passwords[0]);
        client.get("/v2/").send().await.expect_status(200);
        assert_eq!(node.core().registries().len(), 1);
    }
    let keys: Vec<_> = nodes.iter().map(|node| node.core().signing_keys()).collect();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
    assert!(nodes.iter().all(|node| node.core().deployment() == nodes[0].core().deployment()));
}
