use kogge_core::audit::Kind as EventKind;

use super::*;

#[test]
fn a_question_to_the_audit() {
    let query = "api-version=x&since=2026-11-24T00:00:00Z&kind=login&KIND=denial&identity=me&order=oldest&$top=5";
    let query = asked(Some(query)).expect("a question");
    assert_eq!(query.from_us, Some(1_795_478_400_000_000));
    assert_eq!(query.kinds, [EventKind::Login, EventKind::Denial]);
    assert_eq!((query.identity.as_deref(), query.order), (Some("me"), Order::OldestFirst));
    for (bad, target) in [
        ("since=now", "since"),
        ("until=1", "until"),
        ("kind=all", "kind"),
        ("order=up", "order"),
        ("repository=A", "repository"),
    ] {
        assert_eq!(asked(Some(bad)).expect_err(bad).target.as_deref(), Some(target), "{bad}");
    }
}
