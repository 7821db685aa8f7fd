//! Guessing passwords: counted, slowed, and logged without what was guessed.

use std::time::Instant;

use kogge_testkit::TestRegistry;
use kogge_testkit::http::{basic, encode};
use kogge_testkit::process::{self, Site};
use kogge_types::limits::LOGIN_FAILURES_FREE;
use tempfile::TempDir;

/// The value of a metric without labels.
async fn metric(registry: &TestRegistry, name: &str) -> u64 {
    let reply = registry.anonymous().get("/metrics").send().await.expect_status(200);
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().expect("a number")
}

#[tokio::test]
async fn failures_are_counted_and_held_back_but_not_who_is_logged_in() {
    let registry = TestRegistry::start().await;
    let admin = basic("admin", registry.admin_password());
    let attempt = |authorization: String| {
        let client = registry.anonymous();
        async move { client.get("/v2/").header("authorization", authorization).send().await }
    };
    attempt(admin.clone()).await.expect_status(200);
    let free = u64::from(LOGIN_FAILURES_FREE);
    for number in 0..free {
        // Half of them guess at an account that does not exist: it is the address that fails.
        let name = if number % 2 == 0 { "admin" } else { "nobody" };
        attempt(basic(name, &format!("guess {number}"))).await.expect_error(401, "UNAUTHORIZED");
    }
    let mut failed = 0;
    loop {
        failed += 1;
        let reply = attempt(basic("another", "guess")).await;
        if reply.status == 429 {
            assert_eq!(reply.code(), "TOOMANYREQUESTS");
            let wait: u64 = reply.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time to wait");
            assert!((1..=5).contains(&wait), "{wait}");
            break;
        }
        reply.expect_error(401, "UNAUTHORIZED");
        // A slow machine may let the first, short delays pass.
        assert!(failed < 20, "nobody is held back");
    }
    assert_eq!(metric(&registry, "kogge_login_failures_total").await, free + failed);
    // Who is logged in already is not held back, nor who comes with a token.
    attempt(admin).await.expect_status(200);
    let token = registry.client().token(&[]).await.expect("a token");
    attempt(format!("Bearer {token}")).await.expect_status(200);
}

#[tokio::test]
async fn tokens_that_are_refused_are_counted_too() {
    let registry = TestRegistry::start().await;
    for path in ["/oauth2/token", "/oauth2/exchange"] {
        let form = "grant_type=refresh_token&refresh_token=guess";
        registry.anonymous().post(path).body(form).send().await.expect_status(401);
    }
    registry.anonymous().with_bearer("a.b.c").get("/v2/").send().await.expect_status(401);
    assert_eq!(metric(&registry, "kogge_login_failures_total").await, 3);
}

/// Nobody, who gets tokens too, has the server sign and remember whatever he likes.
#[tokio::test]
async fn a_token_names_no_endless_service() {
    let registry = TestRegistry::start().await;
    for (length, status) in [(256, 200), (257, 400)] {
        let service = "x".repeat(length);
        let form = format!("grant_type=password&service={service}");
        registry.anonymous().post("/oauth2/token").body(form).send().await.expect_status(status);
        registry.anonymous().get(format!("/oauth2/token?service={service}")).send().await.expect_status(status);
    }
}

/// An attacker at one address must not lock out whoever else comes through the same proxy.
#[tokio::test]
async fn one_client_s_failures_are_not_another_s() {
    let registry = TestRegistry::start_with("[server]\ntrusted-proxies = ['127.0.0.1']").await;
    let client = registry.anonymous();
    let attempt = async |from: &str, authorization: String| {
        let request = client.get("/v2/").header("x-forwarded-for", from).header("authorization", authorization);
        request.send().await.status.as_u16()
    };
    let mut last = 0;
    for number in 0..LOGIN_FAILURES_FREE + 15 {
        last = attempt("192.0.2.1", basic("admin", &format!("guess {number}"))).await;
    }
    assert_eq!(last, 429);
    assert_eq!(attempt("192.0.2.2", basic("admin", registry.admin_password())).await, 200);
    assert_eq!(attempt("192.0.2.3", basic("admin", "a typing error")).await, 401);
}

/// Everything that a client shows of itself goes by, at the finest level of the log; none of it is written down.
#[tokio::test]
async fn no_secret_is_ever_in_a_log() {
    let folder = TempDir::new().expect("a temporary folder");
    let site = Site::new(folder.path().join("data")).with("KOGGE_LOG_ACCESS", "stderr");
    let process = site.with("KOGGE_LOG_FORMAT", "json").with("KOGGE_LOG_FILTER", "trace,h2=info").serve();
    let client = process.client();
    client.get("/v2/the/first/tags/list").send().await;
    let token = client.token(&["repository:a:pull"]).await.expect("a token");
    let login = basic("admin", process::PASSWORD);
    let anonymous = kogge_testkit::http::Client::new(process.addr());
    let reply = anonymous.get("/oauth2/token?offline_token=true").header("authorization", &login).send().await;
    let refresh = reply.json()["refresh_token"].as_str().expect("a token").to_owned();
    let guess = "Guessed-Secret-0123456789";
    let mut secrets = vec![guess.to_owned(), process::PASSWORD.to_owned(), encode(process::PASSWORD), login.clone()];
    secrets.extend([&token, &refresh].map(|token| token.rsplit('.').next().expect("a signature").to_owned()));
    for form in [
        format!("grant_type=password&username=admin&password={guess}"),
        format!("grant_type=refresh_token&refresh_token={guess}"),
        format!("grant_type=refresh_token&refresh_token={refresh}"),
    ] {
        anonymous.post("/oauth2/token").body(form.clone()).send().await;
        anonymous.post("/oauth2/exchange").body(form.clone()).send().await;
        anonymous.post(format!("/oauth2/token?{form}")).send().await;
        anonymous.get(format!("/oauth2/token?{form}")).send().await;
    }
    for authorization in
        [format!("Bearer {guess}"), format!("Basic {guess}"), basic("admin", guess), basic(guess, ""), guess.into()]
    {
        anonymous.get("/v2/a/tags/list").header("authorization", authorization).send().await;
    }
    anonymous.with_bearer(&token).get(format!("/v2/a/tags/list?access_token={token}&sig={guess}")).send().await;
    anonymous.get("/v2/the/last/tags/list").send().await.expect_status(401);
    let log = wait_for_log(&process, "/v2/the/last/tags/list");
    // All of it is there to be looked at: the log that is kept has its bound.
    assert!(log.contains("/v2/the/first/tags/list"), "{} bytes of log are too many", log.len());
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
    assert!(log.contains("a login was refused"), "{log}");
    process.stop();
}

/// The log once it holds `text`.
pub(super) fn wait_for_log(process: &process::Process, text: &str) -> String {
    let begun = Instant::now();
    loop {
        let log = process.log();
        if log.contains(text) {
            return log;
        }
        assert!(begun.elapsed() < super::HANGS, "{text} is not in {log}");
        std::thread::yield_now();
    }
}
