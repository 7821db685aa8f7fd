//! Whoever comes from an address that the registry's rules do not name is turned away before anything else.

use http::Method;
use kogge_core::auth::policy::rules::property;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply, basic};
use serde_json::{Value, json};

use super::set_property;

const TRUSTING: &str = "[server]\ntrusted-proxies = ['127.0.0.0/8']";
const INSIDE: &str = "203.0.113.9";
const OUTSIDE: &str = "198.51.100.1";

/// Everything that the data plane has, a path of each.
const PATHS: [(Method, &str); 12] = [
    (Method::GET, "/v2/"),
    (Method::GET, "/v2/_catalog"),
    (Method::GET, "/v2/team/app/tags/list"),
    (Method::GET, "/v2/team/app/manifests/v1"),
    (Method::PUT, "/v2/team/app/manifests/v1"),
    (Method::DELETE, "/v2/team/app/manifests/v1"),
    (Method::POST, "/v2/team/app/blobs/uploads/"),
    (Method::GET, "/oauth2/token"),
    (Method::POST, "/oauth2/token"),
    (Method::POST, "/oauth2/exchange"),
    (Method::GET, "/acr/v1/_catalog"),
    (Method::DELETE, "/acr/v1/team/app"),
];

fn deny_all_but(values: &[&str]) -> Value {
    let rules: Vec<_> = values.iter().map(|value| json!({ "action": "Allow", "value": value })).collect();
    json!({ "defaultAction": "Deny", "virtualNetworkRules": [], "ipRules": rules })
}

async fn ask(client: &Client, method: &Method, path: &str, from: &str) -> Reply {
    client.request(method.clone(), path).header("x-forwarded-for", from).send().await
}

#[tokio::test]
async fn who_is_outside_is_told_so_everywhere_and_nothing_else() {
    let registry = TestRegistry::start_with(TRUSTING).await;
    set_property(&registry, "default", property::NETWORK_RULE_SET, deny_all_but(&["203.0.113.0/24"])).await;
    let login = basic("admin", registry.admin_password());
    for (method, path) in &PATHS {
        for authorization in [None, Some(login.as_str()), Some("Bearer nonsense")] {
            let client = registry.anonymous();
            let request = client.request(method.clone(), *path).header("x-forwarded-for", OUTSIDE);
            let request = match authorization {
                Some(value) => request.header("authorization", value),
                None => request,
            };
            let refused = request.send().await;
            assert_eq!(refused.header("www-authenticate"), None, "{method} {path}");
            let message = format!(
                "client with IP '{OUTSIDE}' is not allowed access. \
                 Refer https://aka.ms/acr/firewall to grant access."
            );
            let refused = refused.expect_error(403, "DENIED");
            if *method != Method::HEAD {
                assert_eq!(refused.json()["errors"][0]["message"], message, "{method} {path}");
            }
        }
        let inside = ask(&registry.anonymous(), method, path, INSIDE).await;
        assert_ne!(inside.status, 403, "{method} {path}");
    }
    for path in ["/healthz", "/readyz"] {
        ask(&registry.anonymous(), &Method::GET, path, OUTSIDE).await.expect_status(200);
    }
}

#[tokio::test]
async fn a_change_of_the_rules_holds_at_once_and_for_one_registry() {
    let registry = TestRegistry::start_with(TRUSTING).await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let (default, mine) = (registry.client(), registry.client().with_host("myreg.localhost"));
    let status = async |client: &Client, from: &str| ask(client, &Method::GET, "/v2/", from).await.status.as_u16();
    let set = async |name: &'static str, value: Value| set_property(&registry, "default", name, value).await;
    assert_eq!(status(&mine, OUTSIDE).await, 200);
    let token = default.token(&[]).await.expect("a token");
    let default = registry.anonymous().with_bearer(&token);
    assert_eq!(status(&default, OUTSIDE).await, 200);
    set(property::NETWORK_RULE_SET, deny_all_but(&[INSIDE])).await;
    assert_eq!(status(&default, OUTSIDE).await, 403);
    assert_eq!(status(&default, INSIDE).await, 200);
    assert_eq!(status(&default, &format!("::ffff:{INSIDE}")).await, 200);
    assert_eq!(status(&default, "2001:db8::1").await, 403);
    assert_eq!(status(&mine, OUTSIDE).await, 200);
    set(property::NETWORK_RULE_SET, deny_all_but(&["198.51.100.0/31", "2001:db8::/32"])).await;
    assert_eq!(status(&default, OUTSIDE).await, 200);
    assert_eq!(status(&default, "2001:db8::1").await, 200);
    assert_eq!(status(&default, INSIDE).await, 403);
    set(property::PUBLIC_NETWORK_ACCESS, json!("Disabled")).await;
    assert_eq!(status(&default, OUTSIDE).await, 403);
    set(property::PUBLIC_NETWORK_ACCESS, json!("Enabled")).await;
    set(property::NETWORK_RULE_SET, json!({ "defaultAction": "Allow", "ipRules": [] })).await;
    assert_eq!(status(&default, INSIDE).await, 200);
}

#[tokio::test]
async fn nobody_talks_himself_in_by_a_header() {
    let registry = TestRegistry::start().await;
    set_property(&registry, "default", property::NETWORK_RULE_SET, deny_all_but(&[INSIDE])).await;
    let refused = ask(&registry.anonymous(), &Method::GET, "/v2/", INSIDE).await.expect_error(403, "DENIED");
    assert!(refused.text().contains("client with IP '127.0.0.1'"), "{}", refused.text());
    set_property(&registry, "default", property::NETWORK_RULE_SET, deny_all_but(&["127.0.0.1"])).await;
    ask(&registry.anonymous(), &Method::GET, "/v2/", OUTSIDE).await.expect_status(401);
}

/// A record that cannot be read opens nothing.
#[tokio::test]
async fn rules_that_are_damaged_let_nobody_in() {
    let registry = TestRegistry::start().await;
    set_property(&registry, "default", property::NETWORK_RULE_SET, json!({ "defaultAction": "Sometimes" })).await;
    registry.anonymous().get("/v2/").send().await.expect_error(403, "DENIED");
}
