//! Conditions of role assignments, each against actions and repositories.

use http::Method;
use serde_json::json;

use super::{World, rights};
use crate::edge::PASSWORD;

/// What a condition leaves of the right to pull, push, delete, and read and write metadata, by repository.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)]);

const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
const ALL: &str = "pudrw";

/// `NAME` stands for the attribute, `READ` and the like for the names of operations.
const TABLE: &[Row<'_>] = &[
    ("NAME StringEquals 'team/app'", &[("team/app", ALL), ("team/app2", ""), ("team", "")]),
    ("NAME StringEqualsIgnoreCase 'TEAM/App'", &[("team/app", ALL), ("team/other", "")]),
    ("NAME StringEquals 'TEAM/App'", &[("team/app", "")]),
    ("NAME StringNotEquals 'team/app'", &[("team/app", ""), ("other", ALL)]),
    ("NAME StringNotEqualsIgnoreCase 'Team/App'", &[("team/app", ""), ("other", ALL)]),
    ("NAME StringStartsWith 'team/'", &[("team/app", ALL), ("team/a/b", ALL), ("team", ""), ("teams/app", "")]),
    ("NAME StringStartsWithIgnoreCase 'Team/'", &[("team/app", ALL), ("teams/app", "")]),
    ("NAME StringNotStartsWith 'team/'", &[("team/app", ""), ("teams/app", ALL)]),
    ("NAME StringNotStartsWithIgnoreCase 'TEAM/'", &[("team/app", ""), ("teams/app", ALL)]),
    ("NAME StringLike 'team/*/test'", &[("team/a/test", ALL), ("team/a/b/test", ALL), ("team/test", "")]),
    ("NAME StringLikeIgnoreCase 'TEAM/?pp'", &[("team/app", ALL), ("team/aapp", "")]),
    ("NAME StringNotLike 'team/*'", &[("team/app", ""), ("app", ALL)]),
    ("NAME StringNotLikeIgnoreCase 'TEAM/*'", &[("team/app", ""), ("app", ALL)]),
    ("NAME ForAnyOfAnyValues:StringEquals {'a', 'b'}", &[("a", ALL), ("b", ALL), ("c", "")]),
    ("NAME ForAnyOfAllValues:StringStartsWith {'a', 'ab'}", &[("abc", ALL), ("ac", "")]),
    ("NAME ForAllOfAnyValues:StringStartsWithIgnoreCase {'A/', 'B/'}", &[("a/x", ALL), ("b/x", ALL), ("c/x", "")]),
    ("NAME ForAllOfAllValues:StringNotStartsWith {'a', 'b'}", &[("abc", ""), ("bcd", ""), ("cde", ALL)]),
    ("NOT NAME StringEquals 'app'", &[("app", ""), ("other", ALL)]),
    ("!(NAME StringEquals 'app' || NAME StringEquals 'other')", &[("app", ""), ("other", ""), ("third", ALL)]),
    ("NAME StringStartsWith 'a' AND NAME StringNotEquals 'app'", &[("app", ""), ("apple", ALL), ("pear", "")]),
    ("Exists NAME", &[("app", ALL)]),
    ("NOT Exists NAME", &[("app", "")]),
    ("ActionMatches{'READ'}", &[("app", "p")]),
    ("ActionMatches{'*/metadata/*'}", &[("app", "rw")]),
    ("!(ActionMatches{'*/write'})", &[("app", "pdr")]),
    ("SubOperationMatches{'anything'}", &[("app", "")]),
    ("!(ActionMatches{'*/delete'}) OR NAME StringStartsWith 'tmp/'", &[("app", "purw"), ("tmp/x", ALL)]),
    // As the portal writes it: everybody reads one repository alone, and does the rest anywhere.
    (
        "((!(ActionMatches{'READ'}) AND !(ActionMatches{'METADATA'})) OR (NAME StringEqualsIgnoreCase 'hello-world'))",
        &[("hello-world", ALL), ("other", "udw")],
    ),
    // As the portal writes it for a prefix and all actions.
    (
        "((!(ActionMatches{'READ'}) AND !(ActionMatches{'METADATA'}) AND !(ActionMatches{'*/write'}) AND \
          !(ActionMatches{'*/delete'})) OR (NAME StringStartsWithIgnoreCase 'backend/'))",
        &[("backend/api", ALL), ("backend", ""), ("backends/api", "")],
    ),
];

fn spelled(condition: &str) -> String {
    const HERE: &str = "Microsoft.ContainerRegistry/registries/repositories";
    let condition = condition.replace("NAME", NAME).replace("READ", &format!("{HERE}/content/read"));
    condition.replace("METADATA", &format!("{HERE}/metadata/read"))
}

#[tokio::test]
async fn a_condition_bounds_actions_and_repositories() {
    let world = World::start().await;
    let (client, id) = world.user("somebody").await;
    let registry = world.path("default");
    world.set("roleAssignmentMode", json!("AbacRepositoryPermissions")).await;
    let role = world.role("Container Registry Repository Contributor");
    for (condition, expected) in TABLE {
        // The same assignment, changed: the new condition holds from the answer on.
        world.assign(&role, id, &registry, Some(&spelled(condition))).await;
        // A client of its own, whose token has the scopes of this row alone.
        let client = client.with_basic("somebody", PASSWORD);
        for (repository, allowed) in *expected {
            assert_eq!(rights(&client, repository).await, *allowed, "{condition} at {repository}");
        }
    }
    world.assign(&role, id, &registry, None).await;
    assert_eq!(rights(&client, "anything").await, ALL);
}

#[tokio::test]
async fn conditions_bound_whichever_way_the_right_is_given() {
    let world = World::start().await;
    let (client, id) = world.user("somebody").await;
    let registry = world.path("default");
    let team = spelled("NAME StringStartsWith 'team/'");
    // The registry-wide roles name other actions; the condition bounds the same rights.
    world.assign(&world.role("AcrPush"), id, &registry, Some(&team)).await;
    assert_eq!(rights(&client, "team/app").await, "purc");
    assert_eq!(rights(&client, "other").await, "c");
    world.assign(&world.role("AcrDelete"), id, &registry, Some(&spelled("NAME StringEquals 'other'"))).await;
    assert_eq!(rights(&client, "team/app").await, "purc");
    assert_eq!(rights(&client, "other").await, "dc");
}

#[tokio::test]
async fn what_is_no_condition_is_quoted_and_never_stored() {
    let world = World::start().await;
    let (client, id) = world.user("somebody").await;
    let path = format!("{}/providers/Microsoft.Authorization/roleAssignments/{id}", world.path("default"));
    for (condition, told) in [
        ("NAME StringEqual 'a'", "at character"),
        ("NAME StringEquals 'a", "at character"),
        ("NAME StringEquals 'a' AND NAME StringEquals 'b' OR NAME StringEquals 'c'", "at character"),
        ("@Resource[x] StringEquals 'a'", "at character 1"),
        (&format!("{}NAME StringEquals 'a'", "!".repeat(100)), "deeper"),
    ] {
        let body = json!({ "properties": {
            "roleDefinitionId": world.role("AcrPull"), "principalId": id, "condition": spelled(condition),
        } });
        let error = world.ask(Method::PUT, &path, body).await.expect_status(400).json();
        assert_eq!(error["error"]["code"], "InvalidCondition", "{condition}");
        let message = error["error"]["message"].as_str().expect("a message");
        assert!(message.contains(told), "{condition}: {message}");
    }
    assert_eq!(rights(&client, "a").await, "");
}
