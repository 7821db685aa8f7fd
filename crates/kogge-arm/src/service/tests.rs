use http::Method;
use kogge_core::auth::Caller;
use serde_json::{Value, json};

use crate::fixture::{Bench, bench};
use crate::operation::operations;

fn names(listed: &[Value]) -> Vec<&str> {
    listed.iter().map(|resource| resource["name"].as_str().unwrap()).collect()
}

async fn make(bench: &Bench, group: &str, registries: &[&str]) {
    bench.put(&bench.group(group), json!({ "location": "here", "tags": { "env": group } })).ok().await;
    for name in registries {
        bench.put(&bench.registry(group, name), json!({ "location": "here" })).ok().await;
    }
}

#[tokio::test]
async fn lists_come_in_pages_of_what_the_caller_may_read() {
    let bench = bench().await;
    make(&bench, "First", &["reg02", "reg01", "reg03"]).await;
    make(&bench, "Second", &["reg00"]).await;
    let subscription = bench.deployment.subscription_path();
    let all = format!("{subscription}/providers/Microsoft.ContainerRegistry/registries");
    let of_first = format!("{}/providers/Microsoft.ContainerRegistry/registries", bench.group("first"));
    assert_eq!(names(&bench.all(&of_first).await), ["reg01", "reg02", "reg03"]);
    for top in 1..=6 {
        let paged = bench.all(&format!("{all}?$top={top}")).await;
        assert_eq!(names(&paged), ["default", "reg01", "reg02", "reg03", "reg00"], "{top}");
        let first = bench.get(&format!("{all}?$top={top}")).ok().await;
        assert_eq!(first.get("nextLink").is_some(), top < 5, "{top}");
    }
    assert_eq!(bench.all(&of_first).await[0]["id"], bench.registry("First", "reg01"));
    let groups = format!("{subscription}/resourcegroups");
    assert_eq!(names(&bench.all(&groups).await), ["default", "First", "Second"]);
    assert_eq!(names(&bench.all(&format!("{groups}?$filter=tagName%20eq%20'env'")).await), ["First", "Second"]);
    let reader = bench.reader_of("reg02").await;
    for address in [all.as_str(), of_first.as_str(), &format!("{subscription}/resources")] {
        let seen = bench.get(address).by(&reader).ok().await;
        assert_eq!(names(seen["value"].as_array().unwrap()), ["reg02"], "{address}");
    }
    assert_eq!(bench.get(&groups).by(&reader).ok().await["value"], json!([]));
}

/// A list tells nobody which resource groups there are who may not know.
#[tokio::test]
async fn a_group_that_is_not_there_looks_like_one_that_may_not_be_seen() {
    let bench = bench().await;
    make(&bench, "First", &["reg01"]).await;
    make(&bench, "Second", &["reg02"]).await;
    let reader = bench.reader_of("reg01").await;
    for list in ["resources", "providers/Microsoft.ContainerRegistry/registries"] {
        for group in ["second", "nowhere"] {
            let seen = bench.get(&format!("{}/{list}", bench.group(group))).by(&reader).ok().await;
            assert_eq!(seen, json!({ "value": [] }), "{list} of {group}");
        }
        let told = bench.get(&format!("{}/{list}", bench.group("nowhere"))).refusal().await;
        assert_eq!(told.1, "ResourceGroupNotFound", "{list}");
    }
}

#[tokio::test]
async fn resources_of_all_types_are_found_by_type_and_name() {
    let bench = bench().await;
    make(&bench, "First", &["reg01", "reg02"]).await;
    let resources = format!("{}/resources", bench.deployment.subscription_path());
    let by_type = "resourceType eq 'Microsoft.ContainerRegistry/registries'".replace(' ', "%20");
    let found = bench.all(&format!("{resources}?$filter={by_type}")).await;
    assert_eq!(names(&found), ["default", "reg01", "reg02"]);
    assert_eq!(found[1]["id"], bench.registry("First", "reg01"));
    assert!(found[1].get("properties").is_none());
    let one = bench.all(&format!("{resources}?$filter={by_type}%20and%20name%20eq%20'REG02'")).await;
    assert_eq!(names(&one), ["reg02"]);
    let others =
        bench.all(&format!("{resources}?$filter=resourceType%20eq%20'Microsoft.Compute/virtualMachines'")).await;
    assert!(others.is_empty());
    assert_eq!(names(&bench.all(&format!("{}/resources?$top=1", bench.group("first"))).await), ["reg01", "reg02"]);
    assert_eq!(
        bench.get(&format!("{resources}?$filter=size%20gt%201")).refusal().await.1,
        "InvalidFilterInQueryString"
    );
}

#[tokio::test]
async fn resource_groups_live_as_azures_do() {
    let bench = bench().await;
    let path = bench.group("My.Group-1");
    assert_eq!(bench.ask(Method::HEAD, &path).reply().await.status, 404);
    assert_eq!(bench.put(&path, json!({})).refusal().await.1, "LocationRequired");
    let reply = bench.put(&path, json!({ "location": "West Europe", "tags": { "a": "b" } })).reply().await;
    let body = reply.body.unwrap();
    assert_eq!((reply.status.as_u16(), &body["type"]), (201, &json!("Microsoft.Resources/resourceGroups")));
    assert_eq!(body["properties"], json!({ "provisioningState": "Succeeded" }));
    assert_eq!(bench.ask(Method::HEAD, &path.to_lowercase()).reply().await.status, 204);
    let again = bench.put(&path.to_lowercase(), json!({ "location": "westeurope" })).reply().await;
    assert_eq!((again.status.as_u16(), &again.body.unwrap()["name"]), (200, &json!("My.Group-1")));
    assert_eq!(bench.put(&path, json!({ "location": "eastus" })).refusal().await.1, "InvalidResourceLocation");
    assert_eq!(bench.put(&bench.group("a."), json!({ "location": "a" })).refusal().await.1, "InvalidResourceName");
}

#[tokio::test]
async fn clients_find_their_way() {
    let bench = bench().await;
    let endpoints = bench.get("/metadata/endpoints").by(&Caller::anonymous()).ok().await;
    assert_eq!(endpoints["authentication"]["loginEndpoint"], "https://example.com:8443/adfs");
    assert_eq!(endpoints["suffixes"]["acrLoginServer"], "example.com:8443");
    let subscription = bench.get("/subscriptions").ok().await["value"][0].clone();
    assert_eq!(subscription["subscriptionId"], bench.deployment.subscription.as_str());
    let path = subscription["id"].as_str().unwrap();
    assert_eq!(bench.get(path).ok().await, subscription);
    assert_eq!(bench.get("/tenants").ok().await["value"][0]["tenantId"], bench.deployment.tenant.as_str());
    let provider = bench.get(&format!("{path}/providers/microsoft.containerregistry")).ok().await;
    assert_eq!(provider["registrationState"], "Registered");
    assert!(provider["resourceTypes"].as_array().unwrap().iter().any(|ty| ty["resourceType"] == "registries"));
    let register = format!("{path}/providers/Microsoft.ContainerRegistry/register");
    assert_eq!(bench.post(&register, json!({})).ok().await["namespace"], "Microsoft.ContainerRegistry");
    let rights = bench.get("/providers/Microsoft.ContainerRegistry/operations").ok().await;
    let has = |name: &str| rights["value"].as_array().unwrap().iter().any(|right| right["name"] == name);
    assert!(has("Microsoft.ContainerRegistry/registries/listCredentials/action"));
    assert_eq!(bench.get(&format!("{path}/providers/Microsoft.Compute")).refusal().await.1, "InvalidResourceNamespace");
}

#[tokio::test]
async fn features_of_later_versions_are_refused_and_lists_of_them_are_empty() {
    let bench = bench().await;
    let registry = bench.registry("default", "default");
    for list in ["webhooks", "tasks", "privateEndpointConnections", "cacheRules"] {
        assert_eq!(bench.get(&format!("{registry}/{list}")).ok().await, json!({ "value": [] }), "{list}");
    }
    let nowhere = bench.registry("default", "nowhere");
    assert_eq!(bench.get(&format!("{nowhere}/tasks")).refusal().await.1, "ParentResourceNotFound");
    let refused = [
        bench.put(&format!("{registry}/webhooks/hook"), json!({ "location": "here" })),
        bench.post(&format!("{registry}/importImage"), json!({})),
        bench.post(&format!("{registry}/scheduleRun"), json!({})),
        bench.post(&format!("{registry}/runs/r1/cancel"), json!({})),
        bench.delete(&format!("{registry}/cacheRules/rule")),
    ];
    for ask in refused {
        let (status, code, _) = ask.refusal().await;
        assert_eq!((status, code.as_str()), (400, "FeatureNotAvailable"));
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told() {
    let bench = bench().await;
    let (status, code, _) =
        bench.get("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups").refusal().await;
    assert_eq!((status, code.as_str()), (404, "SubscriptionNotFound"));
    let assignment = "/providers/Microsoft.Authorization/roleAssignments/6f9f6ea4-4b19-4d9f-bb6e-1b6a7f3f8a01";
    let elsewhere = format!("/subscriptions/00000000-0000-0000-0000-000000000000{assignment}");
    assert_eq!(bench.put(&elsewhere, json!({})).refusal().await.1, "SubscriptionNotFound");
    assert_eq!(bench.get("/nothing/here").refusal().await.1, "NotFound");
    assert_eq!(bench.get("/subscriptions//x").refusal().await.1, "InvalidRequestUri");
    let not_there = bench.post(&bench.group("default"), json!({})).reply().await;
    assert_eq!(
        (not_there.status.as_u16(), not_there.headers["allow"].to_str().unwrap()),
        (405, "GET, HEAD, PUT, PATCH, DELETE")
    );
    assert!(not_there.headers.contains_key("api-supported-versions"));
}

/// Every operation that names a right is refused without it, whatever is there, and tells what is missing.
#[tokio::test]
async fn every_operation_asks_for_its_right() {
    let bench = bench().await;
    make(&bench, "first", &["reg01"]).await;
    let reader = bench.reader_of("reg01").await;
    for operation in operations() {
        let path = operation.path().replace("/{scope}", "").replace("{subscriptionId}", &bench.deployment.subscription);
        let anonymous = bench.ask(operation.method().clone(), &path).by(&Caller::anonymous()).reply().await;
        let answers_anybody = operation.name() == "Metadata_ListEndpoints";
        assert_eq!(anonymous.status == 401, !answers_anybody, "{}", operation.name());
        let Some(action) = operation.action() else { continue };
        let reply = bench.ask(operation.method().clone(), &path).by(&reader).reply().await;
        if operation.lists_across() {
            // Before a list says that its holder is not there, it has nothing to show.
            assert!(matches!(reply.status.as_u16(), 200 | 404), "{}", operation.name());
        } else {
            assert_eq!(reply.status, 403, "{}", operation.name());
            let message = reply.body.unwrap()["error"]["message"].to_string();
            assert!(message.contains(action) && message.contains("reader"), "{message}");
        }
    }
}
