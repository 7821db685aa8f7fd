//! `login`, `logout`, and `doctor`, which says why a login or a registry does not work.

use std::os::unix::fs::PermissionsExt as _;

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};

use super::{Cli, Ran, repository};

fn doctor(cli: &Cli, host: &str) -> Ran {
    cli.run(&format!("doctor {host} --output json"))
}

/// The status and the error id of one check.
fn check(ran: &Ran, name: &str) -> (String, Option<String>) {
    let checks = ran.json();
    let found = checks.as_array().expect("a list").iter().find(|check| check["check"] == name).expect(name);
    let text = |field: &str| found[field].as_str().map(ToOwned::to_owned);
    (text("status").expect("every check has a status"), text("errorId"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_checked_kept_for_its_owner_alone_and_forgotten() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::new(), registry.addr().to_string());
    let words = ["login", &host, "-u", "admin", "--password-stdin"];
    let refused = cli.run_with(&words, Some("wrong\n")).expect_code(4);
    assert!(refused.stderr.contains("refused the user name or the password"), "{}", refused.stderr);
    assert!(!cli.path(".docker/config.json").exists());
    cli.run(&format!("repo list {host}")).expect_code(4);

    let password = registry.admin_password();
    let ran = cli.run_with(&words, Some(&format!("{password}\n"))).expect_code(0);
    assert!(!(ran.stdout + &ran.stderr).contains(password), "passwords are not printed");
    let file = cli.path(".docker/config.json");
    assert_eq!(std::fs::metadata(&file).expect("kept").permissions().mode() & 0o777, 0o600);
    cli.run(&format!("repo list {host}")).expect_code(0);

    cli.run(&format!("logout {host}")).expect_code(0);
    assert!(!std::fs::read_to_string(&file).expect("it stays").contains(&host));
    cli.run(&format!("repo list {host}")).expect_code(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_keeps_the_login_when_there_is_one() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::new(), registry.addr().to_string());
    let helper = "#!/bin/sh\ncase $1 in\n\
        store) cat > \"$HOME/kept\" ;;\n\
        get) [ -s \"$HOME/kept\" ] && cat \"$HOME/kept\" || { echo 'credentials not found in native keychain'; exit 1; } ;;\n\
        erase) rm -f \"$HOME/kept\" ;;\nesac\n";
    std::fs::create_dir_all(cli.path("bin")).expect("made");
    std::fs::create_dir_all(cli.path(".docker")).expect("made");
    let program = cli.path("bin/docker-credential-test");
    std::fs::write(&program, helper).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    std::fs::write(cli.path(".docker/config.json"), r#"{"credsStore":"test"}"#).expect("written");
    cli.run(&format!("repo list {host}")).expect_code(4);
    cli.log_in(&registry);
    assert!(cli.path("kept").exists());
    let config = std::fs::read_to_string(cli.path(".docker/config.json")).expect("it stays");
    assert!(config.contains("credsStore") && !config.contains("\"auth\""), "{config}");
    cli.run(&format!("repo list {host}")).expect_code(0);
    assert_eq!(check(&doctor(&cli, &host), "credential helper").0, "ok");
    cli.run(&format!("logout {host}")).expect_code(0);
    assert!(!cli.path("kept").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_with_a_registry_that_works() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (Cli::logged_in(&registry), registry.addr().to_string());
    repository(&registry, "team/app").push_tagged(&ImageBuilder::new(&mut Seed::new(1)).build(), "v1").await;
    let ran = doctor(&cli, &host).expect_code(0);
    for name in ["login", "dns", "connection", "tls", "clock", "challenge", "token", "catalog", "pull"] {
        assert_eq!(check(&ran, name), ("ok".to_owned(), None), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_which_step_fails() {
    let registry = TestRegistry::start().await;
    let host = registry.addr().to_string();
    let cli = Cli::new();
    let ran = doctor(&cli, &host).expect_code(0);
    assert_eq!(check(&ran, "login").0, "warn");
    assert_eq!(check(&ran, "catalog").0, "warn");
    std::fs::create_dir_all(cli.path(".docker")).expect("made");
    std::fs::write(cli.path(".docker/config.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"YWRtaW46eA=="}}}}}}"#))
        .expect("written");
    let ran = doctor(&cli, &host).expect_code(4);
    assert_eq!(check(&ran, "token"), ("fail".to_owned(), Some("CONNECTIVITY_ACCESS_TOKEN_ERROR".to_owned())));
    drop(registry);
    let closed = Cli::new().run("doctor 127.0.0.1:1 --output json").expect_code(5);
    assert_eq!(check(&closed, "connection"), ("fail".to_owned(), Some("LOGIN_SERVER_ERROR".to_owned())));
    let unknown = Cli::new().run("doctor registry.invalid --output json").expect_code(5);
    assert_eq!(check(&unknown, "dns"), ("fail".to_owned(), Some("CONNECTIVITY_DNS_ERROR".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_trusted_only_with_its_authority() {
    let registry = TestRegistry::start_with("[server]\ntls = \"auto\"\n").await;
    let (cli, host) = (Cli::new(), registry.addr().to_string());
    let ca = registry.data_dir().join("tls/ca.pem").display().to_string();
    let words = ["login", &host, "-u", "admin", "-p", registry.admin_password()];
    let refused = cli.run_with(&words, None).expect_code(5);
    assert!(refused.stderr.contains("--ca-file"), "{}", refused.stderr);
    let ran = doctor(&cli, &host).expect_code(5);
    assert_eq!(check(&ran, "tls"), ("fail".to_owned(), Some("CONNECTIVITY_SSL_ERROR".to_owned())));
    cli.run_with(&[&words[..], &["--ca-file", &ca]].concat(), None).expect_code(0);
    cli.run(&format!("repo list {host} --ca-file {ca}")).expect_code(0);
    cli.run(&format!("repo list {host} --insecure")).expect_code(0);
    cli.run(&format!("repo list {host}")).expect_code(5);
}
