//! What proxies say is believed when they are trusted, and the outside name is told to clients.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::{Client, Reply};
use kogge_testkit::repository::Repository;
use serde_json::Value;

const TRUSTING: &str = "[server]\ndomain = 'example.com'\ntrusted-proxies = ['127.0.0.0/8', '10.0.0.0/8']";
const STRICT: &str = "[server]\ndomain = 'example.com'";

/// Headers of a request.
type Lines<'a> = &'a [(&'a str, &'a str)];

async fn challenge_of(client: &Client, headers: Lines<'_>) -> Reply {
    let request = client.get("/v2/");
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
}

fn challenge(url: &str, service: &str) -> String {
    format!("Bearer realm=\"{url}/oauth2/token\",service=\"{service}\"")
}

#[tokio::test]
async fn the_realm_is_what_a_trusted_proxy_says_it_is() {
    let registry = TestRegistry::start_with(TRUSTING).await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let client = registry.anonymous().with_host("backend:5000");
    let cases: &[(Lines<'_>, &str, &str)] = &[
        (&[("x-forwarded-host", "example.com"), ("x-forwarded-proto", "https")], "https://example.com", "example.com"),
        (
            &[("x-forwarded-host", "Example.Com:443"), ("x-forwarded-proto", "HTTPS")],
            "https://example.com",
            "example.com",
        ),
        (
            &[("x-forwarded-host", "myreg.example.com"), ("x-forwarded-proto", "https")],
            "https://myreg.example.com",
            "myreg.example.com",
        ),
        (
            &[("x-forwarded-host", "evil.org, example.com:8443"), ("x-forwarded-proto", "http, https")],
            "https://example.com:8443",
            "example.com:8443",
        ),
        (&[("x-forwarded-host", "example.com"), ("x-forwarded-proto", "gopher")], "http://example.com", "example.com"),
    ];
    for (headers, url, service) in cases {
        let reply = challenge_of(&client, headers).await.expect_status(401);
        assert_eq!(reply.header("www-authenticate"), Some(challenge(url, service)), "{headers:?}");
    }
    // A host that only the proxy made up is a host of nobody.
    challenge_of(&client, &[("x-forwarded-host", "evil.org")]).await.expect_error(404, "NAME_UNKNOWN");
    challenge_of(&client, &[]).await.expect_error(404, "NAME_UNKNOWN");
    // What is malformed is as good as absent, and never gets into a header.
    for bad in ["a b", "a\"b", "a,b/c", "user@example.com", ""] {
        challenge_of(&client, &[("x-forwarded-host", bad)]).await.expect_error(404, "NAME_UNKNOWN");
    }
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let registry = TestRegistry::start_with(STRICT).await;
    registry.core().put_registry(&"public".parse().expect("a name"), true).await.expect("a registry");
    let client = registry.anonymous().with_host("example.com");
    for headers in [
        &[("x-forwarded-host", "public.example.com"), ("x-forwarded-proto", "https")],
        &[("forwarded", "host=public.example.com;proto=https"), ("x-real-ip", "10.0.0.1")],
        &[("x-original-url", "/healthz"), ("x-rewrite-url", "/healthz")],
        &[("x-forwarded-prefix", "/registry"), ("x-forwarded-port", "8443")],
    ] {
        let reply = challenge_of(&client, headers).await.expect_status(401);
        let expected = challenge("http://example.com", "example.com");
        assert_eq!(reply.header("www-authenticate"), Some(expected), "{headers:?}");
    }
}

#[tokio::test]
async fn the_external_address_is_what_clients_are_told() {
    let settings =
        "[server]\ndomain = 'example.com'\nexternal-url = 'https://example.com:8443'\ntrusted-proxies = ['10.0.0.1']";
    let registry = TestRegistry::start_with(settings).await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), false).await.expect("a registry");
    let cases = [
        ("example.com", "https://example.com:8443", "example.com:8443"),
        ("127.0.0.1:5000", "https://example.com:8443", "example.com:8443"),
        ("myreg.example.com", "https://myreg.example.com:8443", "myreg.example.com:8443"),
    ];
    for (host, url, service) in cases {
        let client = registry.anonymous().with_host(host);
        let reply = challenge_of(&client, &[("x-forwarded-proto", "http")]).await.expect_status(401);
        assert_eq!(reply.header("www-authenticate"), Some(challenge(url, service)), "{host}");
    }
    // The name that picks the registry is the one that the client asked for.
    challenge_of(&registry.anonymous().with_host("nobody.example.com"), &[]).await.expect_error(404, "NAME_UNKNOWN");
    // A token that was made under the outside name is good at the inside one.
    let token = registry.client().with_host("example.com:8443").token(&["repository:a:pull"]).await.expect("a token");
    let inside = registry.anonymous().with_host("127.0.0.1").with_bearer(&token);
    inside.get("/v2/a/tags/list").send().await.expect_error(404, "NAME_UNKNOWN");
    let audience = claims(&token)["aud"].as_str().unwrap_or_default().to_owned();
    assert_eq!(audience, "example.com:8443");
}

/// The unverified middle of a token.
fn claims(token: &str) -> Value {
    use base64::Engine;
    let middle = token.split('.').nth(1).expect("a token of three parts");
    let bytes = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(middle).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A proxy may hide scheme, host and port: a relative address stays right.
#[tokio::test]
async fn locations_are_relative_whatever_the_host() {
    let registry = TestRegistry::start_with(TRUSTING).await;
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    let repository = Repository::new(&registry.client(), "team/app");
    repository.push_tagged(&image, "latest").await;
    let admin = kogge_testkit::http::basic("admin", registry.admin_password());
    let client = registry.anonymous();
    let blob = &image.blobs[0];
    let target = |rest: &str| format!("/v2/team/app/{rest}");
    for (request, status) in [
        (client.post(target("blobs/uploads/")), 202),
        (client.post(target(&format!("blobs/uploads/?mount={}&from=team/app", blob.digest))), 201),
        (client.post(target(&format!("blobs/uploads/?digest={}", blob.digest))).body(blob.bytes.clone()), 201),
        (
            client
                .put(target("manifests/two"))
                .header("content-type", &image.root().media_type)
                .body(image.root().bytes.clone()),
            201,
        ),
        (client.get(target("tags/list?n=1")), 200),
    ] {
        let request = request.header("x-forwarded-host", "example.com:8443").header("x-forwarded-proto", "https");
        let reply = request.header("authorization", &admin).send().await.expect_status(status);
        let shown = reply.header("location").or(reply.header("link")).expect("an address");
        assert!(shown.starts_with("/v2/") || shown.starts_with("</v2/"), "{shown}");
    }
}
