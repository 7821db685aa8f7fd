//! What every answer carries, what HEAD leaves out, and which methods there are.

use std::collections::BTreeSet;

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed, Tree};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::Digest;

struct World {
    registry: TestRegistry,
    image: Tree,
}

impl World {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let image = ImageBuilder::new(&mut Seed::new(1)).build();
        Repository::new(&registry.client(), "team/app").push_tagged(&image, "latest").await;
        Self { registry, image }
    }

    /// Paths that are read, good and bad.
    async fn paths(&self) -> Vec<String> {
        let upload = Repository::new(&self.registry.client(), "team/app").start_upload().await;
        let (manifest, layer, absent) =
            (self.image.root().digest, self.image.blobs[1].digest, Digest::sha256(b"absent"));
        let mut paths = [
            "/v2/",
            "/v2",
            "/v2/_catalog",
            "/v2/_catalog?n=x",
            "/acr/v1/_catalog",
            "/acr/v1/team/app",
            "/acr/v1/team/app/_manifests",
            "/acr/v1/absent",
            "/nowhere",
            "/",
            "/v2/nowhere",
            "/healthz",
            "/readyz",
            "/oauth2/token",
            "/oauth2/exchange",
            "/%76%32/",
        ]
        .map(str::to_owned)
        .to_vec();
        let of_repository = [
            "tags/list".to_owned(),
            "tags/list?n=0".into(),
            "manifests/latest".into(),
            format!("manifests/{manifest}"),
            "manifests/absent".into(),
            "manifests/.bad".into(),
            format!("blobs/{layer}"),
            format!("blobs/{absent}"),
            "blobs/bad".into(),
            "blobs/uploads/".into(),
            "blobs/uploads/bad".into(),
            format!("referrers/{manifest}"),
            format!("referrers/{absent}"),
        ];
        paths.extend(of_repository.iter().map(|rest| format!("/v2/team/app/{rest}")));
        paths.extend(["/v2/absent/tags/list".to_owned(), "/v2/BAD/tags/list".into(), upload]);
        paths
    }
}

/// An answer's headers without those that differ between any two.
fn lasting(reply: &Reply) -> Vec<(String, String)> {
    let lasts = |name: &str| !matches!(name, "date" | "x-ms-correlation-request-id");
    let headers = reply.headers.iter().filter(|(name, _)| lasts(name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::start().await;
    for client in [world.registry.client(), world.registry.anonymous()] {
        for path in world.paths().await {
            let (get, head) = (client.get(&path).send().await, client.head(&path).send().await);
            assert_eq!(head.status, get.status, "{path}");
            assert!(head.body.is_empty(), "{path}");
            let has_content = get.status != 204;
            // A token is made anew each time, but is always as long.
            let (mut head, mut get) = (lasting(&head), lasting(&get));
            // An answer without content has no length to tell.
            if !has_content {
                head.retain(|(name, _)| name != "content-length");
                get.retain(|(name, _)| name != "content-length");
            }
            assert_eq!(head, get, "{path}");
        }
    }
}

fn check_headers(reply: &Reply, what: &str, met: &mut BTreeSet<String>) {
    assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{what}");
    let id = reply.header("x-ms-correlation-request-id").unwrap_or_else(|| panic!("{what}: no correlation id"));
    assert!(id.len() == 36 && met.insert(id.clone()), "{what}: {id} again");
    if what.contains(" /v2") || what.contains("%76") {
        let policy = "default-src 'none'; sandbox";
        assert_eq!(reply.header("content-security-policy").as_deref(), Some(policy), "{what}");
        assert_eq!(reply.header("docker-distribution-api-version").as_deref(), Some("registry/2.0"), "{what}");
    }
    assert_eq!(reply.header("server"), None, "{what}");
    assert_eq!(reply.header("x-powered-by"), None, "{what}");
}

#[tokio::test]
async fn every_answer_is_harmless_to_browsers_and_can_be_quoted() {
    let world = World::start().await;
    let mut met = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    for path in world.paths().await {
        for method in &methods {
            // Deletes come last: what they take is asked for by others.
            if *method == Method::DELETE {
                continue;
            }
            for client in [world.registry.client(), world.registry.anonymous()] {
                let reply = client.request(method.clone(), &path).send().await;
                check_headers(&reply, &format!("{method} {path}"), &mut met);
                seen.insert(reply.status.as_u16());
            }
        }
    }
    let client = world.registry.client();
    let blob = format!("/v2/team/app/blobs/{}", world.image.blobs[1].digest);
    for (header, value) in [
        ("range", "bytes=0-1"),
        ("range", "bytes=0-1,4-5"),
        ("range", "bytes=9999-"),
        ("if-none-match", "*"),
        ("if-match", "x"),
    ] {
        let reply = client.get(&blob).header(header, value).send().await;
        check_headers(&reply, &format!("GET {blob} {header}: {value}"), &mut met);
        seen.insert(reply.status.as_u16());
    }
    let upload = Repository::new(&client, "team/app").start_upload().await;
    for path in [upload.as_str(), "/v2/team/app/manifests/latest", "/acr/v1/team/app", "/acr/v1/team/app"] {
        let reply = client.delete(path).send().await;
        check_headers(&reply, &format!("DELETE {path}"), &mut met);
        seen.insert(reply.status.as_u16());
    }
    let huge = format!("/v2/team/app/manifests/x?tag={}", "&tag=y".repeat(40));
    let unknown_host = client.with_host("nobody.localhost").get("/v2/").send().await.expect_status(404);
    check_headers(&unknown_host, "GET /v2/ of nobody", &mut met);
    let bad_host = client.with_host("a b").get("/v2/").send().await.expect_status(400);
    check_headers(&bad_host, "GET /v2/ of a bad host", &mut met);
    client.put(huge).send().await.expect_status(400);
    for status in [200, 202, 204, 206, 304, 400, 401, 404, 405, 412, 416] {
        assert!(seen.contains(&status), "{status} was never met: {seen:?}");
    }
}

#[tokio::test]
async fn methods_that_are_not_there_say_which_are() {
    let world = World::start().await;
    let digest = Digest::sha256(b"x");
    let upload = Repository::new(&world.registry.client(), "team/app").start_upload().await;
    let cases = [
        ("/healthz".to_owned(), "GET, HEAD"),
        ("/v2/".to_owned(), "GET, HEAD"),
        ("/v2/_catalog".to_owned(), "GET, HEAD"),
        ("/oauth2/token".to_owned(), "GET, HEAD, POST"),
        ("/oauth2/exchange".to_owned(), "POST"),
        ("/v2/team/app/tags/list".to_owned(), "GET, HEAD"),
        ("/v2/team/app/manifests/latest".to_owned(), "GET, HEAD, PUT, DELETE"),
        (format!("/v2/team/app/blobs/{digest}"), "GET, HEAD, DELETE"),
        ("/v2/team/app/blobs/uploads/".to_owned(), "POST"),
        (upload, "GET, HEAD, PATCH, PUT, DELETE"),
        (format!("/v2/team/app/referrers/{digest}"), "GET, HEAD"),
        ("/acr/v1/team/app".to_owned(), "GET, HEAD, PATCH, DELETE"),
        ("/acr/v1/team/app/_manifests".to_owned(), "GET, HEAD"),
    ];
    for (path, allow) in cases {
        for method in ["OPTIONS", "TRACE", "PROPFIND", "LOCK", "get", "X", "PURGE"] {
            let method: Method = method.parse().expect("a method");
            for client in [world.registry.client(), world.registry.anonymous()] {
                let reply = client.request(method.clone(), &path).body("x").send().await;
                reply.expect_error(405, "UNSUPPORTED").expect_header("allow", allow);
            }
        }
    }
}

#[tokio::test]
async fn no_header_or_parameter_changes_the_method() {
    let world = World::start().await;
    let path = "/v2/team/app/manifests/latest";
    let client = world.registry.client();
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for request in [client.get(path), client.get(format!("{path}?_method=DELETE")), client.head(path)] {
            request.header(header, "DELETE").send().await.expect_status(200);
        }
        let post = client.post(path).header(header, "DELETE").body("_method=DELETE");
        post.send().await.expect_error(405, "UNSUPPORTED");
    }
    client.get(path).send().await.expect_status(200);
}

#[tokio::test]
async fn what_a_client_accepts_changes_nothing() {
    let world = World::start().await;
    let client = world.registry.client();
    let body = &world.image.root().bytes;
    for accept in [
        "",
        "*/*",
        "text/html",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/xml;q=0",
        ";;;",
        &"a/b,".repeat(5000),
    ] {
        let request =
            client.get("/v2/team/app/manifests/latest").header("accept", accept).header("accept-encoding", "gzip, br");
        let reply = request.send().await.expect_status(200).expect_body(body);
        let reply = reply.expect_header("content-type", &world.image.root().media_type);
        assert_eq!(reply.header("content-encoding"), None);
    }
}
