//! Lines: the columns are ACR's, and what a client sends stays within them.

use serde_json::{Map, Value};

use super::*;
use crate::audit::line::{LINE_BYTES_MAX, Origin, encode};
use crate::audit::segment::mark_of;

fn columns(event: &Event<'_>) -> Map<String, Value> {
    let origin = Origin { region: "home".to_owned(), tenant: "a-tenant".to_owned() };
    let mut line = Vec::new();
    encode(&mut line, event, &origin, None);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one event is one line");
    assert!(line.len() < LINE_BYTES_MAX, "{} bytes", line.len());
    assert!(mark_of(&line).is_some(), "the index reads what is written");
    serde_json::from_slice(&line).unwrap()
}

/// The columns of ACR's tables ("Monitoring data reference") that are not the log service's own.
const LOGIN_COLUMNS: &[&str] = &[
    "CallerIpAddress",
    "Category",
    "CorrelationId",
    "DurationMs",
    "Identity",
    "JwtId",
    "LoginServer",
    "OperationName",
    "Region",
    "ResultDescription",
    "ResultType",
    "TimeGenerated",
    "UserAgent",
    "UserTenantId",
];
const REPOSITORY_COLUMNS: &[&str] = &[
    "ArtifactType",
    "CallerIpAddress",
    "Category",
    "CorrelationId",
    "Digest",
    "DurationMs",
    "Identity",
    "LoginServer",
    "MediaType",
    "OperationName",
    "Region",
    "Repository",
    "ResultDescription",
    "ResultType",
    "Size",
    "Tag",
    "TimeGenerated",
    "UserAgent",
    "UserTenantId",
];

#[test]
fn the_columns_are_those_of_acr_and_the_registry() {
    for (event, expected) in [(login(START), LOGIN_COLUMNS), (pull(START, ""), REPOSITORY_COLUMNS)] {
        let mut expected: Vec<&str> = expected.iter().copied().chain(["Registry"]).collect();
        expected.sort_unstable();
        let written = columns(&event);
        let mut names: Vec<&str> = written.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }
}

#[test]
fn a_pull_is_told_as_acr_tells_it() {
    let expected = serde_json::json!({
        "TimeGenerated": "2026-11-24T00:00:00.000000Z", "Category": "ContainerRegistryRepositoryEvents",
        "OperationName": "Pull", "Identity": "ann", "CallerIpAddress": "192.0.2.1",
        "CorrelationId": "00000000-0000-0000-0000-000000000001", "DurationMs": "2", "ResultType": "HttpStatusCode",
        "ResultDescription": "200", "Region": "home", "Registry": "contoso", "LoginServer": "contoso.example.com",
        "UserAgent": "docker/29.0", "UserTenantId": "a-tenant", "Repository": "team/app", "Tag": "v1",
        "Digest": DIGEST, "MediaType": "application/vnd.oci.image.manifest.v1+json", "ArtifactType": "", "Size": 527,
    });
    assert_eq!(Value::Object(columns(&pull(START, "v1"))), expected);
}

#[test]
fn a_denial_says_why_and_a_change_says_what() {
    let denied = columns(&denial(START));
    for (column, expected) in
        [("Reason", "Policy"), ("Detail", "no role of the principal allows it"), ("OperationName", "put_manifest")]
    {
        assert_eq!(denied[column], expected);
    }
    let path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/contoso/tokens/t";
    let changed = columns(&management(START, path));
    for (column, expected) in [
        ("Category", "Administrative"),
        ("ResourceId", path),
        ("Status", "Succeeded"),
        ("Registry", "contoso"),
        ("OperationName", "Microsoft.ContainerRegistry/registries/write"),
    ] {
        assert_eq!(changed[column], expected);
    }
}

#[test]
fn no_query_gets_in() {
    for secret in ["/registries/contoso?sig=hunter2", "/registries/contoso#hunter2"] {
        let events = [
            management(START, secret),
            Event::Denial(DenialEvent {
                request: request(START),
                operation: "write_management",
                reason: DenialReason::Authentication,
                detail: "",
                repository: "",
                resource: secret,
            }),
        ];
        for event in events {
            let written = serde_json::to_string(&columns(&event)).unwrap();
            assert!(!written.contains("hunter2") && !written.contains("sig"), "{written}");
        }
    }
}

#[test]
fn whatever_a_client_sends_stays_one_line_of_bounded_length() {
    let hostile = ["\n{\"Category\":\"Administrative\"}\n".repeat(100), "\u{0}".repeat(10_000), "ä".repeat(10_000)];
    for text in &hostile {
        let request = Request {
            correlation_id: text,
            identity: text,
            user_agent: text,
            registry: text,
            login_server: text,
            ..request(START)
        };
        let events = [
            Event::Login(LoginEvent { request, jwt_id: text, refused: None }),
            Event::Repository(RepositoryEvent {
                request,
                operation: RepositoryOperation::Push,
                repository: text,
                tag: text,
                digest: text,
                media_type: text,
                artifact_type: text,
                size: u64::MAX,
            }),
            Event::Management(ManagementEvent { request, action: text, resource: text, outcome: Outcome::Failed }),
        ];
        for event in events {
            let written = columns(&event);
            assert!(text.starts_with(written["UserAgent"].as_str().unwrap()));
        }
    }
}
