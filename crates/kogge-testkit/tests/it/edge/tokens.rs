//! The token end points in all their forms, and tokens that are not what they seem.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply, basic, encode};
use kogge_types::limits::REQUEST_HEAD_BYTES_MAX;
use kogge_types::limits::{FORM_BYTES_MAX, TOKEN_SCOPES_MAX};
use serde_json::{Value, json};

use super::{PASSWORD, user};

/// ACR's name for "the password is a token".
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

async fn post(client: &Client, path: &str, pairs: &[(&str, &str)]) -> Reply {
    let form: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let request = client.post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(form.join("&")).send().await
}

async fn get(registry: &TestRegistry, query: &str, authorization: &str) -> Reply {
    let client = registry.anonymous();
    let request = client.get(format!("/oauth2/token?{query}"));
    let request = if authorization.is_empty() { request } else { request.header("authorization", authorization) };
    request.send().await
}

fn admin(registry: &TestRegistry) -> String {
    basic("admin", registry.admin_password())
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a token of three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn text(reply: &Reply, field: &str) -> String {
    reply.json()[field].as_str().unwrap_or_else(|| panic!("{field} in {}", reply.text())).to_owned()
}

/// What a token lets its bearer do, as `name:actions`.
fn access(token: &str) -> Vec<String> {
    let entries = part(token, 1)["access"].as_array().cloned().unwrap_or_default();
    let actions = |entry: &Value| {
        let words = entry["actions"].as_array().expect("actions").iter().map(|word| word.as_str().expect("a word"));
        words.collect::<Vec<_>>().join(",")
    };
    entries.iter().map(|entry| format!("{}:{}", entry["name"].as_str().expect("a name"), actions(entry))).collect()
}

#[tokio::test]
async fn a_token_has_the_form_that_clients_know() {
    let registry = TestRegistry::start().await;
    let reply = get(&registry, "service=reg&scope=repository:a:pull", &admin(&registry)).await.expect_status(200);
    let token = text(&reply, "access_token");
    assert_eq!((text(&reply, "token"), &reply.json()["expires_in"]), (token.clone(), &json!(900)));
    let issued = text(&reply, "issued_at");
    assert!(issued.len() == 20 && issued.ends_with('Z'), "{issued}");
    let reply = reply.expect_header("cache-control", "no-store");
    assert_eq!(reply.json().get("refresh_token"), None);
    assert_eq!((&part(&token, 0)["alg"], &part(&token, 0)["typ"]), (&json!("ES256"), &json!("JWT")));
    let claims = part(&token, 1);
    for (name, value) in [("aud", "reg"), ("sub", "admin"), ("version", "1.0"), ("grant_type", "access_token")] {
        assert_eq!(claims[name], value, "{claims}");
    }
    assert_eq!(claims["access"], json!([{"type": "repository", "name": "a", "actions": ["pull"]}]));
    let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name} in {claims}"));
    assert_eq!((time("exp") - time("iat"), time("nbf")), (900, time("iat")));
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 32) && claims["iss"].is_string(), "{claims}");
}

#[tokio::test]
async fn every_form_of_login_leads_to_the_same_token() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let scope = ("scope", "repository:a:pull");
    let password = [("grant_type", "password"), ("service", "s"), ("username", "admin")];
    let form = [&password[..], &[("password", registry.admin_password()), ("access_type", "offline"), scope]].concat();
    let reply = post(&client, "/oauth2/token", &form).await.expect_status(200);
    let (first, refresh) = (text(&reply, "access_token"), text(&reply, "refresh_token"));
    assert_eq!(part(&refresh, 1)["grant_type"], "refresh_token");
    let offline = get(&registry, "offline_token=true&scope=repository:a:pull", &admin(&registry)).await;
    let by_refresh = [("grant_type", "refresh_token"), ("service", "s"), ("refresh_token", refresh.as_str()), scope];
    let replies = [
        post(&client, "/oauth2/token", &by_refresh).await,
        post(&client, "/oauth2/token?api-version=2021-07-01&scope=repository:a:pull", &by_refresh[..3]).await,
        get(&registry, "scope=repository:a:pull", &basic(TOKEN_USER, &refresh)).await,
        get(&registry, "scope=repository:a:pull", &basic(TOKEN_USER, &text(&offline, "refresh_token"))).await,
        get(&registry, "scope=repository:a:pull", &format!("Bearer {refresh}")).await,
        get(&registry, "scope=repository:a:pull", &admin(&registry)).await,
    ];
    for token in replies.iter().map(|reply| text(reply, "access_token")).chain([first]) {
        assert_eq!(access(&token), ["a:pull"]);
        let reply = client.with_bearer(&token).get("/v2/a/tags/list").send().await;
        reply.expect_error(404, "NAME_UNKNOWN");
    }
    // Basic with a refresh token needs no token end point at all, as with ACR.
    let direct = client.with_basic(TOKEN_USER, &refresh);
    direct.get("/v2/a/tags/list").header("authorization", basic(TOKEN_USER, &refresh)).send().await.expect_status(404);
}

#[tokio::test]
async fn scopes_come_by_repetition_and_by_space_and_unknown_ones_are_left_out() {
    let registry = TestRegistry::start().await;
    let both = "a:pull b:pull,push";
    for (query, expected) in [
        ("scope=repository:a:pull&scope=repository:b:pull,push", both),
        ("scope=repository:a:pull+repository:b:pull,push", both),
        ("scope=repository:a:pull%20%20repository:b:push,pull", both),
        ("scope=repository:a:pull&scope=nonsense&scope=repository:B:pull&scope=registry:all:*", "a:pull"),
        ("scope=registry:catalog:*&scope=registry:catalog:pull", "catalog:*"),
        ("scope=repository:a:*", "a:pull,push,delete,metadata_read,metadata_write"),
        ("scope=repository:a:fly,pull,pull", "a:pull"),
        ("scope=repository:a:fly", ""),
        ("scope=repository(plugin):a:pull", "a:pull"),
        ("scope=repository:../a:pull&scope=repository::pull&scope=:::&scope=", ""),
        ("", ""),
    ] {
        let token = text(&get(&registry, query, &admin(&registry)).await.expect_status(200), "access_token");
        assert_eq!(access(&token).join(" "), expected, "{query}");
    }
    let many: Vec<_> = (0..=TOKEN_SCOPES_MAX).map(|number| format!("scope=repository:r{number}:pull")).collect();
    let token = text(&get(&registry, &many.join("&"), &admin(&registry)).await.expect_status(200), "access_token");
    assert_eq!(access(&token).len(), TOKEN_SCOPES_MAX);
    // What the user may not do is left out too.
    let reader = user(&registry, "reader", "AcrPull", "team/*").await;
    let token = reader.token(&["repository:team/a:pull,push,delete", "repository:b:pull"]).await.expect("a token");
    assert_eq!(access(&token), ["team/a:pull"]);
}

#[tokio::test]
async fn nobody_in_particular_gets_a_token_for_nothing() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let anonymous = [("grant_type", "password"), ("service", "s"), ("scope", "repository:a:pull")];
    for reply in [
        get(&registry, "service=s&scope=repository:a:pull&offline_token=true", "").await,
        post(&client, "/oauth2/token?api-version=2021-07-01", &anonymous).await,
    ] {
        let reply = reply.expect_status(200);
        let token = text(&reply, "access_token");
        assert_eq!((access(&token).len(), reply.json().get("refresh_token")), (0, None));
        client.with_bearer(&token).get("/v2/").send().await.expect_status(200);
        client.with_bearer(&token).get("/v2/a/tags/list").send().await.expect_error(401, "UNAUTHORIZED");
        // It is worth no identity.
        let exchange = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        post(&client, "/oauth2/exchange", &exchange).await.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_bounded_token_never_becomes_a_wider_one() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let narrow = registry.client().token(&["repository:a:pull"]).await.expect("a token");
    let refresh = text(&get(&registry, "offline_token=true", &admin(&registry)).await, "refresh_token");
    let wider = "scope=repository:a:pull,push&scope=repository:b:pull&scope=registry:catalog:*&offline_token=true";
    for authorization in [basic(TOKEN_USER, &narrow), format!("Bearer {narrow}")] {
        let reply = get(&registry, wider, &authorization).await.expect_status(200);
        assert_eq!(access(&text(&reply, "access_token")), ["a:pull"]);
        assert_eq!(reply.json().get("refresh_token"), None);
    }
    for (grant, field) in [
        ("access_token", "access_token"),
        ("refresh_token", "refresh_token"),
        ("access_token_refresh_token", "refresh_token"),
    ] {
        let form = |token| [("grant_type", grant), ("service", "s"), (field, token)];
        post(&client, "/oauth2/exchange", &form(&narrow)).await.expect_error(401, "UNAUTHORIZED");
        let reply = post(&client, "/oauth2/exchange", &form(&refresh)).await.expect_status(200);
        let token = text(&reply, "refresh_token");
        get(&registry, "", &basic(TOKEN_USER, &token)).await.expect_status(200);
    }
    // A refresh token opens no door by itself.
    client.with_bearer(&refresh).get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_that_was_touched_is_none() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let token = registry.client().token(&["repository:a:pull"]).await.expect("a token");
    client.with_bearer(&token).get("/v2/").send().await.expect_status(200);
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let with_head = |changes: Value| {
        let mut header = part(&token, 0);
        header.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        encoded(&header)
    };
    let mut claims = part(&token, 1);
    claims["access"] = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    let mut late = part(&token, 1);
    late["exp"] = json!(i64::MAX);
    let flipped = |text: &str, place: usize| {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64");
        bytes[place] ^= 1;
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    };
    let none = with_head(json!({"alg": "none"}));
    for forged in [
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{}.{body}.", with_head(json!({"alg": "NONE"}))),
        format!("{}.{body}.{signature}", with_head(json!({"alg": "HS256"}))),
        format!("{}.{body}.{signature}", with_head(json!({"alg": "ES384"}))),
        format!("{}.{body}.{signature}", with_head(json!({"kid": "other"}))),
        format!("{}.{body}.{signature}", with_head(json!({"jwk": {"kty": "EC"}, "jku": "http://127.0.0.1/"}))),
        format!("{head}.{}.{signature}", encoded(&claims)),
        format!("{head}.{}.{signature}", encoded(&late)),
        format!("{head}.{body}.{}", flipped(signature, 0)),
        format!("{head}.{body}.{}", flipped(signature, 63)),
        format!("{head}.{}.{signature}", flipped(body, 3)),
        format!("{head}.{body}.{}", "A".repeat(86)),
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}.{signature}="),
        token[..token.len() - 1].to_owned(),
        format!("{token} x"),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        client.with_bearer(&forged).get("/v2/").send().await.expect_error(401, "UNAUTHORIZED");
        get(&registry, "", &format!("Bearer {forged}")).await.expect_error(401, "UNAUTHORIZED");
        let form = [("grant_type", "refresh_token"), ("refresh_token", forged.as_str())];
        post(&client, "/oauth2/token", &form).await.expect_error(401, "UNAUTHORIZED");
    }
    client.with_bearer(&token).get("/v2/").send().await.expect_status(200);
}

#[tokio::test]
async fn credentials_that_are_malformed_are_a_401_and_never_more() {
    let registry = TestRegistry::start_with("[server]\ntrusted-proxies = ['127.0.0.1']").await;
    // In base64 a third longer, and still a head that is taken.
    let long = "x".repeat(REQUEST_HEAD_BYTES_MAX * 2 / 3);
    let malformed = [
        "Basic",
        "Basic ",
        "Basic =",
        "Basic YWRtaW4",
        "Basic YWRtaW4=",
        "Basic //79",
        "Basic YWRtaW46eA== x",
        "Basic YWRtaW46eA==, Bearer x",
        "Bearer",
        "Bearer  ",
        "Negotiate YII=",
        "bearer:",
        "\t",
        &basic(&long, "x"),
        &basic("admin", &long),
        &basic("adm\0in", "x"),
        &basic("", ""),
        &format!("Bearer {long}"),
        &basic(TOKEN_USER, ""),
        &basic(TOKEN_USER, "x.y.z"),
    ];
    for (number, authorization) in malformed.into_iter().enumerate() {
        // Each from an address of its own: failures are held back by address.
        let from = format!("10.0.0.{number}");
        let client = registry.anonymous();
        for path in ["/v2/", "/v2/a/tags/list", "/oauth2/token"] {
            let request = client.get(path).header("x-forwarded-for", &from);
            let reply = request.header("authorization", authorization).send().await;
            assert_eq!(reply.status, 401, "{path} {authorization:.60}");
            assert!(path == "/oauth2/token" || reply.header("www-authenticate").is_some(), "{authorization:.60}");
        }
    }
    let client = registry.anonymous();
    let twice = client.get("/v2/").header("authorization", admin(&registry));
    // Two credentials are nobody's: a proxy's and a client's.
    twice.header("authorization", admin(&registry)).send().await.expect_status(401);
    let huge = client.get("/v2/").header("authorization", format!("Bearer {}", "x".repeat(200_000)));
    if let Ok(reply) = huge.try_send().await {
        assert_eq!(reply.status, 431);
    }
}

#[tokio::test]
async fn forms_that_say_nothing_are_refused() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    for (path, form, status) in [
        ("/oauth2/token", "", 400),
        ("/oauth2/token", "grant_type=implicit", 400),
        ("/oauth2/token", "{\"grant_type\":\"password\"}", 400),
        ("/oauth2/token", "grant_type=%ff%00", 400),
        ("/oauth2/token", "grant_type=refresh_token", 401),
        ("/oauth2/token", "grant_type=refresh_token&refresh_token=", 401),
        ("/oauth2/token", "grant_type=password&username=admin", 401),
        ("/oauth2/token", "grant_type=password&password=x", 401),
        ("/oauth2/token", "grant_type=password&username=admin&password=x", 401),
        ("/oauth2/exchange", "", 400),
        ("/oauth2/exchange", "grant_type=password&username=admin&password=x", 400),
        ("/oauth2/exchange", "grant_type=access_token", 401),
        ("/oauth2/exchange", "grant_type=access_token&access_token=x", 401),
    ] {
        let reply = client.post(path).body(form).send().await;
        assert_eq!(reply.status, status, "{path} {form}: {}", reply.text());
        assert!(!reply.code().is_empty(), "{path} {form}");
    }
    let padded = |length: usize| {
        let form = "grant_type=password&x=";
        format!("{form}{}", "x".repeat(length - form.len()))
    };
    client.post("/oauth2/token").body(padded(FORM_BYTES_MAX)).send().await.expect_status(200);
    client.post("/oauth2/token").body(padded(FORM_BYTES_MAX + 1)).send().await.expect_status(413);
    client.post("/oauth2/token").chunked([padded(FORM_BYTES_MAX + 1).into()]).send().await.expect_status(413);
    let wide = vec!["a=b"; 16_000].join("&");
    client.post("/oauth2/token").body(format!("grant_type=password&{wide}")).send().await.expect_status(200);
    // The user's own password in the wrong place is no login.
    client
        .post("/oauth2/token")
        .body(format!("grant_type=password&username=admin&refresh_token={PASSWORD}"))
        .send()
        .await
        .expect_status(401);
}
