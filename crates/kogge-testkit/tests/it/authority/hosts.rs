//! Where the authority answers, and what it says of itself.

use super::*;

const PATHS: [&str; 8] = [
    "/adfs/.well-known/openid-configuration",
    "/adfs/discovery/keys",
    "/adfs/oauth2/token",
    "/adfs/oauth2/devicecode",
    "/adfs/userinfo",
    "/adfs/oauth2/authorize",
    "/adfs/oauth2/deviceauth",
    "/adfs/oauth2/logout",
];

#[tokio::test]
async fn the_authority_answers_on_the_deployments_own_names_only() {
    let registry = TestRegistry::start_with("[server]\ndomain = 'example.com'\n").await;
    registry.core().put_registry(&"myreg".parse().expect("a name"), true).await.expect("a registry");
    for host in ["myreg.example.com", "default.example.com:443", "other.org"] {
        let client = registry.anonymous().with_host(host);
        for path in PATHS {
            let posted = path.ends_with("/token") || path.ends_with("/devicecode");
            let request = if posted { client.post(path) } else { client.get(path) };
            request.send().await.expect_error(404, "NOT_FOUND");
        }
    }
    for host in ["example.com", "localhost:5000", "127.0.0.1:1", "[::1]:5000"] {
        let client = registry.anonymous().with_host(host);
        client.get(PATHS[0]).send().await.expect_status(200);
    }
    let client = registry.anonymous();
    client.get("/adfs/oauth2/token").send().await.expect_status(405).expect_header("allow", "POST");
    client.post("/adfs/discovery/keys").send().await.expect_status(405).expect_header("allow", "GET, HEAD");
    client.get("/adfs/nowhere").send().await.expect_status(404);
}

#[tokio::test]
async fn every_address_in_the_document_is_one_that_the_client_can_reach() {
    let registry = TestRegistry::start().await;
    let client = registry.anonymous();
    let document = client.get(PATHS[0]).send().await.expect_status(200).json();
    let issuer = format!("http://{}/adfs", registry.addr());
    assert_eq!(document["issuer"], issuer);
    for (name, value) in document.as_object().expect("an object").iter().filter(|(name, _)| name.ends_with("endpoint"))
    {
        let path = value.as_str().expect("an address").strip_prefix(&format!("http://{}", registry.addr()));
        let path = path.unwrap_or_else(|| panic!("{name}: {value}"));
        assert!(PATHS.contains(&path), "{name}: {path}");
    }
    let keys = client.get("/adfs/discovery/keys").send().await.expect_status(200).json();
    assert_eq!(keys["keys"].as_array().expect("keys").len(), 1);
    assert!(keys["keys"][0].get("d").is_none(), "no private part");
    let other = client.with_host("localhost:7000").get(PATHS[0]).send().await.json();
    assert_eq!(other["issuer"], "http://localhost:7000/adfs");
}

#[tokio::test]
async fn a_token_is_good_under_every_name() {
    let registry = TestRegistry::start().await;
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let token = access_token(&registry.anonymous().with_host("localhost:7000"), &sp, ARM).await;
    assert_eq!(claims(&token)["iss"], "http://localhost:7000/adfs");
    subscriptions(&registry.anonymous(), &token).await.expect_status(200);
    let client = registry.anonymous();
    let user = client.get("/adfs/userinfo").header("authorization", format!("Bearer {token}"));
    assert_eq!(user.send().await.expect_status(200).json()["name"], "ci");
    let nobody = client.get("/adfs/userinfo").header("authorization", "Bearer x").send().await;
    nobody.expect_status(401).expect_header("www-authenticate", "Bearer error=\"invalid_token\"");
}

/// What a client signed for an authority at some address must not be good here because somebody writes that address.
#[tokio::test]
async fn assertions_are_taken_at_the_authoritys_own_names_only() {
    let registry = TestRegistry::start().await;
    let (id, _) = service_principal(&registry, "ci", &[]).await;
    let signed = format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"iss\":\"{id}\"}}")));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &id),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &signed),
    ];
    for (host, is_own) in [("localhost:7000", true), ("127.0.0.1:7000", true), ("192.0.2.7:7000", false)] {
        let reply = token(&registry.anonymous().with_host(host), &form).await.expect_status(401);
        assert_eq!(!text(&reply, "error_description").contains("own name"), is_own, "{host}");
    }
}
