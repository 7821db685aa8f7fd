//! Requests over a limit wait for their turn, or are told when to come again.

use std::time::{Duration, Instant};

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{HANGS, PASSWORD, bearer};

const SCOPE: &str = "repository:app:pull";

async fn read(client: &Client) -> kogge_testkit::http::Reply {
    client.get("/v2/app/tags/list").send().await
}

/// A client that comes with a token for `app`, which it has already.
async fn reader(registry: &TestRegistry) -> Client {
    let token = registry.client().token(&[SCOPE]).await.expect("a token");
    registry.anonymous().with_bearer(&token)
}

async fn metric(registry: &TestRegistry, name: &str) -> u64 {
    let reply = registry.anonymous().get("/metrics").send().await.expect_status(200);
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn who_is_far_over_the_limit_is_told_when_to_come_again() {
    let registry = TestRegistry::start_with("[rate-limit]\nidentity-reads = 3").await;
    let client = reader(&registry).await;
    // The client's ping for the token was a challenge, which does not count.
    for _ in 0..3 {
        read(&client).await.expect_error(404, "NAME_UNKNOWN");
    }
    let begun = Instant::now();
    let refused = read(&client).await.expect_error(429, "TOOMANYREQUESTS");
    assert!(begun.elapsed() < Duration::from_secs(5), "a wait that is in vain");
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time to wait");
    assert!((10..=20).contains(&wait), "{wait}");
    assert_eq!(refused.header("www-authenticate"), None);
    assert_eq!(metric(&registry, "kogge_rate_limit_refusals_total{category=\"read\"}").await, 1);
    // Other kinds of requests, and the node's own signals, are not concerned.
    registry.client().post("/v2/app/blobs/uploads/").send().await.expect_status(202);
    for path in ["/healthz", "/readyz", "/metrics"] {
        for _ in 0..10 {
            registry.anonymous().get(path).send().await.expect_status(200);
        }
    }
}

#[tokio::test]
async fn each_identity_has_its_own_limit_and_strangers_share_one() {
    let settings = "[rate-limit]\nidentity-reads = 2\n[login]\nanonymous-pull = true";
    let registry = TestRegistry::start_with(settings).await;
    registry.core().put_user("another", PASSWORD, &[]).await.expect("a user");
    let login = kogge_testkit::http::basic("another", PASSWORD);
    let anonymous = registry.anonymous().get("/oauth2/token?scope=repository:app:pull").send().await;
    let stranger = anonymous.json()["access_token"].as_str().expect("a token").to_owned();
    let basic = async |authorization: &str| {
        registry.anonymous().get("/v2/app/tags/list").header("authorization", authorization).send().await.status
    };
    let admin = bearer(&registry, &[SCOPE]).await;
    for (authorization, name) in
        [(admin.as_str(), "a token"), (login.as_str(), "a password"), (&format!("Bearer {stranger}"), "a stranger")]
    {
        assert_eq!([basic(authorization).await, basic(authorization).await], [404, 404], "{name}");
        assert_eq!(basic(authorization).await, 429, "{name}");
    }
    // Without a token at all one is a stranger like the others, and another token makes nobody somebody else.
    read(&registry.anonymous()).await.expect_status(429);
    assert_eq!(basic(&bearer(&registry, &["repository:app:pull,push"]).await).await, 429);
}

#[tokio::test]
async fn who_is_a_little_over_the_limit_waits() {
    let registry = TestRegistry::start_with("[rate-limit]\nidentity-reads = 30").await;
    let client = reader(&registry).await;
    let begun = Instant::now();
    for _ in 0..31 {
        read(&client).await.expect_error(404, "NAME_UNKNOWN");
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(metric(&registry, "kogge_rate_limit_waits_total{category=\"read\"}").await, 1);
}

/// Reads end with their clients; a write is a task of its own, which must not wait for nobody.
#[tokio::test]
async fn who_goes_away_does_not_wait_on() {
    let registry = TestRegistry::start_with("[rate-limit]\nidentity-reads = 12\nidentity-deletes = 12").await;
    let begun = Instant::now();
    let waiting = async |count: u64| {
        while metric(&registry, "kogge_rate_limit_waiting").await != count {
            assert!(begun.elapsed() < HANGS, "{count} do not come to wait");
        }
    };
    for (method, path, scope) in
        [(Method::GET, "/v2/app/tags/list", SCOPE), (Method::DELETE, "/v2/app/manifests/v1", "repository:app:delete")]
    {
        let token = registry.client().token(&[scope]).await.expect("a token");
        let client = registry.anonymous().with_bearer(&token);
        let drained = Instant::now();
        for _ in 0..12 {
            client.request(method.clone(), path).send().await.expect_status(404);
        }
        let mut stream = TcpStream::connect(registry.addr()).await.expect("connect");
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("send");
        waiting(1).await;
        drop(stream);
        waiting(0).await;
        // Its turn comes five seconds after the first request.
        assert!(drained.elapsed() < Duration::from_secs(5), "{method} waited for its turn: {:?}", drained.elapsed());
    }
    assert_eq!(metric(&registry, "kogge_rate_limit_refusals_total{category=\"read\"}").await, 0);
}

#[tokio::test]
async fn requests_for_tokens_have_the_registry_s_limit() {
    let registry = TestRegistry::start_with("[rate-limit]\nregistry-logins = 2").await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let ask = async |host: &str| registry.anonymous().with_host(host).get("/oauth2/token").send().await;
    ask("localhost").await.expect_status(200);
    ask("localhost").await.expect_status(200);
    let refused = ask("localhost").await.expect_error(429, "TOOMANYREQUESTS");
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time to wait");
    assert!((20..=30).contains(&wait), "{wait}");
    ask("myreg.localhost").await.expect_status(200);
}

#[tokio::test]
async fn referrers_have_a_limit_of_their_own_and_count_as_reads() {
    let registry = TestRegistry::start_with("[rate-limit]\nidentity-referrers = 2\nidentity-reads = 3").await;
    let client = reader(&registry).await;
    let digest = kogge_types::Digest::sha256(b"nothing");
    let list = async || client.get(format!("/v2/app/referrers/{digest}")).send().await.status;
    assert_eq!([list().await, list().await, list().await], [200, 200, 429]);
    read(&client).await.expect_error(404, "NAME_UNKNOWN");
    read(&client).await.expect_error(429, "TOOMANYREQUESTS");
}
