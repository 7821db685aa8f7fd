//! The token end point.

use kogge_testkit::http::basic;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_service_principal_manages_and_pulls() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    // As the Azure CLI asks.
    let reply = token(
        &client,
        &[
            ("client_id", &sp.0),
            ("grant_type", "client_credentials"),
            ("client_info", "1"),
            ("client_secret", &sp.1),
            ("claims", "{\"access_token\":{\"xms_cc\":{\"values\":[\"CP1\"]}}}"),
            ("scope", "https://management.localhost//.default"),
        ],
    )
    .await
    .expect_status(200)
    .expect_header("cache-control", "no-store");
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert!(answer.get("refresh_token").is_none() && answer.get("client_info").is_none(), "{answer}");
    let arm = text(&reply, "access_token");
    let listed = subscriptions(&client, &arm).await.expect_status(200).json();
    assert_eq!(listed["value"].as_array().expect("subscriptions").len(), 1);
    let acr = access_token(&client, &sp, REGISTRY).await;
    subscriptions(&client, &acr).await.expect_status(401);
    for token in [&arm, &acr] {
        let refresh = text(&exchange(&client, token).await.expect_status(200), "refresh_token");
        let pairs = [
            ("grant_type", "refresh_token"),
            ("service", "localhost"),
            ("scope", "registry:catalog:*"),
            ("refresh_token", refresh.as_str()),
        ];
        let access = text(&post(&client, "/oauth2/token", &pairs).await.expect_status(200), "access_token");
        client.with_bearer(&access).get("/v2/_catalog").send().await.expect_status(200);
        subscriptions(&client, &access).await.expect_status(401);
        subscriptions(&client, &refresh).await.expect_status(401);
    }
    client.with_bearer(&arm).get("/v2/_catalog").send().await.expect_status(401);
}

#[tokio::test]
async fn clients_name_themselves_once() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let (id, secret) = service_principal(&registry, "ci", &[]).await;
    let grant = ("grant_type", "client_credentials");
    let header = |pairs: &[(&str, &str)], authorization: &str| {
        let request = client.post("/adfs/oauth2/token").header("authorization", authorization);
        request.body(form(pairs))
    };
    header(&[grant], &basic(&id, &secret)).send().await.expect_status(200);
    header(&[grant, ("client_id", &id)], &basic(&id, &secret)).send().await.expect_status(200);
    let twice = header(&[grant, ("client_secret", &secret)], &basic(&id, &secret)).send().await.expect_status(400);
    assert_eq!(text(&twice, "error"), "invalid_request");
    let wrong = header(&[grant], &basic(&id, "wrong")).send().await.expect_status(401);
    assert_eq!(text(&wrong, "error"), "invalid_client");
    assert!(wrong.header("www-authenticate").is_some());
    type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let cases: &[Case<'_>] = &[
        (&[grant], 400, "invalid_request"),
        (&[("client_id", &id)], 400, "invalid_request"),
        (&[grant, ("client_id", &id)], 401, "invalid_client"),
        (&[("grant_type", "magic"), ("client_id", &id)], 400, "unsupported_grant_type"),
        (&[grant, grant, ("client_id", &id)], 400, "invalid_request"),
        (
            &[grant, ("client_id", &id), ("client_secret", &secret), ("scope", "https://x/.default")],
            400,
            "invalid_target",
        ),
        (&[grant, ("client_id", &id), ("client_secret", &secret), ("scope", "x")], 400, "invalid_scope"),
        (&[grant, ("client_id", &id), ("client_assertion", "x")], 400, "invalid_request"),
        (&[("grant_type", "authorization_code"), ("client_id", AZURE_CLI)], 400, "invalid_request"),
        (&[("grant_type", "refresh_token"), ("client_id", AZURE_CLI), ("refresh_token", "x")], 400, "invalid_grant"),
        (&[("grant_type", "refresh_token"), ("client_id", &id), ("refresh_token", "x")], 400, "unauthorized_client"),
    ];
    for (pairs, status, error) in cases {
        let reply = token(&client, pairs).await.expect_status(*status);
        assert_eq!(text(&reply, "error"), *error, "{pairs:?}");
        assert!(!text(&reply, "error_description").is_empty());
        assert!(!reply.text().contains(&secret), "no secret is ever said");
    }
}

#[tokio::test]
async fn a_person_logs_in_by_password_and_comes_back() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let pairs = [
        ("grant_type", "password"),
        ("client_id", AZURE_CLI),
        ("username", "admin"),
        ("password", registry.admin_password()),
        ("scope", "https://management.localhost/.default offline_access openid profile"),
        ("client_info", "1"),
    ];
    let reply = token(&client, &pairs).await.expect_status(200);
    let account = claims(&text(&reply, "id_token"));
    assert_eq!(account["iss"], format!("http://{}/adfs", registry.addr()));
    assert_eq!((&account["aud"], &account["upn"]), (&json!(AZURE_CLI), &json!("admin")));
    let info = BASE64_URL_SAFE_NO_PAD.decode(text(&reply, "client_info")).expect("base64");
    let info: Value = serde_json::from_slice(&info).expect("JSON");
    assert_eq!((&info["uid"], &info["utid"]), (&account["oid"], &account["tid"]));
    subscriptions(&client, &text(&reply, "access_token")).await.expect_status(200);
    let refresh = text(&reply, "refresh_token");
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", AZURE_CLI),
        ("refresh_token", refresh.as_str()),
        ("scope", "https://containerregistry.azure.net/.default openid profile offline_access"),
    ];
    let next = token(&client, &pairs).await.expect_status(200);
    exchange(&client, &text(&next, "access_token")).await.expect_status(200);
    assert_ne!(text(&next, "refresh_token"), refresh);
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let mut held = 0;
    for _ in 0..12 {
        let pairs =
            [("grant_type", "password"), ("client_id", AZURE_CLI), ("username", "admin"), ("password", "a guess")];
        let reply = token(&client, &pairs).await;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some());
            held += 1;
        }
    }
    assert!(held > 0);
    let elsewhere = service_principal(&registry, "ci", &[]).await;
    let reply = token(
        &client,
        &[("grant_type", "client_credentials"), ("client_id", &elsewhere.0), ("client_secret", &elsewhere.1)],
    )
    .await;
    reply.expect_status(200);
}
