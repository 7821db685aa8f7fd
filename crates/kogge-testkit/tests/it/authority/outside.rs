//! Other issuers: a second installation's authority, trusted for people and for workloads.

use kogge_core::identity::federation::Federation;
use kogge_core::identity::issuer::may_fetch;

use super::*;

const AUDIENCE: &str = "api://kogge";

/// A registry that trusts another's authority, and that other.
async fn neighbours() -> (TestRegistry, TestRegistry, String) {
    let other = TestRegistry::start_with(&format!("[identity]\ndirectory-audiences = ['{AUDIENCE}']\n")).await;
    let issuer = format!("http://{}/adfs", other.addr());
    assert!(may_fetch(&issuer, true));
    let settings = format!(
        "[identity]\nloopback-issuers = true\n[[identity.issuer]]\nissuer = '{issuer}'\naudiences = ['{AUDIENCE}']\n"
    );
    let registry = TestRegistry::start_with(&settings).await;
    (registry, other, issuer)
}

#[tokio::test]
async fn people_of_a_trusted_issuer_have_the_roles_that_they_are_given() {
    let (registry, other, _) = neighbours().await;
    let client = registry.anonymous();
    let sp = service_principal(&other, "workload", &[]).await;
    let token = access_token(&other.anonymous(), &sp, AUDIENCE).await;
    subscriptions(&client, &token).await.expect_status(200);
    let refresh = text(&exchange(&client, &token).await.expect_status(200), "refresh_token");
    let pull = |refresh: String| {
        let client = client.clone();
        async move {
            let pairs = [
                ("grant_type", "refresh_token"),
                ("service", "localhost"),
                ("scope", "registry:catalog:*"),
                ("refresh_token", refresh.as_str()),
            ];
            let access = text(&post(&client, "/oauth2/token", &pairs).await.expect_status(200), "access_token");
            client.with_bearer(&access).get("/v2/_catalog").send().await.status
        }
    };
    assert_eq!(pull(refresh.clone()).await, 401, "no role yet");
    // What is not meant for us, and what the other gives for its own use, is nothing here.
    let own = access_token(&other.anonymous(), &sp, ARM).await;
    subscriptions(&client, &own).await.expect_status(401);
    exchange(&client, &own).await.expect_status(401);
    // The other's issuer may not be trusted back.
    subscriptions(&other.anonymous(), &token).await.expect_status(401);
    assign(&registry, &claims(&token)["oid"]).await;
    assert_eq!(pull(refresh).await, 200, "at once, with the login of before");
}

/// Gives somebody outside the right to read the default registry.
async fn assign(registry: &TestRegistry, id: &Value) {
    let sp = service_principal(registry, "operator", &[role("Owner", "/")]).await;
    let client = registry.anonymous();
    let owner = access_token(&client, &sp, ARM).await;
    let deployment = registry.core().deployment();
    let scope = format!(
        "{}/resourceGroups/default/providers/Microsoft.ContainerRegistry/registries/default",
        deployment.path()
    );
    let body = serde_json::json!({ "properties": {
        "principalId": id,
        "principalType": "ServicePrincipal",
        "roleDefinitionId": format!(
            "{}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d",
            deployment.path()
        ),
    }});
    let path = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/a0a1a2a3-a4a5-46a7-a8a9-aaabacadaeaf\
         ?api-version=2022-04-01"
    );
    let reply = client.put(path).header("authorization", format!("Bearer {owner}")).body(body.to_string()).send().await;
    assert!(reply.status.is_success(), "{}", reply.text());
}

#[tokio::test]
async fn a_workload_elsewhere_is_a_service_principal_here() {
    let (registry, other, issuer) = neighbours().await;
    let client = registry.anonymous();
    let (id, _) = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let workload = service_principal(&other, "workload", &[]).await;
    let assertion = access_token(&other.anonymous(), &workload, AUDIENCE).await;
    let subject = claims(&assertion)["sub"].as_str().expect("a subject").to_owned();
    let ask = |client_id: String, assertion: String| {
        let client = client.clone();
        async move {
            let pairs = [
                ("grant_type", "client_credentials"),
                ("client_id", client_id.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.as_str()),
                ("scope", "https://management.localhost/.default"),
            ];
            token(&client, &pairs).await
        }
    };
    assert_eq!(text(&ask(id.clone(), assertion.clone()).await.expect_status(401), "error"), "invalid_client");
    let rule = Federation { issuer, subject, audience: AUDIENCE.to_owned() };
    let credential = NewCredential::Federation { name: "workload".to_owned(), rule };
    registry.core().add_credential(&id, credential).await.expect("a federated credential");
    let reply = ask(id.clone(), assertion.clone()).await.expect_status(200);
    subscriptions(&client, &text(&reply, "access_token")).await.expect_status(200);
    ask(id.clone(), assertion.clone()).await.expect_status(200);
    let another = service_principal(&other, "another", &[]).await;
    let foreign = access_token(&other.anonymous(), &another, AUDIENCE).await;
    ask(id.clone(), foreign).await.expect_status(401);
    let elsewhere = access_token(&other.anonymous(), &workload, ARM).await;
    ask(id, elsewhere).await.expect_status(401);
}

#[tokio::test]
async fn a_trusted_issuers_new_key_is_found() {
    let (registry, other, _) = neighbours().await;
    let sp = service_principal(&other, "workload", &[]).await;
    other.core().rotate_keys().await.expect("a new key");
    let token = access_token(&other.anonymous(), &sp, AUDIENCE).await;
    subscriptions(&registry.anonymous(), &token).await.expect_status(200);
}
