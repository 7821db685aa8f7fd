//! The verbs of the management API: registries, tokens, scope maps, roles, the audit.

mod access;
mod sessions;

use kogge_testkit::TestRegistry;
use serde_json::{Value, json};

use super::{Cli, Ran};

/// A home where the administrator is logged in to the server that the management verbs ask.
fn managing(registry: &TestRegistry) -> Cli {
    let mut cli = Cli::logged_in(registry);
    cli.variables.push(("KOGGE_SERVER", registry.addr().to_string()));
    cli
}

/// What a query picks, as JSON.
fn picked(cli: &Cli, line: &str, query: &str) -> Value {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--query", query, "--output", "json"]);
    cli.run_with(&words, None).expect_code(0).json()
}

/// The lines of a table, its header first.
fn lines(ran: &Ran) -> Vec<&str> {
    ran.stdout.lines().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_are_made_shown_changed_and_deleted() {
    let registry = TestRegistry::start().await;
    let cli = managing(&registry);
    let line =
        "registry create team01 --admin-enabled --tag env=test --quota team/*=1GiB --allow-ip 127.0.0.0/8 --sku basic";
    let made = cli.run(line).expect_code(0);
    let login_server = format!("team01.localhost:{}", registry.addr().port());
    assert!(made.stdout.contains(&login_server), "{}", made.stdout);
    let again = cli.run("registry create team01").expect_code(1);
    assert!(again.stderr.starts_with("error: cannot make the registry team01: it exists already"), "{}", again.stderr);

    let listed = cli.run("registry list").expect_code(0);
    assert_eq!(lines(&listed).len(), 3, "{}", listed.stdout);
    assert!(listed.stdout.starts_with("NAME ") && listed.stdout.contains(&login_server), "{}", listed.stdout);
    let values = cli.run("registry list --output tsv").expect_code(0);
    assert!(lines(&values)[1].starts_with("team01\tdefault\t"), "{}", values.stdout);
    assert_eq!(cli.run("registry list --query [].name --output tsv").stdout, "default\nteam01\n");
    assert_eq!(cli.run("registry list --query length(@)").stdout, "2\n");
    let words = ["registry", "list", "--query", "[].{server: properties.loginServer, name: name}"];
    assert!(cli.run_with(&words, None).stdout.starts_with("server "), "columns stand as they are written");
    assert_eq!(cli.run("registry list --resource-group none").expect_code(3).stdout, "");

    let line = "registry update team01 --default-action deny --allow-ip 10.0.0.1 --remove-ip 127.0.0.0/8 --tag a= \
                --untag env --quota *=5GB --anonymous-repositories public/* --admin-enabled false";
    cli.run(line).expect_code(0);
    let expected = json!({
        "rules": { "defaultAction": "Deny", "ipRules": [{ "action": "Allow", "value": "10.0.0.1" }], "virtualNetworkRules": [] },
        "tags": { "a": "" },
        "quotas": [{ "bytes": 1 << 30, "repositories": "team/*" }, { "bytes": 5_000_000_000_u64, "repositories": "*" }],
        "open": ["public/*"],
        "admin": false,
        "sku": "Basic",
    });
    let query = "{rules: properties.networkRuleSet, tags: tags, quotas: properties.quotas, \
                 open: properties.anonymousPullRepositories, admin: properties.adminUserEnabled, sku: sku.name}";
    assert_eq!(picked(&cli, "registry show team01", query), expected);
    cli.run("registry update team01").expect_code(2);
    let refused = cli.run("registry update team01 --allow-ip nowhere").expect_code(1);
    assert!(refused.stderr.lines().any(|line| line.starts_with("hint: code ")), "{}", refused.stderr);

    assert!(cli.run("registry usage team01").expect_code(0).stdout.contains("4.6 GiB"), "the quota is its limit");
    assert_eq!(picked(&cli, "registry check-name team01", "nameAvailable"), json!(false));
    assert_eq!(cli.run("registry check-name team02").expect_code(0).stdout, "team02 is free\n");
    let unasked = cli.run("registry delete team01").expect_code(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    cli.run("registry delete team01 --yes").expect_code(0);
    cli.run("registry show team01").expect_code(3);
    cli.run("registry show team01 --resource-group default").expect_code(3);
    cli.run("registry show ../x -g default").expect_code(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_listings_come_page_by_page() {
    let registry = TestRegistry::start().await;
    let cli = managing(&registry);
    let token = sessions::token(&registry, "admin", registry.admin_password()).await;
    let client = registry.anonymous().with_bearer(&token);
    let path = picked(&cli, "registry show default", "id");
    let path = path.as_str().expect("a path");
    let scope_map = format!("{path}/scopeMaps/_repositories_pull");
    let count = kogge_types::limits::PAGE_RESOURCES_DEFAULT + 5;
    for number in 0..count {
        let body = json!({ "properties": { "scopeMapId": scope_map, "status": "enabled" } });
        let request = client.put(format!("{path}/tokens/ci-{number:05}?api-version=2026-11-01"));
        let reply = request.header("content-type", "application/json").body(body.to_string()).send().await;
        assert!(reply.status.is_success(), "{}", reply.text());
    }
    let table = cli.run("token list").expect_code(0);
    assert_eq!(lines(&table).len(), count + 1, "one header");
    let starts: Vec<Option<usize>> = lines(&table).iter().skip(1).map(|line| line.find("enabled")).collect();
    assert!(starts.iter().all(|start| *start == starts[0]), "the columns of all pages are aligned");
    assert_eq!(lines(&cli.run("token list --output tsv").expect_code(0)).len(), count);
    assert_eq!(picked(&cli, "token list", "length(@)"), json!(count));
}
