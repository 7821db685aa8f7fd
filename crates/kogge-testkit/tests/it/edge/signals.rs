//! Health, readiness, metrics and the access log.

use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply, basic};
use kogge_testkit::process::Site;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::logins::wait_for_log;
use super::{PASSWORD, user};

/// Names and types of all metrics. They are an interface: dashboards and alarms name them.
const METRICS: &str = "
counter kogge_accept_failures
counter kogge_audit_dropped
counter kogge_audit_events
counter kogge_audit_folded
counter kogge_audit_write_failures
counter kogge_blob_pulls
counter kogge_blob_pushes
info kogge_build
counter kogge_connections
counter kogge_connections_cut_answer
counter kogge_connections_cut_handshake
counter kogge_connections_cut_head
counter kogge_connections_full
gauge kogge_connections_open
counter kogge_connections_rejected
counter kogge_gc_blobs_deleted
gauge kogge_gc_candidates
counter kogge_gc_freed_bytes
counter kogge_gc_runs
counter kogge_http_request_bytes
histogram kogge_http_request_duration_seconds
counter kogge_http_requests
gauge kogge_http_requests_in_flight
counter kogge_http_response_bytes
gauge kogge_journal_lag_rows
gauge kogge_journal_sequence
counter kogge_log_lines_dropped
counter kogge_login_failures
counter kogge_manifest_pulls
counter kogge_manifest_pushes
counter kogge_rate_limit_refusals
gauge kogge_rate_limit_waiting
counter kogge_rate_limit_waits
counter kogge_scrub_blobs_corrupt
counter kogge_scrub_bytes
counter kogge_tls_failures
counter kogge_upload_rereads
counter kogge_uploads_expired
counter process_cpu_seconds
gauge process_max_fds
gauge process_open_fds
gauge process_resident_memory_bytes
";

#[tokio::test]
async fn the_names_of_metrics_stay() {
    let registry = TestRegistry::start().await;
    registry.client().get("/v2/").send().await.expect_status(200);
    let reply = registry.anonymous().get("/metrics").send().await.expect_status(200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let reply = reply.expect_header("content-type", kind).expect_header("x-content-type-options", "nosniff");
    let text = reply.text().into_owned();
    let mut found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    found.sort_unstable();
    let found: String = found.into_iter().map(|(name, kind)| format!("{kind} {name}\n")).collect();
    assert_eq!(found.trim(), METRICS.trim());
    let line = r#"kogge_http_requests_total{route="base",method="GET",class="2xx"} "#;
    assert!(text.lines().any(|found| found.starts_with(line)), "{text}");
}

#[tokio::test]
async fn no_metric_carries_a_name_that_a_client_chose() {
    let registry = TestRegistry::start().await;
    for path in ["/v2/chosen-name/tags/list", "/chosen-name", "/acr/v1/chosen-name", "/v2/_catalog?n=chosen-name"] {
        registry.client().get(path).header("user-agent", "chosen-name").send().await;
        registry.client().request("CHOSEN-NAME".parse().expect("a method"), path).send().await;
    }
    let text = registry.anonymous().get("/metrics").send().await.text().to_lowercase();
    assert!(!text.contains("chosen-name"), "{text}");
}

#[tokio::test]
async fn health_and_readiness_are_for_everybody() {
    let registry = TestRegistry::start_with("[server]\ntrusted-proxies = ['127.0.0.1']").await;
    let client = registry.anonymous().with_host("any.host.org");
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        for bad in ["Bearer x", "Basic ***"] {
            let reply =
                client.get(path).header("authorization", bad).header("x-forwarded-for", "192.0.2.1").send().await;
            reply.expect_status(200).expect_body(body.as_bytes()).expect_header("x-content-type-options", "nosniff");
        }
        client.head(path).send().await.expect_status(200).expect_body(b"");
    }
}

/// Asks for the metrics from `from`, with `authorization` if it is not empty: who reads metrics sends a password with
/// the request and knows no challenges.
async fn metrics_from(client: &Client, from: &str, authorization: &str) -> Reply {
    let request = client.get("/metrics").header("x-forwarded-for", from);
    let request = if authorization.is_empty() { request } else { request.header("authorization", authorization) };
    request.send().await
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_who_runs_the_deployment() {
    let registry = TestRegistry::start_with("[server]\ntrusted-proxies = ['127.0.0.1']").await;
    let anonymous = registry.anonymous();
    anonymous.get("/metrics").send().await.expect_status(200);
    metrics_from(&anonymous, "127.0.0.1", "").await.expect_status(200);
    metrics_from(&anonymous, "::1", "").await.expect_status(200);
    let admin = basic("admin", registry.admin_password());
    for far in ["192.0.2.1", "192.0.2.1, 127.0.0.1", "127.0.0.1, 192.0.2.1", "2001:db8::1"] {
        let reply = metrics_from(&anonymous, far, "").await.expect_error(401, "UNAUTHORIZED");
        assert!(reply.header("www-authenticate").is_some());
        assert!(!reply.text().contains("kogge_"), "{}", reply.text());
        metrics_from(&anonymous, far, &admin).await.expect_status(200);
    }
    // A token is bounded to what its scopes say, and none says metrics.
    let token = registry.client().token(&["registry:catalog:*", "repository:a:*"]).await.expect("a token");
    metrics_from(&anonymous, "192.0.2.1", &format!("Bearer {token}")).await.expect_error(401, "UNAUTHORIZED");
    for (name, role, pattern) in
        [("puller", "AcrPull", "team/*"), ("pusher", "AcrPush", "*"), ("owner", "Owner", "team/*")]
    {
        user(&registry, name, role, pattern).await;
        let login = basic(name, PASSWORD);
        metrics_from(&anonymous, "192.0.2.1", &login).await.expect_error(401, "UNAUTHORIZED");
    }
}

/// A proxy on the same machine that nobody declared brings in the whole world from loopback.
#[tokio::test]
async fn a_proxy_that_is_not_trusted_does_not_open_the_metrics() {
    let registry = TestRegistry::start().await;
    registry.anonymous().get("/metrics").send().await.expect_status(200);
    for header in ["x-forwarded-for", "forwarded"] {
        let reply = registry.anonymous().get("/metrics").header(header, "for=192.0.2.1").send().await;
        reply.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_request_is_one_line_of_the_access_log() {
    let folder = TempDir::new().expect("a temporary folder");
    let site =
        Site::new(folder.path().join("data")).with("KOGGE_LOG_ACCESS", "stderr").with("KOGGE_LOG_FORMAT", "json");
    let process = site.with("KOGGE_SERVER_TRUSTED_PROXIES", "[\"127.0.0.1\"]").serve();
    let client = process.client();
    let token = client.token(&["repository:team/app:pull"]).await.expect("a token");
    let bearer = client.with_bearer(&token);
    let request = bearer.get("/v2/team/app/tags/list?n=5&last=a%22%0a&secret=x");
    let request = request.header("user-agent", "test \"agent\"").header("x-forwarded-for", "192.0.2.7");
    let reply = request.send().await.expect_status(404);
    let correlation = reply.header("x-ms-correlation-request-id").expect("a correlation id");
    let log = wait_for_log(&process, &correlation);
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&correlation)).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    let mut line: Value = serde_json::from_str(line).expect("JSON");
    for measured in ["timestamp", "duration_us"] {
        line.as_object_mut().expect("an object").remove(measured).unwrap_or_else(|| panic!("{measured}"));
    }
    let expected = json!({
        "level": "INFO", "target": "access", "correlation_id": correlation, "registry": "default",
        "client": "192.0.2.7", "method": "GET", "path": "/v2/team/app/tags/list?n=5&last=a%22%0a&secret=***",
        "route": "list_tags", "status": 404, "bytes_in": 0, "bytes_out": reply.body.len(), "principal": "admin",
        "user_agent": "test \"agent\"", "error": "NAME_UNKNOWN",
    });
    assert_eq!(line, expected);
    process.stop();
}
