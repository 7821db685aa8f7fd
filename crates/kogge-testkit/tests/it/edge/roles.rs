//! Roles, repository patterns, and pulling without a login.

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::Client;
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use serde_json::json;

use super::{PASSWORD, grant, set_property, user, user_at};

/// What `client` may do to `name`: one letter for pull, push, delete, metadata and catalog each.
async fn rights(client: &Client, name: &str) -> String {
    let absent = Digest::sha256(b"absent");
    let tries = [
        ('r', Method::GET, format!("/v2/{name}/manifests/absent")),
        ('w', Method::POST, format!("/v2/{name}/blobs/uploads/")),
        ('d', Method::DELETE, format!("/v2/{name}/blobs/{absent}")),
        ('m', Method::GET, format!("/acr/v1/{name}")),
        ('c', Method::GET, "/v2/_catalog".to_owned()),
    ];
    let mut rights = String::new();
    for (letter, method, path) in tries {
        let reply = client.request(method, &path).send().await;
        match reply.status.as_u16() {
            401 => {}
            200 | 202 | 404 => rights.push(letter),
            other => panic!("{path}: {other}"),
        }
    }
    rights
}

#[tokio::test]
async fn a_role_reaches_as_far_as_its_pattern() {
    let registry = TestRegistry::start().await;
    // A role, its pattern, and the rights that it gives at each name.
    type Rights<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, &str, Rights<'_>)] = &[
        ("Owner", "*", &[("a", "rwdmc"), ("team/app", "rwdmc")]),
        ("AcrPull", "*", &[("a", "rmc"), ("team/app", "rmc")]),
        ("AcrPush", "*", &[("a", "rwmc")]),
        ("AcrDelete", "*", &[("a", "d")]),
        ("AcrPush", "team/*", &[("team/app", "rwmc"), ("team/a/b", "rwmc"), ("team", "c"), ("teams/app", "c")]),
        ("AcrDelete", "team/app", &[("team/app", "d"), ("team/app/sub", ""), ("team/app2", ""), ("app", "")]),
    ];
    for (number, (role, pattern, expected)) in cases.iter().enumerate() {
        let client = user(&registry, &format!("user{number}"), role, pattern).await;
        for (name, rights_there) in *expected {
            let found = rights(&client, name).await;
            // Basic and tokens open the same doors.
            assert_eq!(found, *rights_there, "{role} on {pattern} at {name}");
            let everything = [format!("repository:{name}:*"), "registry:catalog:*".to_owned()];
            let token = client.token(&everything.each_ref().map(String::as_str)).await.expect("a token");
            assert_eq!(rights(&registry.anonymous().with_bearer(&token), name).await, found, "{role} {pattern} {name}");
        }
    }
}

#[tokio::test]
async fn a_role_at_one_registry_is_none_at_another() {
    let registry = TestRegistry::start().await;
    let other = registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let there = user_at(&registry, "local", "Owner", Some(other.id), "*").await;
    assert_eq!(rights(&there.with_host("myreg.localhost"), "a").await, "rwdmc");
    assert_eq!(rights(&there, "a").await, "");
    there.get("/v2/").send().await.expect_status(200);
}

#[tokio::test]
async fn grants_add_up_and_end_with_the_user() {
    let registry = TestRegistry::start().await;
    let grant = |role, pattern| grant(role, None, pattern);
    let core = registry.core();
    let both = [grant("AcrPull", "team/*"), grant("AcrDelete", "team/old")];
    core.put_user("ops", PASSWORD, &both).await.expect("a user");
    let client = registry.anonymous().with_basic("ops", PASSWORD);
    assert_eq!(rights(&client, "team/old").await, "rdmc");
    assert_eq!(rights(&client, "team/new").await, "rmc");
    let everything = ["repository:team/old:*", "registry:catalog:*"];
    let token = client.token(&everything).await.expect("a token");
    let bearer = registry.anonymous().with_bearer(&token);
    assert_eq!(rights(&bearer, "team/old").await, "rdmc");
    // New roles void the tokens that were made under the old ones.
    core.put_user("ops", PASSWORD, &both[..1]).await.expect("a user");
    assert_eq!(rights(&bearer, "team/old").await, "");
    let token = client.token(&everything).await.expect("a token");
    let bearer = registry.anonymous().with_bearer(&token);
    assert_eq!(rights(&bearer, "team/old").await, "rmc");
    assert!(core.delete_user("ops").await.expect("deleted"));
    assert_eq!(rights(&bearer, "team/old").await, "");
    assert!(client.token(&[]).await.is_err());
}

#[tokio::test]
async fn the_catalog_shows_what_the_caller_may_list_and_no_more() {
    let registry = TestRegistry::start().await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    for name in ["team/a", "team/b", "teams/c", "zoo"] {
        Repository::new(&registry.client(), name).push_tagged(&image, "latest").await;
    }
    let listing = async |client: &Client| client.get("/v2/_catalog").send().await.expect_status(200).json();
    assert_eq!(listing(&registry.client()).await, json!({"repositories": ["team/a", "team/b", "teams/c", "zoo"]}));
    let team = user(&registry, "team", "AcrPull", "team/*").await;
    assert_eq!(listing(&team).await, json!({"repositories": ["team/a", "team/b"]}));
    let reply = team.get("/v2/_catalog?n=1").send().await.expect_status(200);
    assert_eq!(reply.header("link").as_deref(), Some(r#"</v2/_catalog?last=team%2Fa&n=1>; rel="next""#));
    let reply = team.get("/v2/_catalog?n=1&last=team/a").send().await.expect_status(200);
    assert_eq!((reply.json(), reply.header("link")), (json!({"repositories": ["team/b"]}), None));
    let one = user(&registry, "one", "AcrPull", "zoo").await;
    assert_eq!(listing(&one).await, json!({"repositories": ["zoo"]}));
    let none = user(&registry, "none", "AcrPull", "nothing/*").await;
    assert_eq!(listing(&none).await, json!({"repositories": []}));
}

#[tokio::test]
async fn an_open_deployment_lets_anybody_pull_and_list_and_nothing_else() {
    let registry = TestRegistry::start_with("[login]\nanonymous-pull = true").await;
    registry.core().put_registry(&"other".parse().expect("a name"), false).await.expect("a registry");
    let anonymous = registry.anonymous();
    assert_eq!(rights(&anonymous, "a").await, "rmc");
    assert_eq!(rights(&anonymous.with_host("other.localhost"), "a").await, "rmc");
    // Whoever may not do more without the switch may still pull with it.
    let stranger = user(&registry, "stranger", "AcrDelete", "b").await;
    assert_eq!(rights(&stranger, "a").await, "rmc");
    // Clients look here first, and take an anonymous token from the challenge.
    anonymous.get("/v2/").send().await.expect_status(401);
    let token = anonymous.get("/oauth2/token?service=x&scope=repository:a:pull,push").send().await.expect_status(200);
    let bearer = anonymous.with_bearer(token.json()["access_token"].as_str().expect("a token"));
    bearer.get("/v2/").send().await.expect_status(200);
    assert_eq!(rights(&bearer, "a").await, "r");
    assert_eq!(rights(&bearer, "b").await, "");
}

#[tokio::test]
async fn an_open_registry_opens_no_other() {
    let registry = TestRegistry::start().await;
    let name = "public".parse().expect("a name");
    registry.core().put_registry(&name, true).await.expect("a registry");
    let anonymous = registry.anonymous();
    assert_eq!(rights(&anonymous.with_host("public.localhost"), "a").await, "rmc");
    assert_eq!(rights(&anonymous, "a").await, "");
    // There, what is not there is told; here it is not.
    let missing = anonymous.with_host("public.localhost").get("/v2/a/tags/list").send().await;
    missing.expect_error(404, "NAME_UNKNOWN");
    registry.core().put_registry(&name, false).await.expect("closed again");
    assert_eq!(rights(&anonymous.with_host("public.localhost"), "a").await, "");
}

#[tokio::test]
async fn strangers_are_shown_what_is_public_and_no_more() {
    let registry = TestRegistry::start().await;
    let image = ImageBuilder::new(&mut Seed::new(9)).build();
    for name in ["public/app", "secret/app"] {
        Repository::new(&registry.client(), name).push_tagged(&image, "latest").await;
    }
    set_property(&registry, "default", "properties.anonymousPullRepositories", json!(["public/*"])).await;
    let listed = registry.anonymous().get("/v2/_catalog").send().await.expect_status(200).json();
    assert_eq!(listed, json!({"repositories": ["public/app"]}));
    let deleter = user(&registry, "deleter", "AcrDelete", "*").await;
    assert_eq!(deleter.get("/v2/_catalog").send().await.expect_status(200).json(), listed);
}
