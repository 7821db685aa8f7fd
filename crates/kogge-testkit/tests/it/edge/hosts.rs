//! The management API, the directory, the authority and its pages answer under the deployment's own names, never under
//! a registry's: what a browser keeps for the one is never sent to the other.

use http::Method;
use kogge_arm::operations;
use kogge_server::route::Endpoint;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply};

use super::permissions::management_by;

const SETTINGS: &str = "[server]\ndomain = 'example.com'\ndefault-hosts = ['registry.example.net']\n\
    external-url = 'https://hub.example.org'\n";
const OWN: [&str; 6] =
    ["example.com", "example.com:443", "localhost:5000", "127.0.0.1", "[::1]:8443", "hub.example.org"];
/// Login servers, and hosts that are nobody's.
const OTHERS: [&str; 9] = [
    "default.example.com",
    "default.example.com:443",
    "myreg.example.com",
    "MyReg.Example.com.",
    "registry.example.net",
    "nobody.example.com",
    "management.example.com",
    "other.org",
    "example.com.other.org",
];
const PAGES: [Endpoint; 3] = [Endpoint::Authorize, Endpoint::DevicePage, Endpoint::Logout];

async fn start(settings: &str) -> TestRegistry {
    let registry = TestRegistry::start_with(&format!("{SETTINGS}{settings}")).await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), true).await.expect("a registry");
    registry
}

/// Everything that is no registry's: each operation of the management API, the directory's paths, and each end point of
/// the authority.
fn everything(registry: &TestRegistry) -> Vec<(Method, String)> {
    let subscription = registry.core().deployment().path();
    let segment = |segment: &str| match segment {
        "{scope}" => subscription.trim_matches('/').to_owned(),
        "{subscriptionId}" => subscription.rsplit('/').next().expect("an id").to_owned(),
        word if word.starts_with('{') => "default".to_owned(),
        word => word.to_owned(),
    };
    let mut all: Vec<_> = operations()
        .iter()
        .map(|operation| {
            let path: Vec<_> = operation.path().split('/').map(segment).collect();
            (operation.method().clone(), format!("{}?api-version=2025-11-01", path.join("/")))
        })
        .collect();
    all.push((Method::POST, "/v1.0/directoryObjects/getByIds".to_owned()));
    all.push((Method::GET, "/v1.0/users".to_owned()));
    // Paths that nothing answers are a login server's own 404.
    all.push((Method::GET, "/subscriptions/none/of/ours".to_owned()));
    for endpoint in Endpoint::ALL {
        all.extend([Method::GET, Method::HEAD, Method::POST, Method::PUT].map(|m| (m, endpoint.path().to_owned())));
    }
    all
}

async fn send(client: &Client, method: &Method, path: &str) -> Reply {
    let request = client.request(method.clone(), path).header("content-type", "application/json");
    let request = request.header("cookie", "kogge-form=00000000000000000000000000000000");
    if matches!(*method, Method::GET | Method::HEAD) { request.send().await } else { request.body("{}").send().await }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_registrys_answers_under_no_registrys_name() {
    let registry = start("").await;
    let owner = management_by(&registry.anonymous(), "admin", registry.admin_password(), "example.com").await;
    for (method, path) in everything(&registry) {
        let own = send(&registry.anonymous().with_host("example.com"), &method, &path).await;
        assert!(!own.text().contains("\"NOT_FOUND\""), "{method} {path}: {}", own.text());
        for host in OTHERS {
            for client in [registry.anonymous(), owner.clone()] {
                let what = format!("{method} {path} at {host}");
                let reply = send(&client.with_host(host), &method, &path).await;
                assert_eq!(reply.status, 404, "{what}: {}", reply.text());
                if method != Method::HEAD {
                    assert_eq!(reply.code(), "NOT_FOUND", "{what}: {}", reply.text());
                }
                for name in ["set-cookie", "www-authenticate", "location", "allow"] {
                    assert_eq!(reply.header(name), None, "{what}: {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_deployments_own_names_answer_all_of_it() {
    let registry = start("").await;
    for host in OWN {
        let client = registry.anonymous().with_host(host);
        client.get("/metadata/endpoints?api-version=2022-09-01").send().await.expect_status(200);
        client.get("/subscriptions?api-version=2022-12-01").send().await.expect_status(401);
        client.get("/v1.0/users").send().await.expect_status(401);
        client.get(Endpoint::Discovery.path()).send().await.expect_status(200);
        client.get(Endpoint::DevicePage.path()).send().await.expect_status(200);
    }
    // A header that anybody can send names no host.
    let client = registry.anonymous().with_host("myreg.example.com");
    for header in ["x-forwarded-host", "forwarded", "x-original-host"] {
        let value = if header == "forwarded" { "host=example.com" } else { "example.com" };
        client.get(Endpoint::Discovery.path()).header(header, value).send().await.expect_status(404);
    }
}

#[tokio::test]
async fn cookies_are_for_one_host_and_never_sent_along_from_another_site() {
    let registry = start("trusted-proxies = ['127.0.0.1']\n").await;
    let mut seen = 0;
    for scheme in ["http", "https"] {
        for (method, path) in everything(&registry) {
            let client = registry.anonymous().with_host("example.com");
            let request = client.request(method.clone(), &path).header("x-forwarded-proto", scheme);
            let reply = request.send().await;
            let is_page = PAGES.iter().any(|page| path == page.path());
            for cookie in reply.headers.get_all("set-cookie") {
                let cookie = cookie.to_str().expect("text").to_lowercase();
                assert!(is_page, "{method} {path} sets {cookie}");
                for attribute in ["; path=/", "; httponly", "; samesite=strict"] {
                    assert!(cookie.contains(attribute), "{path}: {attribute} in {cookie}");
                }
                assert!(!cookie.contains("domain"), "{path}: {cookie}");
                if scheme == "https" {
                    assert!(cookie.starts_with("__host-") && cookie.contains("; secure"), "{path}: {cookie}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 2 * PAGES.len(), "{seen} cookies");
    // No registry sets one at all.
    let myreg = registry.client().with_host("myreg.example.com");
    for path in ["/v2/", "/v2/_catalog", "/oauth2/token", "/acr/v1/_catalog", "/nowhere"] {
        assert_eq!(myreg.get(path).send().await.header("set-cookie"), None, "{path}");
    }
}
