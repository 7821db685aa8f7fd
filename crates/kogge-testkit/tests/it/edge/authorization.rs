//! Every path with every method, by everybody who may not, and by who just may. An operation without a rule here
//! fails the test.

use std::collections::BTreeSet;

use http::Method;
use kogge_server::route::{NAMES, Route};
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Item, Seed};
use kogge_testkit::http::{Client, Reply, basic};
use kogge_testkit::repository::Repository;
use kogge_types::media_type::{OCI_MANIFEST, OCTET_STREAM};
use kogge_types::{Algorithm, Digest};
use serde_json::{Value, json};

use super::{PASSWORD, user};

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing.
    Open,
    /// To be somebody.
    Identity,
    /// This scope; the challenge names it.
    Scope(&'static str),
    /// What a table of its own says, since they are no registry's: the management API's (`permissions::operations`) and
    /// the authority's (`authority::routes`).
    Elsewhere,
}

/// The rule of each operation, by name. One that is not here has no rule, and fails.
fn rule(operation: &str) -> Rule {
    match operation {
        "health" | "ready" | "metrics" | "get_token" | "post_token" | "exchange_token" | "unknown" => Rule::Open,
        "base" => Rule::Identity,
        "list_catalog" => Rule::Scope("registry:catalog:*"),
        "list_tags" | "get_manifest" | "get_blob" | "list_referrers" => Rule::Scope("repository:{name}:pull"),
        "put_manifest" | "start_upload" | "get_upload" | "patch_upload" | "put_upload" | "delete_upload" => {
            Rule::Scope("repository:{name}:pull,push")
        }
        // To push is enough for what refers to another manifest, which nothing here does.
        "delete_manifest" => Rule::Scope("repository:{name}:push,delete"),
        "delete_blob" | "delete_repository" | "delete_tag" => Rule::Scope("repository:{name}:delete"),
        "get_repository"
        | "list_manifests"
        | "get_manifest_attributes"
        | "list_tag_attributes"
        | "get_tag_attributes" => Rule::Scope("repository:{name}:metadata_read"),
        "patch_repository" | "patch_manifest_attributes" | "patch_tag_attributes" => {
            Rule::Scope("repository:{name}:metadata_write")
        }
        "read_management" | "write_management" | "get_authority" | "post_authority" => Rule::Elsewhere,
        new => panic!("{new} has no rule: say here who may do it"),
    }
}

/// Another action that is enough for an operation.
fn alternative(operation: &str) -> Option<&'static str> {
    (operation == "list_tags").then_some("metadata_read")
}

/// A registry with one image, and what its paths are made of.
struct World {
    registry: TestRegistry,
    image: Item,
    layer: Item,
}

impl World {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let tree = ImageBuilder::new(&mut Seed::new(1)).build();
        Repository::new(&registry.client(), "team/app").push_tagged(&tree, "latest").await;
        Self { image: tree.root().clone(), layer: tree.blobs[1].clone(), registry }
    }

    /// One path for each route, with `{name}` for the repository.
    async fn paths(&self) -> Vec<String> {
        let upload = Repository::new(&self.registry.client(), "team/app").start_upload().await;
        let (image, layer) = (self.image.digest, self.layer.digest);
        let fixed = ["/healthz", "/readyz", "/metrics", "/oauth2/token", "/oauth2/exchange", "/v2/", "/v2", "/nowhere"];
        let of_repository = [
            "/v2/_catalog".to_owned(),
            "/acr/v1/_catalog".to_owned(),
            "/v2/{name}/tags/list".to_owned(),
            "/v2/{name}/manifests/latest".to_owned(),
            format!("/v2/{{name}}/manifests/{image}"),
            format!("/v2/{{name}}/blobs/{layer}"),
            "/v2/{name}/blobs/uploads/".to_owned(),
            upload.replace("team/app", "{name}"),
            format!("/v2/{{name}}/referrers/{image}"),
            "/acr/v1/{name}".to_owned(),
            "/acr/v1/{name}/_tags".to_owned(),
            "/acr/v1/{name}/_tags/latest".to_owned(),
            "/acr/v1/{name}/_manifests".to_owned(),
            format!("/acr/v1/{{name}}/_manifests/{image}"),
        ];
        fixed.map(str::to_owned).into_iter().chain(of_repository).collect()
    }

    /// The exact challenge for `rule` upon `name`.
    fn challenge(&self, rule: Rule, name: &str, insufficient: bool) -> String {
        let host = self.registry.addr();
        let scope = match rule {
            Rule::Scope(scope) => format!(",scope=\"{}\"", scope.replace("{name}", name)),
            Rule::Open | Rule::Identity | Rule::Elsewhere => String::new(),
        };
        let error = if insufficient { ",error=\"insufficient_scope\"" } else { "" };
        format!("Bearer realm=\"http://{host}/oauth2/token\",service=\"{host}\"{scope}{error}")
    }
}

fn operation(path: &str, method: &Method) -> Result<&'static str, &'static str> {
    let path = path.split('?').next().unwrap_or_default().replace("{name}", "team/app");
    match Route::parse(&path).map(|route| route.operation(method)) {
        Ok(Ok(operation)) => Ok(operation.name()),
        Ok(Err(error)) => Err(error.allow.expect("a wrong method says the right ones")),
        Err(_) => Ok("unknown"),
    }
}

/// Somebody who asks: with what header, and whether it was good for something.
struct Stranger {
    who: &'static str,
    authorization: Option<String>,
    insufficient: bool,
}

/// Everybody who may do neither `scope` nor `alternative` at `team/app`.
async fn strangers(world: &World, scope: &str, alternative: Option<&str>) -> Vec<Stranger> {
    let registry = &world.registry;
    registry.core().put_registry(&"other".parse().expect("a name"), false).await.expect("a registry");
    let admin = registry.client();
    let token = async |client: &Client, scopes: &[&str]| {
        Some(format!("Bearer {}", client.token(scopes).await.expect("a token")))
    };
    let every = ["pull", "push", "delete", "metadata_read", "metadata_write"];
    // Who pushes is offered to pull too, but it is the right to push that is asked for.
    let needed = scope.rsplit([':', ',']).next().unwrap_or_default();
    let others: Vec<_> = every.into_iter().filter(|action| *action != needed && Some(*action) != alternative).collect();
    let mut wrong = vec![format!("repository:team/app:{}", others.join(","))];
    if needed != "*" {
        wrong.push("registry:catalog:*".to_owned());
    }
    let wrong: Vec<_> = wrong.iter().map(String::as_str).collect();
    let elsewhere = ["repository:team/app2:*", "repository:team:*", "repository:team/app/sub:*", "repository:app:*"];
    let good = scope.replace("{name}", "team/app");
    user(registry, "pusher", "AcrPush", "elsewhere/*").await;
    let mut strangers = vec![
        Stranger { who: "nobody", authorization: None, insufficient: false },
        Stranger { who: "wrong scope", authorization: token(&admin, &wrong).await, insufficient: true },
        Stranger { who: "no scope", authorization: token(&admin, &[]).await, insufficient: true },
        Stranger { who: "other repository", authorization: token(&admin, &elsewhere).await, insufficient: true },
        Stranger {
            who: "other registry",
            authorization: token(&admin.with_host("other.localhost"), &[&good]).await,
            insufficient: false,
        },
        Stranger { who: "no token", authorization: Some("Bearer nonsense".into()), insufficient: false },
        Stranger { who: "malformed", authorization: Some("Basic ***".into()), insufficient: false },
    ];
    if needed != "*" {
        let authorization = Some(basic("pusher", PASSWORD));
        strangers.push(Stranger { who: "role elsewhere", authorization, insufficient: true });
    }
    strangers
}

async fn send(registry: &TestRegistry, method: &Method, path: &str, authorization: Option<&str>) -> Reply {
    let client = registry.anonymous();
    let request = client.request(method.clone(), path);
    let request = match authorization {
        Some(authorization) => request.header("authorization", authorization),
        None => request,
    };
    request.send().await
}

#[tokio::test]
async fn who_may_not_learns_nothing_whatever_is_there() {
    let world = World::start().await;
    let paths = world.paths().await;
    let mut tried = BTreeSet::new();
    for (scope, other) in [
        ("repository:{name}:pull", None),
        ("repository:{name}:pull", Some("metadata_read")),
        ("repository:{name}:pull,push", None),
        ("repository:{name}:push,delete", None),
        ("repository:{name}:delete", None),
        ("repository:{name}:metadata_read", None),
        ("repository:{name}:metadata_write", None),
        ("registry:catalog:*", None),
    ] {
        let strangers = strangers(&world, scope, other).await;
        for (path, method) in paths.iter().flat_map(|path| METHODS.iter().map(move |method| (path, method))) {
            let Ok(operation) = operation(path, method) else { continue };
            if rule(operation) != Rule::Scope(scope) || alternative(operation) != other {
                continue;
            }
            tried.insert(operation);
            for stranger in &strangers {
                let what = format!("{method} {path} by {}", stranger.who);
                let mut seen = Vec::new();
                for name in ["team/app", "team/not"] {
                    let path = path.replace("{name}", name);
                    let reply = send(&world.registry, method, &path, stranger.authorization.as_deref()).await;
                    assert_eq!(reply.status, 401, "{what}: {}", reply.text());
                    let challenge = reply.header("www-authenticate").unwrap_or_default();
                    assert_eq!(challenge, world.challenge(Rule::Scope(scope), name, stranger.insufficient), "{what}");
                    seen.push((shape(&reply), reply.text().replace(name, "{name}")));
                }
                assert_eq!(seen[0], seen[1], "{what}: what is there looks other than what is not");
                if *method != Method::HEAD {
                    let body: Value = serde_json::from_str(&seen[0].1).expect(&what);
                    assert_eq!(body["errors"][0], refusal(scope), "{what}");
                }
            }
        }
    }
    assert_eq!(tried, guarded(), "an operation whose scope nobody lacks here");
}

/// The operations that take a right.
fn guarded() -> BTreeSet<&'static str> {
    NAMES.iter().filter(|name| matches!(rule(name), Rule::Scope(_))).copied().collect()
}

/// The headers of an answer that a client could tell two answers apart by.
fn shape(reply: &Reply) -> Vec<(String, String)> {
    let same = |name: &str| !matches!(name, "date" | "x-ms-correlation-request-id" | "www-authenticate");
    let headers = reply.headers.iter().filter(|(name, _)| same(name.as_str()));
    headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// ACR's error for a missing right: which one, on what.
fn refusal(scope: &str) -> Value {
    let (rest, actions) = scope.rsplit_once(':').expect("a scope");
    let (kind, name) = rest.split_once(':').expect("a scope");
    json!({"code": "UNAUTHORIZED", "message": "authentication required",
        "detail": [{"Type": kind, "Name": name, "Action": actions}]})
}

#[tokio::test]
async fn every_operation_has_a_rule_and_other_methods_are_refused_before_any_login() {
    let world = World::start().await;
    let mut met = BTreeSet::new();
    for path in world.paths().await {
        let path = path.replace("{name}", "team/app");
        for method in METHODS.into_iter().chain([Method::OPTIONS, Method::TRACE, Method::CONNECT]) {
            match operation(&path, &method) {
                Ok(operation) => {
                    rule(operation);
                    met.insert(operation);
                }
                Err(allow) => {
                    // A proxy's target; over HTTP/1.1 it is no path at all.
                    if method == Method::CONNECT {
                        continue;
                    }
                    let reply = send(&world.registry, &method, &path, None).await;
                    assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text());
                    assert_eq!(reply.header("allow").as_deref(), Some(allow), "{method} {path}");
                    let code = if method == Method::HEAD { "" } else { "UNSUPPORTED" };
                    assert_eq!(reply.code(), code, "{method} {path}");
                }
            }
        }
    }
    let ours = NAMES.iter().filter(|name| rule(name) != Rule::Elsewhere);
    assert_eq!(met, ours.copied().collect(), "an operation that no path here leads to");
}

#[tokio::test]
async fn the_right_scope_and_nothing_more_is_enough() {
    let World { registry, image, layer } = World::start().await;
    let loose = Item::new(Algorithm::Sha256, OCTET_STREAM, "a blob that no manifest names");
    let repository = Repository::new(&registry.client(), "team/app");
    repository.push_blob(&loose).await;
    let (patched, cancelled) = (repository.start_upload().await, repository.start_upload().await);
    let (pull, push) = ("repository:team/app:pull", "repository:team/app:push");
    let (delete, read) = ("repository:team/app:delete", "repository:team/app:metadata_read");
    let write = "repository:team/app:metadata_write";
    let path = |rest: &str| format!("/v2/team/app/{rest}");
    let acr = |rest: &str| format!("/acr/v1/team/app{rest}");
    let manifest = format!("/_manifests/{}", image.digest);
    let close = format!("{patched}?digest={}", Digest::sha256(b"chunk"));
    let cases: Vec<(&str, Method, String, &str, u16)> = vec![
        ("list_catalog", Method::GET, "/v2/_catalog".into(), "registry:catalog:*", 200),
        ("list_catalog", Method::GET, "/acr/v1/_catalog".into(), "registry:catalog:*", 200),
        ("list_tags", Method::GET, path("tags/list"), pull, 200),
        ("list_tags", Method::GET, path("tags/list"), read, 200),
        ("get_manifest", Method::GET, path("manifests/latest"), pull, 200),
        ("get_blob", Method::GET, path(&format!("blobs/{}", layer.digest)), pull, 200),
        ("list_referrers", Method::GET, path(&format!("referrers/{}", image.digest)), pull, 200),
        ("put_manifest", Method::PUT, path("manifests/again"), push, 201),
        ("start_upload", Method::POST, path("blobs/uploads/"), push, 202),
        ("patch_upload", Method::PATCH, patched.clone(), push, 202),
        ("get_upload", Method::GET, patched, push, 204),
        ("put_upload", Method::PUT, close, push, 201),
        ("delete_upload", Method::DELETE, cancelled, push, 204),
        ("get_repository", Method::GET, "/acr/v1/team/app".into(), read, 200),
        ("list_manifests", Method::GET, acr("/_manifests"), read, 200),
        ("get_manifest_attributes", Method::GET, acr(&manifest), read, 200),
        ("list_tag_attributes", Method::GET, acr("/_tags"), read, 200),
        ("get_tag_attributes", Method::GET, acr("/_tags/latest"), read, 200),
        ("patch_repository", Method::PATCH, acr(""), write, 200),
        ("patch_manifest_attributes", Method::PATCH, acr(&manifest), write, 200),
        ("patch_tag_attributes", Method::PATCH, acr("/_tags/latest"), write, 200),
        ("delete_tag", Method::DELETE, acr("/_tags/latest"), delete, 202),
        ("delete_blob", Method::DELETE, path(&format!("blobs/{}", loose.digest)), delete, 202),
        ("delete_manifest", Method::DELETE, path("manifests/again"), delete, 202),
        ("delete_repository", Method::DELETE, "/acr/v1/team/app".into(), delete, 202),
    ];
    assert_eq!(
        cases.iter().map(|case| case.0).collect::<BTreeSet<_>>(),
        guarded(),
        "an operation that nobody tries here"
    );
    for (name, method, path, scope, status) in cases {
        assert_eq!(operation(&path, &method), Ok(name));
        let token = registry.client().token(&[scope]).await.expect("a token");
        let client = registry.anonymous().with_bearer(&token);
        let request = client.request(method.clone(), &path);
        let request = match name {
            "put_manifest" => request.header("content-type", OCI_MANIFEST).body(image.bytes.clone()),
            "patch_upload" => request.body("chunk"),
            name if name.starts_with("patch") => request.body("{}"),
            _ => request,
        };
        request.send().await.expect_status(status);
    }
}

#[tokio::test]
async fn the_base_wants_an_identity_and_any_will_do() {
    let world = World::start().await;
    let registry = &world.registry;
    let any = [
        Some(basic("admin", registry.admin_password())),
        Some(format!("Bearer {}", registry.client().token(&[]).await.expect("a token"))),
        Some(format!("Bearer {}", registry.client().token(&["repository:a:pull"]).await.expect("a token"))),
    ];
    for method in [Method::GET, Method::HEAD] {
        for authorization in &any {
            send(registry, &method, "/v2/", authorization.as_deref()).await.expect_status(200);
        }
        let reply = send(registry, &method, "/v2/", None).await.expect_status(401);
        reply.expect_header("www-authenticate", world.challenge(Rule::Identity, "", false));
        for bad in ["Bearer nonsense", "Bearer", "Basic ***", "Basic ", "Digest username=\"admin\"", ""] {
            send(registry, &method, "/v2/", Some(bad)).await.expect_status(401);
        }
    }
}
