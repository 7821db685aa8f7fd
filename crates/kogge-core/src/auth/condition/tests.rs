use kogge_types::limits;

use super::*;

const READ: &str = "Microsoft.ContainerRegistry/registries/repositories/content/read";
const WRITE: &str = "Microsoft.ContainerRegistry/registries/repositories/content/write";
const METADATA: &str = "Microsoft.ContainerRegistry/registries/repositories/metadata/read";
const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";

/// As Azure's portal writes it for one repository.
const PORTAL: &str = "
(
 (
  !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})
  AND
  !(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/metadata/read'})
 )
 OR
 (
  @Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'hello-world'
 )
)";

fn parse(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn holds(condition: &str, action: &str, repository: Option<&str>) -> bool {
    parse(condition).evaluate(&Request { action, repository })
}

/// Whether a comparison of the name holds for `name`.
fn compares(comparison: &str, name: &str) -> bool {
    holds(&format!("{NAME} {comparison}"), READ, Some(name))
}

fn reach(condition: &str, action: &str) -> Option<Vec<String>> {
    let patterns = parse(condition).repository_patterns(action)?;
    Some(patterns.iter().map(ToString::to_string).collect())
}

#[test]
fn a_condition_bounds_the_actions_that_it_names() {
    assert!(holds(PORTAL, READ, Some("hello-world")));
    assert!(!holds(PORTAL, READ, Some("hello-world/a")));
    assert!(!holds(PORTAL, METADATA, Some("other")));
    assert!(holds(PORTAL, WRITE, Some("other")));
    let prefix = PORTAL.replace("StringEqualsIgnoreCase 'hello-world'", "StringStartsWithIgnoreCase 'Backend/'");
    assert!(holds(&prefix, READ, Some("backend/app")));
    assert!(!holds(&prefix, READ, Some("backend2/app")));
    let wildcard = format!("!(ActionMatches{{'*/repositories/*'}}) OR {NAME} StringEquals 'a'");
    assert!(holds(&wildcard, READ, Some("a")) && !holds(&wildcard, WRITE, Some("b")));
    assert!(holds(&wildcard, "Microsoft.ContainerRegistry/registries/catalog/read", None));
}

#[test]
fn comparisons_are_those_of_azure() {
    for (comparison, name, expected) in [
        ("StringEquals 'team/a'", "team/a", true),
        ("StringEquals 'Team/a'", "team/a", false),
        ("StringEquals {'team/a'}", "team/a", true),
        ("stringequalsignorecase 'TEAM/a'", "team/a", true),
        ("StringNotEquals 'team/a'", "team/b", true),
        ("StringNotEquals 'team/a'", "team/a", false),
        ("StringNotEqualsIgnoreCase 'TEAM/a'", "team/a", false),
        ("StringStartsWith 'team/'", "team/a", true),
        ("StringStartsWith 'team/'", "teams/a", false),
        ("StringStartsWith 'team/'", "team", false),
        ("StringStartsWith ''", "a", true),
        ("StringStartsWith 'é'", "ab", false),
        ("StringStartsWithIgnoreCase 'TEAM/'", "team/a", true),
        ("StringNotStartsWith 'team/'", "teams/a", true),
        ("StringNotStartsWithIgnoreCase 'TEAM/'", "team/a", false),
        ("StringLike 'a*c?'", "abcd", true),
        ("StringLike 'A*C?'", "abcd", false),
        ("StringLike 'a*c'", "abcd", false),
        ("StringLike '*'", "", true),
        (r"StringLike 'a\*'", "ab", false),
        (r"StringLike 'a\*'", "a*", true),
        (r"StringLike 'a\b'", r"a\b", true),
        ("StringLikeIgnoreCase 'A*C?'", "abcd", true),
        ("StringNotLike 'a*'", "abc", false),
        ("StringNotLikeIgnoreCase 'A*'", "bc", true),
        ("ForAnyOfAnyValues:StringEquals {'a', 'b'}", "b", true),
        ("ForAnyOfAnyValues:StringEquals{'a','b'}", "c", false),
        ("ForAllOfAnyValues:StringEqualsIgnoreCase {'A', 'B'}", "b", true),
        ("ForAnyOfAnyValues:StringNotEquals {'a', 'b'}", "a", true),
        ("ForAnyOfAllValues:StringNotEquals {'a', 'b'}", "a", false),
        ("ForAllOfAllValues:StringNotEquals {'a', 'b'}", "c", true),
        ("ForAllOfAllValues:StringEquals {'a', 'b'}", "a", false),
        ("forallofallvalues:stringlike {'a*', '*b'}", "ab", true),
        ("ForAnyOfAnyValues:StringStartsWithIgnoreCase {'a/', 'b/'}", "b/x", true),
    ] {
        assert_eq!(compares(comparison, name), expected, "{comparison} {name}");
    }
}

#[test]
fn words_join_as_marks_do() {
    let read = format!("ActionMatches{{'{READ}'}}");
    let a = format!("{NAME} StringEquals 'a'");
    for (condition, action, expected) in [
        (format!("{read} AND {a}"), READ, true),
        (format!("{read}&&{a}"), WRITE, false),
        (format!("{read} or {a}"), WRITE, true),
        (format!("{read}||!{a}"), WRITE, false),
        (format!("NOT {read}"), WRITE, true),
        (format!("not(!!NOT !{read})"), READ, false),
        (format!("({read} OR {a}) AND {a}"), WRITE, true),
        (format!("({read} AND {a}) OR (({a}))"), WRITE, true),
        (format!("Exists {NAME} AND {a}"), READ, true),
        ("SubOperationMatches{'Blob.List'}".to_owned(), READ, false),
        ("!(SubOperationMatches{'Blob.List'})".to_owned(), READ, true),
        (
            format!("{read} AND {a} AND Exists @request[microsoft.containerregistry/REGISTRIES/repositories:Name]"),
            READ,
            true,
        ),
    ] {
        assert_eq!(holds(&condition, action, Some("a")), expected, "{condition}");
    }
}

#[test]
fn what_depends_on_a_name_does_not_hold_without_one() {
    for condition in [
        format!("{NAME} StringEquals 'a'"),
        format!("{NAME} StringNotEquals 'a'"),
        format!("!({NAME} StringEquals 'a')"),
        format!("NOT ({NAME} StringEquals 'a' AND {NAME} StringEquals 'b')"),
        format!("Exists {NAME}"),
        format!("ActionMatches{{'{READ}'}} AND {NAME} StringStartsWith ''"),
    ] {
        assert!(!holds(&condition, READ, None), "{condition}");
    }
    assert!(holds(&format!("NOT Exists {NAME}"), READ, None));
    assert!(holds(&format!("{NAME} StringEquals 'a' OR ActionMatches{{'*'}}"), READ, None));
    assert!(!holds(&format!("{NAME} StringEquals 'a' AND SubOperationMatches{{''}}"), READ, None));
}

#[test]
fn a_condition_is_written_in_one_form() {
    let a = format!("{NAME} StringEquals 'a'");
    for (text, written) in [
        (
            PORTAL.to_owned(),
            format!(
                "(!(ActionMatches{{'{READ}'}}) AND !(ActionMatches{{'{METADATA}'}})) OR {NAME} \
                 StringEqualsIgnoreCase 'hello-world'"
            ),
        ),
        (format!("((({a})))"), a.clone()),
        (format!("!{a}&&{a}&&({a}&&{a})"), format!("!({a}) AND {a} AND ({a} AND {a})")),
        (format!("!({a}||{a})"), format!("!({a} OR {a})")),
        (format!("NOT NOT exists {NAME}"), format!("!(!(Exists {NAME}))")),
        (format!("{NAME}foranyofallvalues:stringnotlike{{'a','b'}}"), {
            format!("{NAME} ForAnyOfAllValues:StringNotLike {{'a', 'b'}}")
        }),
        ("suboperationmatches{' '}".to_owned(), "SubOperationMatches{' '}".to_owned()),
    ] {
        let condition = parse(&text);
        assert_eq!(condition.to_string(), written, "{text}");
        assert_eq!(parse(&written), condition, "{text}");
    }
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    let mixed = format!("{NAME} StringEquals 'ä' AND {NAME} StringEquals 'b' OR Exists {NAME}");
    let before_or = mixed.find(" OR ").map_or(0, |at| mixed[..at].chars().count() + 2);
    for (text, at, expected, found) in [
        ("", 1, "'(', '!', ActionMatches", "the end"),
        ("   ", 4, "'(', '!', ActionMatches", "the end"),
        ("TimeMatches{'x'}", 1, "'(', '!', ActionMatches", "TimeMatches"),
        ("(ActionMatches{'*'}", 20, "AND, OR or ')'", "the end"),
        ("ActionMatches{'*'})", 19, "AND, OR or the end", ")"),
        ("ActionMatches('*')", 14, "'{'", "("),
        ("ActionMatches{'a b'}", 15, "an action", "'a b'"),
        ("ActionMatches{'*', '*'}", 18, "'}'", ","),
        ("ActionMatches{'*", 15, "a text in single quotes", "'*"),
        ("Exists 'x'", 8, "@Request[", "'x'"),
        (
            "@Resource[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'a'",
            1,
            "@Request[",
            "@Res",
        ),
        ("@Request[Microsoft.Storage/storageAccounts:name] StringEquals 'a'", 1, "@Request[", "@Request[Microsoft.St"),
        (mixed.as_str(), before_or, "AND, or parentheses", "OR"),
        (&format!("{NAME} NumericEquals 1"), 68, "a comparison of strings", "NumericEquals"),
        (&format!("{NAME} ForNone:StringEquals {{'a'}}"), 68, "a comparison of strings", "ForNone:StringEquals"),
        (&format!("{NAME} ForAnyOfAnyValues:StringEquals 'a'"), 99, "'{'", "'a'"),
        (&format!("{NAME} ForAnyOfAnyValues:StringEquals {{}}"), 100, "a text in single quotes", "}"),
        (&format!("{NAME} StringEquals {{'a', 'b'}}"), 85, "'}': a list needs a prefix", ","),
        (&format!("{NAME} StringEquals a"), 81, "a text in single quotes", "a"),
    ] {
        let error = Condition::parse(text).expect_err(text);
        let ConditionError::Syntax { at: at_found, expected: expected_found, found: found_found } = &error else {
            panic!("{text}: {error}")
        };
        assert_eq!(*at_found, at, "{text}: {error}");
        assert!(expected_found.starts_with(expected), "{text}: {error}");
        assert!(found_found.starts_with(found), "{text}: {error}");
    }
    let long = Condition::parse(&format!("'{}", "x".repeat(500))).expect_err("a text is no condition").to_string();
    assert!(long.len() < 300 && long.ends_with('…'), "{long}");
}

#[test]
fn the_limits_hold_at_the_limit_and_one_above() {
    let most = limits::CONDITION_DEPTH_MAX;
    for (open, close) in [("(", ")"), ("!(", ")"), ("!", ""), ("NOT ", "")] {
        let nested = |depth: usize| format!("{}ActionMatches{{'*'}}{}", open.repeat(depth), close.repeat(depth));
        let condition = parse(&nested(most));
        assert_eq!(parse(&condition.to_string()), condition);
        let at = open.chars().count() * most + 1;
        assert_eq!(Condition::parse(&nested(most + 1)), Err(ConditionError::Depth { at }), "{open}");
    }
    let mut text = "ActionMatches{'*'}".to_owned();
    text.push_str(&" ".repeat(limits::CONDITION_BYTES_MAX - text.len()));
    assert!(Condition::parse(&text).is_ok());
    text.push(' ');
    assert_eq!(Condition::parse(&text), Err(ConditionError::Length));
    let deep = "(".repeat(limits::CONDITION_BYTES_MAX);
    assert_eq!(Condition::parse(&deep), Err(ConditionError::Depth { at: most + 1 }));
}

#[test]
fn the_reach_holds_all_that_may_match() {
    let name = |comparison: &str| format!("{NAME} {comparison}");
    let some = |patterns: &[&str]| Some(patterns.iter().map(ToString::to_string).collect::<Vec<_>>());
    for (condition, expected) in [
        (PORTAL.to_owned(), some(&["hello-world"])),
        (name("StringStartsWith 'team/'"), some(&["team/*"])),
        (name("StringStartsWith 'team/a'"), some(&["team/*"])),
        (name("StringStartsWithIgnoreCase 'TEAM/Sub/a'"), some(&["team/sub/*"])),
        (name("StringStartsWith 'team'"), None),
        (name("StringStartsWith 'Team/'"), some(&[])),
        (name("StringEquals 'not a name'"), some(&[])),
        (name("StringEqualsIgnoreCase 'App'"), some(&["app"])),
        (name("StringNotEquals 'a'"), None),
        (format!("!({})", name("StringNotEquals 'a'")), some(&["a"])),
        (name("StringLike 'team/*/app'"), some(&["team/*"])),
        (name("StringLike 'team/app'"), some(&["team/app"])),
        (name("StringLike '*'"), None),
        (name("ForAnyOfAnyValues:StringEquals {'b', 'a', 'a'}"), some(&["a", "b"])),
        (name("ForAllOfAllValues:StringEquals {'b', 'a'}"), some(&[])),
        (name("ForAllOfAllValues:StringLike {'a/*', 'a/b/*'}"), some(&["a/b/*"])),
        (format!("!({})", name("ForAnyOfAnyValues:StringNotEquals {'a', 'b'}")), some(&[])),
        (format!("!({})", name("ForAnyOfAllValues:StringNotEquals {'a', 'b'}")), some(&["a", "b"])),
        (
            format!("{} OR {}", name("ForAnyOfAnyValues:StringEquals {'a/b', 'z'}"), name("StringStartsWith 'a/'")),
            some(&["a/*", "z"]),
        ),
        (
            format!("{} AND {}", name("ForAnyOfAnyValues:StringEquals {'a/b', 'z'}"), name("StringStartsWith 'a/'")),
            some(&["a/b"]),
        ),
        (format!("ActionMatches{{'{READ}'}}"), None),
        (format!("!(ActionMatches{{'{READ}'}})"), some(&[])),
        (format!("NOT Exists {NAME}"), some(&[])),
        ("SubOperationMatches{'x'}".to_owned(), some(&[])),
    ] {
        assert_eq!(reach(&condition, READ), expected, "{condition}");
    }
    assert_eq!(reach(PORTAL, WRITE), None);
}
