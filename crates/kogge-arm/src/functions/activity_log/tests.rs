use std::time::Duration;

use kogge_core::audit::{AuditSettings, Retention};
use kogge_core::auth::Caller;

use super::*;
use crate::fixture::{Bench, bench};

/// A deployment that keeps an audit in this folder.
async fn audited(folder: &tempfile::TempDir) -> Bench {
    let bench = bench().await;
    let retention =
        Retention { time: Duration::from_secs(86_400), bytes_max: 1024 * 1024, segment_bytes_max: 64 * 1024 };
    let settings = AuditSettings {
        folder: Some(folder.path().to_owned()),
        retention,
        copy: None,
        region: "local".to_owned(),
        tenant: bench.deployment.tenant.clone(),
    };
    bench.core.open_audit(settings).await.unwrap();
    bench
}

fn log(filter: &str) -> String {
    let filter = filter.replace(' ', "%20");
    let filter = if filter.is_empty() { filter } else { format!("?$filter={filter}") };
    format!("/providers/Microsoft.Insights/eventtypes/management/values{filter}")
}

/// What an event says was done, to what, and with what result.
fn told(event: &Value) -> String {
    let text = |key: &str| event[key]["value"].as_str().unwrap().to_owned();
    let code = event["properties"]["statusCode"].as_str().unwrap();
    format!("{} {} {code}", text("operationName").rsplit_once("Microsoft.").unwrap().1, text("status"))
}

#[tokio::test]
async fn operations_failures_and_refusals_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let bench = audited(&folder).await;
    let (group, map) = (bench.group("Dev"), format!("{}/scopeMaps/broken", bench.registry("default", "default")));
    bench.put(&group, json!({ "location": "local" })).ok().await;
    bench.get(&group).ok().await;
    bench.put(&map, json!({ "properties": { "actions": ["none"] } })).refusal().await;
    let stranger = bench.reader_of("default").await;
    bench.delete(&group).by(&stranger).refusal().await;
    bench.get(&group).by(&Caller::anonymous()).refusal().await;
    bench.delete(&group).ok().await;
    let subscription = bench.deployment.subscription_path();
    let events = bench.all(&format!("{subscription}{}", log(""))).await;
    assert_eq!(
        events.iter().map(told).collect::<Vec<_>>(),
        [
            "Resources/subscriptions/resourceGroups/delete Succeeded 200",
            "Resources/subscriptions/resourceGroups/read Failed 401",
            "Resources/subscriptions/resourceGroups/delete Failed 403",
            "ContainerRegistry/registries/scopeMaps/write Failed 400",
            "Resources/subscriptions/resourceGroups/write Succeeded 201",
        ]
    );
    let refused = &events[2];
    assert_eq!((&refused["caller"], &refused["resourceGroupName"]), (&json!("reader"), &json!("Dev")));
    assert_eq!((&refused["resourceId"], &refused["correlationId"]), (&json!(group), &json!("a correlation id")));
    assert_eq!(refused["subStatus"]["value"], "Forbidden (HTTP Status Code: 403)");
    assert_eq!(refused["properties"]["reason"], "Policy");
    assert_eq!(refused["httpRequest"]["clientIpAddress"], "127.0.0.1");
    assert_eq!(refused["eventTimestamp"], "2026-01-01T00:00:00.000000Z");
    for (filter, count) in [
        ("resourceGroupName eq 'dev'", 4),
        ("resourceProvider eq 'Microsoft.ContainerRegistry'", 1),
        (&format!("resourceUri eq '{map}'"), 1),
        ("caller eq 'reader'", 1),
        ("status eq 'Succeeded'", 2),
        ("eventTimestamp ge '2026-01-01T00:00:00Z' and eventTimestamp le '2026-01-01T00:00:00Z'", 5),
        ("eventTimestamp ge '2026-01-01T00:00:01Z'", 0),
        ("eventTimestamp ge '2026-01-01T00:00:00.000000'", 5),
        ("eventTimestamp ge '2026-01-01T00:00:00.000001'", 0),
        ("correlationId eq 'another'", 0),
    ] {
        assert_eq!(bench.all(&format!("{subscription}{}", log(filter))).await.len(), count, "{filter}");
    }
    assert_eq!(bench.all(&format!("{subscription}{}?$top=2", log(""))).await, events);
    assert_eq!(bench.all(&log("")).await, events);
    let elsewhere = format!("{subscription}{}", log("resourceUri eq '/subscriptions/other'"));
    assert_eq!(bench.get(&elsewhere).refusal().await.1, "InvalidFilterInQueryString");
    assert_eq!(bench.get(&format!("{subscription}{}", log(""))).by(&stranger).refusal().await.0, 403);
}

#[tokio::test]
async fn assignments_at_the_top_are_in_the_tenants_log_and_secrets_in_none() {
    let folder = tempfile::tempdir().unwrap();
    let bench = audited(&folder).await;
    let registry = bench.registry("default", "default");
    bench
        .put(
            &format!("{registry}/tokens/user1"),
            json!({ "properties": { "scopeMapId": format!("{registry}/scopeMaps/_repositories_pull") } }),
        )
        .ok()
        .await;
    let made = bench
        .post(&format!("{registry}/generateCredentials"), json!({ "tokenId": format!("{registry}/tokens/user1") }))
        .ok()
        .await;
    bench
        .delete("/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111")
        .reply()
        .await;
    let events = bench.all(&log("")).await;
    assert_eq!(
        events.iter().map(told).collect::<Vec<_>>(),
        [
            "Authorization/roleAssignments/delete Succeeded 204",
            "ContainerRegistry/registries/generateCredentials/action Succeeded 200",
            "ContainerRegistry/registries/tokens/write Succeeded 201",
        ]
    );
    let audit = bench.get(&format!("{registry}/auditEvents")).ok().await;
    let written = format!("{audit}{events:?}");
    for password in made["passwords"].as_array().unwrap() {
        assert!(!written.contains(password["value"].as_str().unwrap()));
    }
    assert_eq!(audit["value"].as_array().unwrap().len(), 2);
    assert_eq!(audit["value"][0]["Registry"], "default");
    // The position leads on from where the page ended, whatever is asked then.
    let first = bench.get(&format!("{registry}/auditEvents?order=oldest&$top=1")).ok().await;
    assert_eq!(first["value"][0]["OperationName"], "Microsoft.ContainerRegistry/registries/tokens/write");
    let position = first["position"].as_str().unwrap();
    let next = bench.get(&format!("{registry}/auditEvents?order=oldest&$skipToken={position}")).ok().await;
    assert_eq!(next["value"], json!([audit["value"][0]]));
    assert!(next.get("nextLink").is_none());
    let end = next["position"].as_str().unwrap();
    let later = format!("{registry}/auditEvents?order=oldest&$skipToken={end}");
    assert_eq!(bench.get(&later).ok().await["value"], json!([]));
    let all = format!(
        "{}/providers/Microsoft.ContainerRegistry/auditEvents?kind=management&$top=2",
        bench.deployment.subscription_path()
    );
    assert_eq!(bench.all(&all).await.len(), 3);
    let kind = bench.get(&format!("{registry}/auditEvents?kind=all")).refusal().await;
    assert_eq!((kind.1.as_str(), kind.2.as_deref()), ("InvalidParameter", Some("kind")));
}

#[tokio::test]
async fn an_audit_that_is_not_kept_cannot_be_asked() {
    let bench = bench().await;
    let refused = bench.get(&log("")).refusal().await;
    assert_eq!((refused.0, refused.1.as_str()), (409, "AuditNotKept"));
}

#[test]
fn a_filter_of_the_activity_log() {
    let read = |filter: &str| Asked::read(Some(filter), "/subscriptions/s");
    let asked = read("eventTimestamp ge '2026-11-24T00:00:00Z' and eventTimestamp le 2026-11-25T00:00:00Z");
    let query = asked.expect("a filter").query;
    assert_eq!((query.from_us, query.to_us), (Some(1_795_478_400_000_000), Some(1_795_564_800_000_001)));
    assert_eq!(query.resource.as_deref(), Some("/subscriptions/s"));
    let asked = read("resourceGroupName eq 'g' and eventChannels eq 'Admin, Operation' and resourceProvider eq 'P'");
    let asked = asked.expect("a filter");
    assert_eq!(asked.query.resource.as_deref(), Some("/subscriptions/s/resourceGroups/g"));
    assert_eq!(asked.provider.as_deref(), Some("P"));
    for bad in ["eventTimestamp gt '2026-11-24T00:00:00Z'", "eventTimestamp ge 'now'", "atScope()", "size eq '1'"] {
        assert_eq!(read(bad).expect_err(bad).code, "InvalidFilterInQueryString", "{bad}");
    }
}

#[test]
fn an_operation_is_of_a_provider_and_a_type() {
    let registries = "Microsoft.ContainerRegistry/registries";
    for operation in ["write", "delete", "listCredentials/action"] {
        let operation = format!("{registries}/{operation}");
        assert_eq!(type_of(&operation), ("Microsoft.ContainerRegistry", registries), "{operation}");
    }
    assert_eq!(resource_group("/subscriptions/s/resourceGroups/G/providers/p"), Some("G"));
    assert_eq!(resource_group("/subscriptions/s"), None);
    assert_eq!(sub_status("403"), "Forbidden (HTTP Status Code: 403)");
}
