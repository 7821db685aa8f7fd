//! What a server that works does not do: operations that go on, addresses that lead elsewhere, tokens that end.

use reqwest::Method;
use serde_json::{Value, json};

use super::listing::Listing;
use super::login::Login;
use super::session::{Call, Session};
use crate::client::fake::{Fake, Step};
use crate::error::{Error, Kind};
use crate::progress::Progress;

const OK: &str = "200 OK";

fn answer(head: &str, body: Value) -> Step {
    Step::answer(head, body.to_string().as_bytes())
}

/// The answers to what is asked before anything else.
fn opening() -> Vec<Step> {
    let mut opening =
        vec![answer(OK, json!([{ "authentication": { "audiences": ["https://management.example.com/"] } }]))];
    opening.extend(login());
    opening
}

fn login() -> [Step; 2] {
    [
        answer(OK, json!({ "token_endpoint": "/adfs/oauth2/token" })),
        answer(OK, json!({ "access_token": "abc", "expires_in": 900 })),
    ]
}

async fn start(script: impl IntoIterator<Item = Step>) -> (Fake, Session) {
    let fake = Fake::start(opening().into_iter().chain(script).collect()).await;
    let login = Login::User { name: "jo".to_owned(), password: "secret".to_owned() };
    let session = Session::new(fake.client(None).await, login, Progress::new(true));
    (fake, session)
}

async fn put(session: &Session) -> Result<Value, Error> {
    session.send(Call::new(Method::PUT, "/a/b", "make b").body(json!({}))).await
}

/// The requests after those of the opening.
async fn asked(fake: Fake) -> Vec<String> {
    fake.seen().await.into_iter().skip(opening().len()).map(|seen| seen.line).collect()
}

#[tokio::test]
async fn an_operation_that_goes_on_is_waited_for() {
    let state = "Azure-AsyncOperation: http://{addr}/state?x=1\r\nRetry-After: 0";
    let (fake, session) = start([
        answer(&format!("201 Created\r\n{state}"), json!({ "properties": { "provisioningState": "Creating" } })),
        answer(&format!("{OK}\r\nRetry-After: 0"), json!({ "status": "InProgress" })),
        answer(OK, json!({ "status": "Succeeded" })),
        answer(OK, json!({ "name": "b" })),
    ])
    .await;
    assert_eq!(put(&session).await.expect("made"), json!({ "name": "b" }));
    let version = "api-version=2022-12-01";
    let expected = [
        format!("PUT /a/b?{version}"),
        "GET /state?x=1".into(),
        "GET /state?x=1".into(),
        format!("GET /a/b?{version}"),
    ];
    assert_eq!(asked(fake).await, expected);

    let (fake, session) = start([
        Step::answer("202 Accepted\r\nLocation: /result\r\nRetry-After: 0", b""),
        Step::answer("202 Accepted\r\nRetry-After: 0", b""),
        Step::answer("204 No Content", b""),
    ])
    .await;
    session.delete("/a/b", "delete b").await.expect("deleted");
    assert_eq!(asked(fake).await.len(), 3);

    let (_fake, session) = start([
        answer(&format!("202 Accepted\r\n{state}"), json!(null)),
        answer(OK, json!({ "status": "Failed", "error": { "code": "Busy", "message": "Not now." } })),
    ])
    .await;
    let failed = put(&session).await.expect_err("failed");
    assert_eq!((failed.chain().as_str(), failed.hints()), ("Not now.", &["code Busy".to_owned()][..]));
}

#[tokio::test]
async fn a_token_goes_to_no_other_server() {
    let elsewhere = "http://127.0.0.1:1/next";
    let (_fake, session) = start([answer(OK, json!({ "value": [1], "nextLink": elsewhere }))]).await;
    let refused = Listing::of(&session, "/a", "list a").all().await.expect_err("refused");
    assert!(refused.chain().contains("another server"), "{}", refused.chain());

    let (_fake, session) = start([answer(&format!("202 Accepted\r\nLocation: {elsewhere}"), json!(null))]).await;
    assert!(put(&session).await.expect_err("refused").chain().contains("another server"));

    let itself = "/a?api-version=2022-12-01";
    let (_fake, session) = start([answer(OK, json!({ "value": [], "nextLink": itself }))]).await;
    let endless = Listing::of(&session, "/a", "list a").all().await.expect_err("refused");
    assert!(endless.chain().contains("names itself"), "{}", endless.chain());
}

#[tokio::test]
async fn the_password_goes_to_no_other_server_in_clear() {
    let metadata = answer(OK, json!({ "authentication": { "audiences": ["a"] } }));
    let fake = Fake::start(vec![metadata, answer(OK, json!({ "token_endpoint": "http://127.0.0.1:1/token" }))]).await;
    let login = Login::User { name: "jo".to_owned(), password: "secret".to_owned() };
    let session = Session::new(fake.client(None).await, login, Progress::new(true));
    assert_eq!(put(&session).await.expect_err("refused").kind, Kind::Denied);
}

#[tokio::test]
async fn pages_are_followed_and_a_token_that_ended_is_renewed_once() {
    let ended = || answer("401 Unauthorized\r\nWWW-Authenticate: Bearer authorization_uri=\"x\"", json!({}));
    let [discovery, token] = login();
    let next = json!({ "value": ["a", "b"], "nextLink": "/a?$skipToken=b", "position": "p" });
    let script = [answer(OK, next), ended(), discovery, token, answer(OK, json!({ "value": ["c"] }))];
    let (fake, session) = start(script).await;
    let mut listing = Listing::of(&session, "/a", "list a");
    assert_eq!(listing.next_page().await.expect("a page"), Some(vec![json!("a"), json!("b")]));
    assert_eq!(listing.position.as_deref(), Some("p"));
    assert_eq!(listing.next_page().await.expect("a page"), Some(vec![json!("c")]));
    assert_eq!(listing.next_page().await.expect("the end"), None);
    assert_eq!(asked(fake).await[4], "GET /a?$skipToken=b");

    let [discovery, token] = login();
    let (_fake, session) = start([ended(), discovery, token, ended()]).await;
    assert_eq!(put(&session).await.expect_err("refused").kind, Kind::Denied);
}

#[tokio::test]
async fn refusals_are_told_in_one_line() {
    let told = |status: &'static str, body: Value| async move {
        let (_fake, session) = start([answer(status, body)]).await;
        let error = put(&session).await.expect_err("refused");
        (error.kind, error.chain(), error.hints().join(" / "))
    };
    let error =
        json!({ "error": { "code": "Bad\u{1b}", "message": "No.\n", "details": [{ "message": "Not a name." }] } });
    let expected = (Kind::General, "No. (Not a name.)".to_owned(), "code Bad, status 400".to_owned());
    assert_eq!(told("400 Bad Request", error).await, expected);
    let (kind, message, hint) = told("404 Not Found", json!({ "errors": [] })).await;
    assert!(
        kind == Kind::NotFound && message.contains("does not offer the management API") && hint.contains("bare domain")
    );
    let (kind, _, hint) =
        told("403 Forbidden", json!({ "error": { "code": "AuthorizationFailed", "message": "x" } })).await;
    assert!(kind == Kind::Denied && hint.contains("kogge role assign"), "{hint}");
    assert_eq!(told("400 Bad Request", json!(7)).await.0, Kind::General);
}
