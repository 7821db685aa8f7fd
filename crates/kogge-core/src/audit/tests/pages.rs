//! Questions: filters, pages, both orders, and bounds.

use super::*;
use crate::audit::query::{Position, answer_within};
use crate::audit::segment::Catalog;
use crate::audit::{AuditPage, Kind};

/// Every event once, page by page.
async fn walk(recorder: &Recorder, mut query: AuditQuery) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let page: AuditPage = recorder.query(query.clone()).await.unwrap();
        assert!(page.records.len() <= query.limit);
        records.extend(page.records);
        if !page.more {
            return records;
        }
        query.after = page.position;
    }
}

async fn filled(folder: &Path) -> Recorder {
    let (recorder, clock) = open(folder);
    for number in 0..1_000 {
        recorder.record(&pull(START + number, &format!("t{number}")));
        if number % 250 == 0 {
            clock.advance(Duration::from_secs(1));
            assert!(recorder.flush().await);
        }
    }
    recorder
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_tell_every_event_once_and_in_order() {
    let root = tempfile::tempdir().unwrap();
    let recorder = filled(root.path()).await;
    assert!(segments(root.path()).len() > 2);
    let expected: Vec<String> = (0..1_000).map(|number| format!("t{number}")).collect();
    for limit in [7, 100, 1_000] {
        let query = AuditQuery { limit, ..AuditQuery::default() };
        let forwards = walk(&recorder, AuditQuery { order: Order::OldestFirst, ..query.clone() }).await;
        assert_eq!(tags(&forwards), expected, "{limit}");
        let mut backwards = walk(&recorder, query).await;
        backwards.reverse();
        assert_eq!(tags(&backwards), expected, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_meanwhile_does_not_move_the_pages() {
    let root = tempfile::tempdir().unwrap();
    let recorder = filled(root.path()).await;
    let mut query = AuditQuery { limit: 400, ..AuditQuery::default() };
    let mut told = Vec::new();
    loop {
        let page = recorder.query(query.clone()).await.unwrap();
        told.extend(page.records.iter().map(|record| record.text("Tag").to_owned()));
        recorder.record(&pull(START, "late"));
        if !page.more {
            break;
        }
        query.after = page.position;
    }
    let expected: Vec<String> = (0..1_000).rev().map(|number| format!("t{number}")).collect();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_what_is_new() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, _) = open(root.path());
    let mut query = AuditQuery { order: Order::OldestFirst, limit: 10, ..AuditQuery::default() };
    for round in ["one", "two", "three"] {
        recorder.record(&pull(START, round));
        let page = recorder.query(query.clone()).await.unwrap();
        assert_eq!(tags(&page.records), [round]);
        query.after = page.position;
        let again = recorder.query(query.clone()).await.unwrap();
        assert_eq!((again.records.len(), again.position), (0, query.after));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_choose() {
    let root = tempfile::tempdir().unwrap();
    let (recorder, _) = open(root.path());
    let path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/contoso";
    recorder.record(&pull(START, "v1"));
    recorder.record(&repository(RepositoryOperation::Push, START + 1, "v2"));
    recorder.record(&denial(START + 2));
    recorder.record(&login(START + 3));
    recorder.record(&management(START + 4, path));
    let other = Request { registry: "fabrikam", identity: "bob", correlation_id: "other", ..request(START + 5) };
    recorder.record(&Event::Login(LoginEvent { request: other, jwt_id: "", refused: None }));
    let base = AuditQuery { order: Order::OldestFirst, limit: 100, ..AuditQuery::default() };
    let some = |text: &str| Some(text.to_owned());
    let cases = [
        (base.clone(), vec![0, 1, 2, 3, 4, 5]),
        (AuditQuery { kinds: vec![Kind::Repository], ..base.clone() }, vec![0, 1]),
        (AuditQuery { kinds: vec![Kind::Login, Kind::Management], ..base.clone() }, vec![3, 4, 5]),
        (AuditQuery { kinds: vec![Kind::Notice], ..base.clone() }, vec![]),
        (AuditQuery { registry: some("Contoso"), ..base.clone() }, vec![0, 1, 2, 3, 4]),
        (AuditQuery { registry: some("fabrikam"), ..base.clone() }, vec![5]),
        (AuditQuery { registry: some("nobody"), ..base.clone() }, vec![]),
        (AuditQuery { identity: some("BOB"), ..base.clone() }, vec![5]),
        (AuditQuery { operation: some("push"), ..base.clone() }, vec![1]),
        (AuditQuery { result: some("403"), ..base.clone() }, vec![2]),
        (AuditQuery { result: some("policy"), ..base.clone() }, vec![2]),
        (AuditQuery { result: some("succeeded"), ..base.clone() }, vec![4]),
        (AuditQuery { correlation_id: some("other"), ..base.clone() }, vec![5]),
        (AuditQuery { repository: "team/*".parse().ok(), ..base.clone() }, vec![0, 1, 2]),
        (AuditQuery { repository: "team".parse().ok(), ..base.clone() }, vec![]),
        (AuditQuery { resource: some(&path.to_uppercase()), ..base.clone() }, vec![4]),
        (AuditQuery { resource: some("/subscriptions/s/"), ..base.clone() }, vec![4]),
        (AuditQuery { resource: some("/subscriptions/s/resourceGroups/g2"), ..base.clone() }, vec![]),
        (AuditQuery { from_us: Some(START + 2), to_us: Some(START + 4), ..base.clone() }, vec![2, 3]),
        (AuditQuery { to_us: Some(START), ..base.clone() }, vec![]),
    ];
    for (query, expected) in cases {
        let told = ask(&recorder, query.clone()).await;
        let times = told
            .iter()
            .map(|record| record.text("TimeGenerated").parse::<jiff::Timestamp>().unwrap().as_microsecond() - START);
        assert_eq!(times.collect::<Vec<_>>(), expected, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_finds_nothing_ends_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let recorder = filled(root.path()).await;
    assert!(recorder.flush().await);
    recorder.close().await;
    let catalog = Catalog::open(root.path().to_owned()).unwrap();
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let wanted = if order == Order::NewestFirst { "t0" } else { "t999" };
        let mut query = AuditQuery { order, limit: 10, ..AuditQuery::default() };
        let (mut pages, mut found) = (0, false);
        loop {
            let page = answer_within(&catalog, &query, 10_000).unwrap();
            found |= page.records.iter().any(|record| record.text("Tag") == wanted);
            pages += 1;
            if !page.more {
                break;
            }
            query.after = page.position;
        }
        assert!(found && pages > 50, "{order:?} {pages}");
    }
}

#[test]
fn a_position_is_read_as_it_is_written() {
    let position: Position = "1764000000123456-4711".parse().unwrap();
    assert_eq!(position.to_string(), "1764000000123456-4711");
    for bad in ["", "1", "a-1", "1-b", "1--1", "-"] {
        assert!(bad.parse::<Position>().is_err(), "{bad}");
    }
}
