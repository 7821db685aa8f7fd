//! Changes from the journal: every one is told once, whether a request told of it, none did, or a crash took it along.

use kogge_types::Digest;

use super::*;
use crate::audit::Kind;
use crate::audit::journal::{CONSUMER, Follower, LAG};
use crate::fixture::{Bench, bench};

async fn audited() -> (Bench, tempfile::TempDir) {
    let (bench, folder) = (bench().await, tempfile::tempdir().unwrap());
    bench.core.open_audit(settings(folder.path())).await.unwrap();
    (bench, folder)
}

async fn follower(bench: &Bench) -> Follower {
    Follower::open(&bench.core).await.unwrap().expect("there is an audit")
}

/// Lets time pass until every change is old enough, and follows.
async fn follow(bench: &Bench, follower: &mut Follower) {
    bench.clock.advance(LAG + Duration::from_secs(2));
    follower.advance(&bench.core).await.unwrap();
}

async fn cursor(bench: &Bench) -> i64 {
    bench.meta.read(|snapshot| snapshot.cursor(CONSUMER)).await.unwrap()
}

/// What is told of repositories: operation, tag, whether from the journal.
async fn told(bench: &Bench) -> Vec<(String, String, bool)> {
    let query =
        AuditQuery { kinds: vec![Kind::Repository], order: Order::OldestFirst, limit: 1_000, ..AuditQuery::default() };
    let records = ask(bench.core.audit(), query).await;
    let columns = records.iter().map(|record| {
        let from_journal = record.columns.contains_key("JournalSequence");
        (record.text("OperationName").to_owned(), record.text("Tag").to_owned(), from_journal)
    });
    columns.collect()
}

/// What the request of a push leaves behind.
fn tell_push(bench: &Bench, tag: &str, digest: &Digest) {
    let event = RepositoryEvent {
        request: Request { registry: "default", status: 201, ..request(bench.core.now_us()) },
        operation: RepositoryOperation::Push,
        repository: "app",
        tag,
        digest: &digest.to_string(),
        media_type: "",
        artifact_type: "",
        size: 1,
    };
    bench.core.audit().record(&Event::Repository(event));
}

fn tell(bench: &Bench, operation: RepositoryOperation, tag: &str) {
    let event = RepositoryEvent {
        request: Request { registry: "default", status: 202, ..request(bench.core.now_us()) },
        operation,
        repository: "app",
        tag,
        digest: "",
        media_type: "",
        artifact_type: "",
        size: 0,
    };
    bench.core.audit().record(&Event::Repository(event));
}

fn row(operation: &str, tag: &str, from_journal: bool) -> (String, String, bool) {
    (operation.to_owned(), tag.to_owned(), from_journal)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_told_of_is_not_told_again() {
    let (bench, _folder) = audited().await;
    let mut follower = follower(&bench).await;
    let digest = bench.push("app", "v1", &[b"config"]).await;
    tell_push(&bench, "v1", &digest);
    bench.core.delete_tag(&bench.target("app"), &"v1".parse().unwrap()).await.unwrap();
    tell(&bench, RepositoryOperation::Untag, "v1");
    bench.core.delete_manifest(&bench.target("app"), &digest).await.unwrap();
    tell(&bench, RepositoryOperation::Delete, "");
    follow(&bench, &mut follower).await;
    assert_eq!(told(&bench).await, [row("Push", "v1", false), row("Untag", "v1", false), row("Delete", "", false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_told_of_comes_from_the_journal() {
    let (bench, _folder) = audited().await;
    let mut follower = follower(&bench).await;
    let digest = bench.push("app", "v1", &[b"config"]).await;
    // Another push of the same time: told by its request, it does not stand for the first.
    let other = bench.push("app", "v2", &[b"other"]).await;
    tell_push(&bench, "v2", &other);
    follower.advance(&bench.core).await.unwrap();
    assert_eq!(told(&bench).await, [row("Push", "v2", false)], "a request may still be on its way");
    follow(&bench, &mut follower).await;
    let rows = told(&bench).await;
    let mut from_journal: Vec<_> = rows.iter().filter(|(.., from_journal)| *from_journal).cloned().collect();
    from_journal.sort();
    assert_eq!(from_journal, [row("Push", "", true), row("Push", "v1", true)]);
    let query = AuditQuery { operation: Some("push".to_owned()), limit: 10, ..AuditQuery::default() };
    let records = ask(bench.core.audit(), query).await;
    assert!(records.iter().any(|record| record.text("Digest") == digest.to_string()
        && record.text("Registry") == "default"
        && record.text("Identity").is_empty()));
    bench.clock.advance(Duration::from_secs(60));
    bench.core.delete_repository(&bench.target("app")).await.unwrap();
    bench.core.put_user("ann", "a long enough password", &[]).await.unwrap();
    follow(&bench, &mut follower).await;
    assert_eq!(told(&bench).await.last(), Some(&row("Delete", "", true)));
    let query = AuditQuery { kinds: vec![Kind::Management], limit: 10, ..AuditQuery::default() };
    let records = ask(bench.core.audit(), query).await;
    assert!(records.iter().any(|record| record.text("ResourceId") == "/principals/ann"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_nothing_twice_and_forgets_nothing() {
    let (bench, folder) = audited().await;
    let mut first = follower(&bench).await;
    let digest = bench.push("app", "v1", &[b"config"]).await;
    tell_push(&bench, "v1", &digest);
    bench.push("app", "v2", &[b"unseen"]).await;
    follow(&bench, &mut first).await;
    let before = told(&bench).await;
    assert_eq!(before.len(), 3);
    // The process dies: what was told is in the files, the cursor was not written.
    assert!(bench.core.audit().flush().await);
    let start = cursor(&bench).await;
    let last = bench.push("app", "v3", &[b"last"]).await;
    tell_push(&bench, "v3", &last);
    assert!(bench.core.audit().flush().await);
    bench.push("app", "v4", &[b"lost with the process"]).await;
    let bench = bench.restart("another boot").await;
    bench.core.open_audit(settings(folder.path())).await.unwrap();
    assert_eq!(cursor(&bench).await, start);
    let mut second = follower(&bench).await;
    follow(&bench, &mut second).await;
    let after = told(&bench).await;
    assert_eq!(after[..3], before[..]);
    assert_eq!(after[3], row("Push", "v3", false));
    let mut rest = after[4..].to_vec();
    rest.sort();
    assert_eq!(rest, [row("Push", "", true), row("Push", "v4", true)]);
    second.write_cursor(&bench.core).await.unwrap();
    let head = bench.meta.read(|snapshot| snapshot.journal_head()).await.unwrap();
    assert_eq!(cursor(&bench).await, head.seq);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_nobody_holds_the_journal() {
    let bench = bench().await;
    bench.push("app", "v1", &[b"config"]).await;
    assert!(Follower::open(&bench.core).await.unwrap().is_none());
    assert_eq!(cursor(&bench).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_was_turned_off_does_not_hold_the_journal() {
    let (bench, _folder) = audited().await;
    let mut first = follower(&bench).await;
    bench.push("app", "v1", &[b"config"]).await;
    follow(&bench, &mut first).await;
    let bench = bench.restart("another boot").await;
    let mut second = follower(&bench).await;
    follow(&bench, &mut second).await;
    second.write_cursor(&bench.core).await.unwrap();
    let head = bench.meta.read(|snapshot| snapshot.journal_head()).await.unwrap();
    assert_eq!(cursor(&bench).await, head.seq);
}
