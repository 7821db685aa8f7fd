//! The audit: what is recorded comes out again, once, in order and bounded, whatever happens to the disk.

mod changes;
mod columns;
mod files;
mod overflow;
mod pages;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kogge_types::ManualClock;

use super::{
    AuditQuery, AuditSettings, DenialEvent, DenialReason, Event, LoginEvent, ManagementEvent, Order, Outcome, Record,
    Recorder, RepositoryEvent, RepositoryOperation, Request, Retention,
};

/// 2026-11-24T00:00:00Z.
const START: i64 = 1_795_478_400_000_000;
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn retention() -> Retention {
    Retention { time: Duration::from_secs(3_600), bytes_max: u64::MAX, segment_bytes_max: 64 * 1024 }
}

fn settings(folder: &Path) -> AuditSettings {
    AuditSettings {
        folder: Some(folder.to_owned()),
        retention: retention(),
        copy: None,
        region: "home".to_owned(),
        tenant: "a-tenant".to_owned(),
    }
}

fn open(folder: &Path) -> (Recorder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    (Recorder::open(settings(folder), Arc::clone(&clock) as _).unwrap(), clock)
}

fn request(time_us: i64) -> Request<'static> {
    Request {
        time_us,
        duration: Duration::from_micros(1_001),
        correlation_id: "00000000-0000-0000-0000-000000000001",
        client: Some(IpAddr::from([192, 0, 2, 1])),
        identity: "ann",
        user_agent: "docker/29.0",
        registry: "contoso",
        login_server: "contoso.example.com",
        status: 200,
    }
}

fn pull(time_us: i64, tag: &str) -> Event<'_> {
    repository(RepositoryOperation::Pull, time_us, tag)
}

fn repository(operation: RepositoryOperation, time_us: i64, tag: &str) -> Event<'_> {
    Event::Repository(RepositoryEvent {
        request: request(time_us),
        operation,
        repository: "team/app",
        tag,
        digest: DIGEST,
        media_type: "application/vnd.oci.image.manifest.v1+json",
        artifact_type: "",
        size: 527,
    })
}

fn denial(time_us: i64) -> Event<'static> {
    Event::Denial(DenialEvent {
        request: Request { status: 403, ..request(time_us) },
        operation: "put_manifest",
        reason: DenialReason::Policy,
        detail: "no role of the principal allows it",
        repository: "team/app",
        resource: "",
    })
}

fn login(time_us: i64) -> Event<'static> {
    Event::Login(LoginEvent { request: request(time_us), jwt_id: "an-id", refused: None })
}

fn management<'a>(time_us: i64, resource: &'a str) -> Event<'a> {
    let action = "Microsoft.ContainerRegistry/registries/write";
    let request = Request { registry: "", ..request(time_us) };
    Event::Management(ManagementEvent { request, action, resource, outcome: Outcome::Succeeded })
}

async fn ask(recorder: &Recorder, query: AuditQuery) -> Vec<Record> {
    let page = recorder.query(query).await.unwrap();
    assert!(!page.more, "the test asks for more than a page");
    page.records
}

/// Everything, the oldest first.
async fn all(recorder: &Recorder) -> Vec<Record> {
    ask(recorder, AuditQuery { order: Order::OldestFirst, limit: 1_000, ..AuditQuery::default() }).await
}

fn tags(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.text("Tag")).collect()
}

/// Paths of the segments, the oldest first.
fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    paths.sort();
    paths
}
