//! The pages for people: signing in to a program, by the browser that it opens or by a code that it shows.

use super::*;

const BACK: &str = "http://localhost:8400/";
const PAGE: &str = "/adfs/oauth2/authorize";

fn query(changes: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut pairs = vec![
        ("client_id", AZURE_CLI),
        ("response_type", "code"),
        ("redirect_uri", BACK),
        ("scope", "https://management.localhost/.default offline_access openid profile"),
        ("state", "a state"),
        ("nonce", "once"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("client_info", "1"),
        ("prompt", "select_account"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    form(&pairs)
}

/// The page, its cookie and the token in its form.
async fn open(client: &Client, path: &str) -> (Reply, String, String) {
    let page = client.get(path).send().await.expect_status(200);
    let cookie = page.header("set-cookie").expect("a cookie");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let token = pair.split_once('=').expect("a value").1.to_owned();
    assert!(page.text().contains(&format!("name=\"token\" value=\"{token}\"")), "{}", page.text());
    (page, pair, token)
}

async fn send(client: &Client, path: &str, cookie: &str, pairs: &[(&str, &str)]) -> Reply {
    client.post(path).header("cookie", cookie).body(form(pairs)).send().await
}

fn parameter(location: &str, name: &str) -> Option<String> {
    let query = location.split_once('?')?.1;
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(percent_encoding::percent_decode_str(&pair.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[tokio::test]
async fn somebody_signs_in_to_a_program() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let path = format!("{PAGE}?{}", query(&[]));
    let (page, cookie, form_token) = open(&client, &path).await;
    assert!(page.text().contains("Azure CLI"));
    let answer =
        [("token", form_token.as_str()), ("username", "admin"), ("password", "wrong"), ("decision", "sign-in")];
    let again = send(&client, &path, &cookie, &answer).await.expect_status(200);
    assert!(again.text().contains("role=\"alert\""), "{}", again.text());
    assert!(again.text().contains("value=\"admin\"") && !again.text().contains("wrong\""), "{}", again.text());
    let good = [("token", form_token.as_str()), ("username", "admin"), ("password", registry.admin_password())];
    let back = send(&client, &path, &cookie, &good).await.expect_status(303);
    let location = back.header("location").expect("a location");
    assert!(location.starts_with(BACK), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a state"));
    let code = parameter(&location, "code").expect("a code");
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", AZURE_CLI),
        ("code", code.as_str()),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    let reply = token(&client, &pairs).await.expect_status(200);
    assert_eq!(claims(&text(&reply, "id_token"))["nonce"], "once");
    subscriptions(&client, &text(&reply, "access_token")).await.expect_status(200);
    let refresh = text(&reply, "refresh_token");
    assert_eq!(text(&token(&client, &pairs).await.expect_status(400), "error"), "invalid_grant");
    let pairs = [("grant_type", "refresh_token"), ("client_id", AZURE_CLI), ("refresh_token", refresh.as_str())];
    assert_eq!(text(&token(&client, &pairs).await.expect_status(400), "error"), "invalid_grant", "replayed");
}

#[tokio::test]
async fn the_answer_may_come_as_a_form() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let path = format!("{PAGE}?{}", query(&[("response_mode", "form_post"), ("state", "\"><b>")]));
    let (_, cookie, form_token) = open(&client, &path).await;
    let good = [("token", form_token.as_str()), ("username", "admin"), ("password", registry.admin_password())];
    let page = send(&client, &path, &cookie, &good).await.expect_status(200);
    let html = page.text();
    assert!(html.contains(&format!("<form method=\"post\" action=\"{BACK}\">")), "{html}");
    assert!(html.contains("name=\"code\"") && html.contains("value=\"&quot;&gt;&lt;b&gt;\""), "{html}");
    assert!(!html.contains("<script"), "{html}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("form-action 'self' http://localhost:8400;"), "{policy}");
}

#[tokio::test]
async fn pages_are_closed_to_scripts_frames_and_other_sites() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let path = format!("{PAGE}?{}", query(&[("login_hint", "<script>alert(1)</script>\"")]));
    let (page, cookie, form_token) = open(&client, &path).await;
    assert!(!page.text().contains("<script"), "{}", page.text());
    let policy = page.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = page.expect_header("x-frame-options", "DENY").expect_header("cache-control", "no-store");
    let set_cookie = page.header("set-cookie").expect("a cookie");
    assert!(set_cookie.contains("HttpOnly") && set_cookie.contains("SameSite=Strict"), "{set_cookie}");
    assert!(!set_cookie.contains("Domain"), "host-only: {set_cookie}");
    let password = registry.admin_password();
    let login = [("username", "admin"), ("password", password)];
    // Without the cookie, with another one, and without the token nobody is signed in, whatever the password.
    let other = "kogge-form=00000000000000000000000000000000";
    for (cookie, token) in [("a=b", form_token.as_str()), (other, form_token.as_str()), (cookie.as_str(), "")] {
        let mut pairs = login.to_vec();
        pairs.push(("token", token));
        let reply = send(&client, &path, cookie, &pairs).await.expect_status(200);
        assert!(reply.text().contains("role=\"alert\""), "{}", reply.text());
    }
}

#[tokio::test]
async fn browsers_are_never_sent_where_nobody_registered() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    for changes in [
        [("redirect_uri", "https://evil.example.com/")],
        [("redirect_uri", "http://localhost.evil.example.com/")],
        [("redirect_uri", "javascript:alert(1)")],
        [("client_id", "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf")],
        [("client_id", "")],
        [("response_mode", "fragment")],
    ] {
        let reply = client.get(format!("{PAGE}?{}", query(&changes))).send().await.expect_status(400);
        assert_eq!(reply.header("location"), None, "{changes:?}");
        assert!(reply.text().contains("role=\"alert\""));
    }
    for (changes, error) in [
        ([("response_type", "token")], "unsupported_response_type"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("scope", "https://x/.default")], "invalid_target"),
        ([("prompt", "none")], "login_required"),
    ] {
        let reply = client.get(format!("{PAGE}?{}", query(&changes))).send().await.expect_status(303);
        let location = reply.header("location").expect("a location");
        assert!(location.starts_with(BACK), "{location}");
        assert_eq!(parameter(&location, "error").as_deref(), Some(error), "{location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("a state"), "{location}");
    }
    let path = format!("{PAGE}?{}", query(&[]));
    let (_, cookie, form_token) = open(&client, &path).await;
    let cancel = [("token", form_token.as_str()), ("decision", "cancel")];
    let reply = send(&client, &path, &cookie, &cancel).await.expect_status(303);
    assert_eq!(parameter(&reply.header("location").expect("a location"), "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_program_without_a_browser_shows_a_code() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let scope = ("scope", "https://management.localhost/.default openid");
    let begun = post(&client, "/adfs/oauth2/devicecode", &[("client_id", AZURE_CLI), scope]).await.expect_status(200);
    let (device_code, user_code) = (text(&begun, "device_code"), text(&begun, "user_code"));
    assert!(text(&begun, "message").contains(&user_code));
    let page = format!("/adfs/oauth2/deviceauth?user_code={user_code}");
    assert!(text(&begun, "verification_uri_complete").ends_with(&page));
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", AZURE_CLI),
        ("device_code", device_code.as_str()),
    ];
    assert_eq!(text(&token(&client, &poll).await.expect_status(400), "error"), "authorization_pending");
    assert_eq!(text(&token(&client, &poll).await.expect_status(400), "error"), "slow_down");
    let (shown, cookie, form_token) = open(&client, &page).await;
    assert!(shown.text().contains(&format!("value=\"{user_code}\"")));
    let login = [
        ("token", form_token.as_str()),
        ("user_code", user_code.as_str()),
        ("username", "admin"),
        ("password", registry.admin_password()),
        ("decision", "approve"),
    ];
    let wrong: Vec<_> = login.iter().map(|(n, v)| (*n, if *n == "user_code" { "BBBB-BBBB" } else { *v })).collect();
    assert!(send(&client, &page, &cookie, &wrong).await.text().contains("role=\"alert\""));
    let stranger = client.post("/adfs/oauth2/deviceauth").body(form(&login)).send().await;
    assert!(stranger.text().contains("role=\"alert\""), "without the cookie");
    let approved = send(&client, "/adfs/oauth2/deviceauth", &cookie, &login).await.expect_status(200);
    assert!(approved.text().contains("Azure CLI is signed in"), "{}", approved.text());
    let reply = token(&client, &poll).await.expect_status(200);
    subscriptions(&client, &text(&reply, "access_token")).await.expect_status(200);
    assert!(reply.json().get("refresh_token").is_some() && reply.json().get("id_token").is_some());
}

#[tokio::test]
async fn signing_out_leaves_nothing_behind() {
    let registry = TestRegistry::start().await;
    let reply = registry.anonymous().get("/adfs/oauth2/logout").send().await.expect_status(200);
    assert!(reply.header("set-cookie").expect("a cookie").contains("Max-Age=0"));
}
