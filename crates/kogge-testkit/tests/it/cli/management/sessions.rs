//! Who asks, how failures are told, and the audit of it all.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use kogge_core::identity::NewCredential;
use kogge_core::identity::principal::Assigned;
use kogge_testkit::TestRegistry;
use serde_json::{Value, json};

use super::{Cli, managing, picked};

/// A token of a user for the management API.
pub(super) async fn token(registry: &TestRegistry, user: &str, password: &str) -> String {
    let client = "6b6f6767-6500-4c69-8e65-000000000001";
    let password = password.replace(' ', "+");
    let form = format!("grant_type=password&client_id={client}&username={user}&password={password}");
    let authority = registry.anonymous();
    let request = authority.post("/adfs/oauth2/token");
    let reply = request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await;
    reply.expect_status(200).json()["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_programs_ask() {
    let registry = TestRegistry::start().await;
    let server = registry.addr().to_string();
    let secret = NewCredential::Secret { name: "first".to_owned(), life: Duration::from_secs(3_600) };
    let owner = Assigned { role: "Owner".to_owned(), scope: "/".to_owned() };
    let program = registry.core().create_service_principal("robot", Some(secret), &[owner]).await.expect("made");
    let (id, secret) = (program.app_id.to_string(), program.password.expect("a secret"));

    let mut cli = Cli::new();
    let list = ["registry", "list", "--server", &server, "--query", "[].name", "--output", "tsv"];
    let unknown = cli.run_with(&list, None).expect_code(4);
    assert!(unknown.stderr.contains("kogge login") && unknown.stderr.contains("KOGGE_CLIENT_ID"), "{}", unknown.stderr);
    for (user, password) in [("admin", registry.admin_password()), (&id, &secret)] {
        let words = [&list[..], &["-u", user, "--password-stdin"]].concat();
        assert_eq!(cli.run_with(&words, Some(password)).expect_code(0).stdout, "default\n");
        let refused = cli.run_with(&words, Some("nonsense")).expect_code(4);
        assert!(refused.stderr.contains("refused the") && !refused.stderr.contains("nonsense"), "{}", refused.stderr);
    }
    assert!(!cli.path(".docker").exists(), "what is given for one verb is not kept");
    cli.run_with(&["login", &server, "-u", &id, "--password-stdin"], Some(&secret)).expect_code(0);
    cli.run_with(&list, None).expect_code(0);
    cli.run(&format!("logout {server}")).expect_code(0);

    cli.variables.push(("KOGGE_CLIENT_ID", id));
    cli.run_with(&list, None).expect_code(2);
    cli.variables.push(("KOGGE_CLIENT_SECRET", secret.clone()));
    let ran = cli.run_with(&list, None).expect_code(0);
    assert!(!(ran.stdout + &ran.stderr).contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_is_wrong() {
    let registry = TestRegistry::start().await;
    let (cli, port) = (managing(&registry), registry.addr().port());
    let puller = Assigned { role: "AcrPull".to_owned(), scope: "default".to_owned() };
    registry.core().create_user("jo", "a long password", &[puller]).await.expect("made");
    let jo = ["-u", "jo", "--password-stdin"];
    let words = [&["registry", "create", "team01"], &jo[..]].concat();
    let refused = cli.run_with(&words, Some("a long password")).expect_code(4);
    assert!(refused.stderr.contains("hint: code AuthorizationFailed, status 403"), "{}", refused.stderr);
    let nothing = cli.run_with(&[&["registry", "list", "--output", "json"], &jo[..]].concat(), Some("a long password"));
    assert_eq!(nothing.expect_code(0).json(), json!([]));

    let elsewhere = cli.run_with(
        &["registry", "list", "--server", &format!("default.localhost:{port}"), "-u", "admin", "--password-stdin"],
        Some(registry.admin_password()),
    );
    assert!(elsewhere.expect_code(3).stderr.contains("bare domain"));
    cli.run("registry list --server http://registry.example.com -u a --password-stdin").expect_code(2);
    cli.run_with(&["registry", "list", "--server", "127.0.0.1:1", "-u", "a", "--password-stdin"], Some("x"))
        .expect_code(5);
    let words = ["registry", "list", "--server", &format!("https://127.0.0.1:{port}")];
    cli.run_with(&words, None).expect_code(5);
    cli.run(&format!("registry list --server http://127.0.0.1:{port}")).expect_code(0);
    cli.run("registry list --query [").expect_code(2);
    cli.run("audit --since yesterday").expect_code(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_over_tls() {
    let registry = TestRegistry::start_with("[server]\ntls = \"auto\"\n").await;
    let ca = registry.data_dir().join("tls/ca.pem").display().to_string();
    let server = format!("https://{}", registry.addr());
    let words = ["registry", "list", "--server", &server, "-u", "admin", "--password-stdin"];
    let cli = Cli::new();
    let refused = cli.run_with(&words, Some(registry.admin_password())).expect_code(5);
    assert!(refused.stderr.contains("--ca-file"), "{}", refused.stderr);
    cli.run_with(&[&words[..], &["--ca-file", &ca]].concat(), Some(registry.admin_password())).expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_read_and_followed() {
    let registry = TestRegistry::start().await;
    let cli = managing(&registry);
    cli.run("registry create team01").expect_code(0);
    cli.run("registry show nonesuch -g default").expect_code(3);
    let operations = picked(&cli, "audit --kind management --registry team01", "[].OperationName");
    assert_eq!(operations, json!(["Microsoft.ContainerRegistry/registries/write"]));
    assert_eq!(picked(&cli, "audit --kind management --limit 1", "length(@)"), json!(1));
    let table = cli.run("audit --identity admin --since 1d").expect_code(0).stdout;
    assert!(table.contains("registries/write") && table.contains("login"), "{table}");
    assert_eq!(picked(&cli, "audit --until 2020-01-01 --since 2019-01-01", "length(@)"), json!(0));
    cli.run("audit --registry nonesuch").expect_code(3);

    let words = ["audit", "--registry", "team01", "--follow", "--output", "json", "--since", "1h"];
    let mut following = cli.command(&words).stdout(Stdio::piped()).spawn().expect("the program can be started");
    let output = BufReader::new(following.stdout.take().expect("a pipe"));
    let mut events =
        output.lines().map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("each line is an event"));
    let first = events.next().expect("what happened before");
    assert_eq!(first["OperationName"], "Microsoft.ContainerRegistry/registries/write");
    cli.run("scope-map create readers -r team01 --add x=content/read").expect_code(0);
    let next = events.next().expect("what happens now");
    assert_eq!(next["OperationName"], "Microsoft.ContainerRegistry/registries/scopeMaps/write");
    following.kill().expect("it runs");
    following.wait().expect("it has ended");
}
