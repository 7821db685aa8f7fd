//! The directory: names are told to who may see who has which role, and to nobody else.

use kogge_core::identity::principal::Assigned;
use kogge_testkit::TestRegistry;
use kogge_testkit::http::{Client, Reply};
use serde_json::{Value, json};

const PASSWORD: &str = "a-long-password";

/// A client with a token of a user for `audience`.
async fn client(registry: &TestRegistry, user: &str, audience: &str) -> Client {
    let anonymous = registry.anonymous();
    let scope = format!("{audience}/.default").replace(':', "%3A").replace('/', "%2F");
    let azure_cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    let form = format!("grant_type=password&client_id={azure_cli}&username={user}&password={PASSWORD}&scope={scope}");
    let request = anonymous.post("/adfs/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
    let token = request.body(form).send().await.expect_status(200).json()["access_token"].take();
    anonymous.with_bearer(token.as_str().expect("a token"))
}

async fn by_ids(client: &Client, ids: &[&str]) -> Reply {
    let body = json!({ "ids": ids, "types": ["user", "group", "servicePrincipal"] });
    let request = client.post("/v1.0/directoryObjects/getByIds").header("content-type", "application/json");
    request.body(body.to_string()).send().await
}

fn code(reply: &Reply) -> Value {
    reply.json()["error"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_for_those_who_may_see_roles() {
    let registry = TestRegistry::start().await;
    let core = registry.core();
    let base = format!("http://{}", registry.addr());
    let reader = Assigned { role: "Reader".to_owned(), scope: "/".to_owned() };
    let reader_id = core.create_user("reader", PASSWORD, &[reader]).await.expect("made").to_string();
    core.create_user("nobody", PASSWORD, &[]).await.expect("made");
    let program = core.create_service_principal("robot", None, &[]).await.expect("made");
    let (program_id, app_id) = (program.object_id.to_string(), program.app_id.to_string());

    let metadata = registry.anonymous().get("/metadata/endpoints?api-version=2022-09-01").send().await.json();
    assert_eq!(metadata["microsoftGraphResourceId"], base.as_str());
    let knowing = client(&registry, "reader", &base).await;
    let found = by_ids(&knowing, &[&reader_id, &program_id, "x", "00000000-0000-0000-0000-000000000000"]).await;
    let found = found.expect_status(200).json();
    let described: Vec<_> = found["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["@odata.type"], &one["displayName"]))
        .collect();
    let (user, application) = (json!("#microsoft.graph.user"), json!("#microsoft.graph.servicePrincipal"));
    let (name, robot) = (json!("reader"), json!("robot"));
    assert!(described.len() == 2 && described.contains(&(&user, &name)) && described.contains(&(&application, &robot)));
    for (path, expected) in [
        (format!("servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'{app_id}')"), json!([program_id])),
        ("servicePrincipals?$filter=displayName%20eq%20'reader'".to_owned(), json!([])),
        ("users?$filter=userPrincipalName%20eq%20'reader'".to_owned(), json!([reader_id])),
        ("groups?$filter=displayName%20eq%20'reader'".to_owned(), json!([])),
    ] {
        let found = knowing.get(format!("/v1.0/{path}")).send().await.expect_status(200).json();
        let ids: Vec<&Value> = found["value"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert_eq!(json!(ids), expected, "{path}");
    }
    let shown = knowing.get(format!("/v1.0/servicePrincipals/{program_id}")).send().await.expect_status(200);
    assert_eq!(shown.json()["appId"], app_id.as_str());
    let unknown = knowing.get(format!("/v1.0/users/{program_id}")).send().await.expect_status(404);
    assert_eq!(code(&unknown), "Request_ResourceNotFound");
    assert_eq!(code(&knowing.get("/v1.0/users").send().await.expect_status(400)), "Request_UnsupportedQuery");
    assert_eq!(code(&knowing.get("/v1.0/applications").send().await.expect_status(404)), "Request_ResourceNotFound");
    assert_eq!(code(&knowing.delete("/v1.0/users").send().await.expect_status(404)), "Request_ResourceNotFound");
    let many = vec![reader_id.as_str(); 1_001];
    assert_eq!(code(&by_ids(&knowing, &many).await.expect_status(400)), "Request_BadRequest");

    let unknowing = client(&registry, "nobody", &base).await;
    assert_eq!(code(&by_ids(&unknowing, &[&reader_id]).await.expect_status(403)), "Authorization_RequestDenied");
    let managing = client(&registry, "reader", "https://management.localhost").await;
    for refused in [managing, registry.anonymous()] {
        let reply = by_ids(&refused, &[&reader_id]).await.expect_status(401);
        assert_eq!(code(&reply), "InvalidAuthenticationToken");
    }
    let elsewhere = knowing.with_host(&format!("default.localhost:{}", registry.addr().port()));
    by_ids(&elsewhere, &[&reader_id]).await.expect_status(404);
    let other = knowing.get("/subscriptions?api-version=2022-12-01").send().await;
    other.expect_status(401);
}
