//! The operator's verbs of the directory, by the real program: with a server and without one.

use kogge_core::audit::{AuditQuery, Kind, Order};
use kogge_testkit::process::Site;

use super::*;

fn site() -> (tempfile::TempDir, Site) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    (folder, site)
}

/// The answer of a verb of `kogge admin`, its words separated by blanks.
fn admin(site: &Site, words: &str) -> Value {
    admin_with(site, words, "")
}

fn admin_with(site: &Site, words: &str, input: &str) -> Value {
    let words: Vec<&str> = std::iter::once("admin").chain(words.split_ascii_whitespace()).collect();
    serde_json::from_str(site.run_with(&words, input).expect_success()).expect("JSON")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one["displayName"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn a_service_principal_is_made_by_one_line_and_logs_in() {
    let (folder, site) = site();
    let server = site.serve();
    let client = server.client();
    let made = admin(&site, "sp create --name ci --role AcrPush --scope default");
    for field in ["appId", "displayName", "password", "tenant"] {
        assert!(made[field].is_string(), "{field} in {made}");
    }
    let word = |field: &str| made[field].as_str().expect("text").to_owned();
    let sp = (word("appId"), word("password"));
    let token = access_token(&client, &sp, ARM).await;
    assert_eq!(claims(&token)["tid"], made["tenant"]);
    subscriptions(&client, &token).await.expect_status(200);
    let shown = admin(&site, "sp show ci");
    assert_eq!(shown["credentials"][0]["kind"], "Secret");
    assert!(!shown.to_string().contains(&sp.1), "{shown}");
    let again = admin(&site, &format!("sp reset {}", sp.0));
    assert_ne!(again["password"], made["password"]);
    subscriptions(&client, &token).await.expect_status(401);
    let path = folder.path().display();
    let certified = admin(&site, &format!("sp create --name cert --create-cert --cert-folder {path}"));
    let file = certified["fileWithCertAndPrivateKey"].as_str().expect("a file");
    let pem = std::fs::read_to_string(file).expect("the file");
    assert!(pem.contains("PRIVATE KEY") && pem.contains("BEGIN CERTIFICATE"));
    let added = admin(&site, &format!("sp reset ci --append --certificate {file}"));
    assert!(added.get("password").is_none());
    assert_eq!(admin(&site, "sp show ci")["credentials"].as_array().expect("credentials").len(), 2);
    admin(&site, "sp federate ci --issuer https://issuer.example.com --subject a:b");
    assert_eq!(admin(&site, "sp show ci")["credentials"].as_array().expect("credentials").len(), 3);
    admin(&site, "sp delete cert");
    assert_eq!(names(&admin(&site, "sp list")), ["ci"]);
    site.run(&["admin", "sp", "create", "--name", "x", "--role", "Nobody"])
        .expect_failure(&["there is no role Nobody"]);
    site.run(&["admin", "sp", "delete", "nobody"]).expect_failure(&["there is no service principal nobody"]);
}

#[tokio::test]
async fn people_groups_and_keys_are_kept_with_and_without_a_server() {
    let (_folder, site) = site();
    drop(site.serve());
    admin_with(&site, "user create alice --role AcrPull", "first password\n");
    admin(&site, "group create builders --role AcrPush --scope default");
    admin(&site, "group add-member builders alice");
    admin(&site, "identity create --name task");
    let keys = admin(&site, "keys list");
    let server = site.serve();
    let client = server.client();
    let login = async |password: &str| {
        let pairs =
            [("grant_type", "password"), ("client_id", AZURE_CLI), ("username", "alice"), ("password", password)];
        token(&client, &pairs).await
    };
    let token = text(&login("first password").await.expect_status(200), "access_token");
    subscriptions(&client, &token).await.expect_status(200);
    assert_eq!(admin(&site, "keys rotate")[1]["id"], keys[0]["id"]);
    subscriptions(&client, &token).await.expect_status(200);
    admin_with(&site, "user set-password alice", "second password\n");
    subscriptions(&client, &token).await.expect_status(401);
    login("first password").await.expect_status(400);
    login("second password").await.expect_status(200);
    admin(&site, "user disable alice");
    login("second password").await.expect_status(400);
    admin(&site, "user enable alice");
    login("second password").await.expect_status(200);
    assert_eq!(admin(&site, "group list")[0]["members"].as_array().expect("members").len(), 1);
    admin(&site, "group remove-member builders alice");
    admin(&site, "group delete builders");
    assert_eq!(names(&admin(&site, "user list")), ["admin", "alice"]);
    admin(&site, "user delete alice");
    login("second password").await.expect_status(400);
    let task = admin(&site, "identity token task");
    let token = task["accessToken"].as_str().expect("a token");
    subscriptions(&client, token).await.expect_status(200);
    admin(&site, "identity delete task");
    subscriptions(&client, token).await.expect_status(401);
}

#[tokio::test]
async fn every_login_is_told_to_the_audit_and_no_secret_is() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let (id, secret) = service_principal(&registry, "ci", &[]).await;
    let grant = [("grant_type", "client_credentials"), ("client_id", id.as_str())];
    let ask = async |secret: &str| token(&client, &[grant[0], grant[1], ("client_secret", secret)]).await;
    let given = text(&ask(&secret).await.expect_status(200), "access_token");
    ask("a wrong secret").await.expect_status(401);
    let begun = post(&client, "/adfs/oauth2/devicecode", &[("client_id", AZURE_CLI)]).await.expect_status(200);
    let poll = [("grant_type", "device_code"), ("client_id", AZURE_CLI), ("device_code", &text(&begun, "device_code"))];
    token(&client, &poll).await.expect_status(400);
    let query = AuditQuery { kinds: vec![Kind::Login], order: Order::OldestFirst, limit: 100, ..AuditQuery::default() };
    let told = registry.core().audit().query(query).await.expect("the audit answers").records;
    let rows: Vec<_> = told.iter().map(|record| (record.text("Identity"), record.text("JwtId"))).collect();
    let uti = claims(&given)["uti"].as_str().expect("an id").to_owned();
    assert_eq!(rows, [("ci", uti.as_str()), (id.as_str(), "")], "a program that waits has not logged in");
    let shown = format!("{told:?}");
    for secret in [secret.as_str(), "a wrong secret", given.as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
