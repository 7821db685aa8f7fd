//! The audit: who did what, each once, why not, and never a secret.

use kogge_core::audit::{AuditQuery, Kind, Order, Record};
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use kogge_testkit::http::basic;
use kogge_testkit::repository::Repository;

use super::{PASSWORD, user};

async fn events(registry: &TestRegistry, kind: Kind) -> Vec<Record> {
    let query = AuditQuery { kinds: vec![kind], order: Order::OldestFirst, limit: 1_000, ..AuditQuery::default() };
    let page = registry.core().audit().query(query).await.expect("the audit answers");
    assert!(!page.more, "more events than a test should make");
    page.records
}

fn columns<'a>(records: &'a [Record], names: &[&str]) -> Vec<Vec<&'a str>> {
    records.iter().map(|record| names.iter().map(|name| record.text(name)).collect()).collect()
}

#[tokio::test]
async fn pulls_pushes_and_deletes_are_told_once_each() {
    let registry = TestRegistry::start().await;
    let repository = Repository::new(&registry.client(), "team/app");
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    let digest = image.root().digest.to_string();
    repository.push_tagged(&image, "v1").await;
    repository.put_manifest("v2", image.root()).await.expect_status(201);
    repository.get_manifest("v1").await.expect_status(200);
    repository.head_manifest("v1").await.expect_status(200);
    repository.get_manifest("missing").await.expect_status(404);
    repository.delete_manifest("v2").await.expect_status(202);
    registry.client().delete("/acr/v1/team/app/_tags/v1").send().await.expect_status(202);
    repository.delete_manifest(&digest).await.expect_status(202);
    repository.push_tagged(&image, "v1").await;
    registry.client().delete("/acr/v1/team/app").send().await.expect_status(202);
    let told = events(&registry, Kind::Repository).await;
    let rows = columns(&told, &["OperationName", "Tag", "Digest", "ResultDescription"]);
    assert_eq!(
        rows,
        [
            ["Push", "", &digest, "201"],
            ["Push", "v1", &digest, "201"],
            ["Push", "v2", &digest, "201"],
            ["Pull", "v1", &digest, "200"],
            ["Pull", "missing", "", "404"],
            ["Untag", "v2", "", "202"],
            ["Untag", "v1", "", "202"],
            ["Delete", "", &digest, "202"],
            ["Push", "", &digest, "201"],
            ["Push", "v1", &digest, "201"],
            ["Delete", "", "", "202"],
        ]
    );
    let push = &told[0];
    assert_eq!(push.columns["Size"], image.root().bytes.len());
    for (column, expected) in [
        ("Identity", "admin"),
        ("CallerIpAddress", "127.0.0.1"),
        ("Repository", "team/app"),
        ("Registry", "default"),
        ("Region", "home"),
        ("MediaType", "application/vnd.oci.image.manifest.v1+json"),
    ] {
        assert_eq!(push.text(column), expected, "{column}");
    }
    assert_eq!(push.text("UserTenantId"), registry.core().deployment().tenant);
    assert_eq!(events(&registry, Kind::Denial).await, []);
}

#[tokio::test]
async fn every_denial_says_why() {
    let registry = TestRegistry::start().await;
    let reader = user(&registry, "reader", "AcrPull", "team/*").await;
    let anonymous = registry.anonymous();
    anonymous.get("/v2/").send().await.expect_status(401);
    anonymous.get("/v2/team/app/manifests/v1").send().await.expect_status(401);
    let shown = |name, password| ("authorization", basic(name, password));
    for name in ["reader", "nobody"] {
        let (header, value) = shown(name, "wrong");
        anonymous.get("/v2/team/app/tags/list").header(header, value).send().await.expect_status(401);
    }
    let (header, value) = shown("reader", PASSWORD);
    anonymous.post("/v2/team/app/blobs/uploads/").header(header, value).send().await.expect_status(401);
    let token = reader.token(&["repository:team/app:pull,push"]).await.expect("a token");
    let bearer = anonymous.with_bearer(&token);
    bearer.post("/v2/team/app/blobs/uploads/").send().await.expect_status(401);
    // A token for something else is no denial: the client is told which one to ask for.
    bearer.get("/v2/team/other/tags/list").send().await.expect_status(401);
    let image = ImageBuilder::new(&mut Seed::new(2)).build();
    let repository = Repository::new(&registry.client(), "team/app");
    repository.push_tagged(&image, "v1").await;
    let lock = r#"{"writeEnabled":false,"deleteEnabled":false}"#;
    registry.client().patch("/acr/v1/team/app/_tags/v1").body(lock).send().await.expect_status(200);
    repository.delete_manifest("v1").await.expect_status(405);
    let denials = events(&registry, Kind::Denial).await;
    assert_eq!(
        columns(&denials, &["OperationName", "Identity", "Repository", "Reason", "Detail"]),
        [
            ["list_tags", "reader", "team/app", "Authentication", "the credential is not good"],
            ["list_tags", "", "team/app", "Authentication", "the credential is not good"],
            ["start_upload", "reader", "team/app", "Policy", "no role of the principal allows it"],
            ["start_upload", "reader", "team/app", "Policy", "no role of the principal allows it"],
            ["delete_manifest", "admin", "team/app", "Lock", "it is locked"],
        ]
    );
}

#[tokio::test]
async fn logins_are_told_with_who_and_how_they_ended() {
    let registry = TestRegistry::start().await;
    registry.client().token(&["registry:catalog:*"]).await.expect("a token");
    let anonymous = registry.anonymous();
    let login = |form: &'static str| anonymous.post("/oauth2/token").body(form).send();
    login("grant_type=password&service=s&username=admin&password=hunter2").await.expect_status(401);
    login("grant_type=password&service=s&username=hunter2&password=hunter2").await.expect_status(401);
    login("grant_type=refresh_token&service=s&refresh_token=hunter2").await.expect_status(401);
    let told = events(&registry, Kind::Login).await;
    assert_eq!(
        columns(&told, &["Identity", "ResultDescription", "Reason"]),
        [
            ["admin", "200", ""],
            ["admin", "401", "Authentication"],
            ["", "401", "Authentication"],
            ["", "401", "Authentication"]
        ]
    );
    assert!(!told[0].text("JwtId").is_empty());
}

#[tokio::test]
async fn no_secret_reaches_the_files() {
    let registry = TestRegistry::start().await;
    let reader = user(&registry, "reader", "AcrPull", "*").await;
    let token = reader.token(&["repository:app:pull"]).await.expect("a token");
    let secret = "hunter2hunter2";
    let anonymous = registry.anonymous();
    for path in ["/v2/", "/v2/app/manifests/v1", "/oauth2/token", "/acr/v1/app", "/subscriptions", "/nowhere"] {
        let path = format!("{path}?sig={secret}&password={secret}&refresh_token={secret}&tag={secret}&code={secret}");
        let cookie = format!("session={secret}");
        anonymous.with_bearer(secret).get(path.clone()).header("cookie", cookie).send().await;
        let form = format!("grant_type=password&username={secret}&password={secret}");
        anonymous.post(path.clone()).body(form).send().await;
        anonymous.with_bearer(&token).get(path).send().await;
    }
    for authorization in [basic("admin", secret), basic(secret, secret)] {
        anonymous.get("/v2/app/tags/list").header("authorization", authorization).send().await;
    }
    assert!(registry.core().audit().flush().await);
    assert!(events(&registry, Kind::Denial).await.len() > 3);
    let mut files = 0;
    for entry in std::fs::read_dir(registry.data_dir().join("audit")).expect("the audit's folder") {
        let text = std::fs::read(entry.expect("an entry").path()).expect("a file");
        let text = String::from_utf8(text).expect("UTF-8");
        for secret in [secret, PASSWORD, registry.admin_password(), token.as_str()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        files += 1;
    }
    assert!(files > 0);
}

#[tokio::test]
async fn the_audit_can_be_turned_off() {
    let registry = TestRegistry::start_with("[audit]\noutput = 'off'").await;
    registry.client().get("/v2/").send().await.expect_status(200);
    assert!(registry.core().audit().query(AuditQuery::default()).await.is_err());
    assert!(!registry.data_dir().join("audit").exists());
}
