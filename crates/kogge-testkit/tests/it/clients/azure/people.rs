//! People, who log in to the CLI by a browser: on the same machine, on another one, or not at all.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{Azure, REGISTRY, fields, sdk};
use crate::clients::sandbox::tool;

const PERSON: &str = "anna";
const PASSWORD: &str = "a-long-password-of-annas";

#[test]
fn a_person_logs_in_by_browser_by_code_and_by_password() {
    let azure = Azure::start_with_registry();
    azure.sandbox.kogge.run_with(&["admin", "user", "create", PERSON, "--role", "Owner"], PASSWORD);
    let terminal = azure.console(PERSON);
    terminal.add_cloud();
    terminal.refused(&format!("login -u {PERSON} -p wrong"));

    terminal.az(&format!("login -u {PERSON} -p {PASSWORD}"));
    assert_knows_the_person(&azure);
    terminal.az("account clear");

    by_code(&azure, terminal.command("login --use-device-code"));
    assert_knows_the_person(&azure);
    terminal.az("account clear");

    // The CLI waits at a port that is fixed for authorities of this kind, so no other test may log in like this.
    let mut login = terminal.command("login");
    let python = tool("python");
    let browser = format!("{} {} %s {PERSON} {PASSWORD} &", python.display(), sdk::script("person.py").display());
    let output = login.env("BROWSER", browser).output().expect("the CLI can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_knows_the_person(&azure);
    // The refresh token opens registries too.
    terminal.az(&format!("acr login -n {REGISTRY} --expose-token"));
}

/// Logs in with the code that the CLI shows.
fn by_code(azure: &Azure, mut login: Command) {
    let mut login = login
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the CLI can be started");
    let mut messages = BufReader::new(login.stderr.take().expect("stderr was asked to be piped"));
    let mut line = String::new();
    messages.read_line(&mut line).expect("the CLI writes text");
    let mut words = line.split_whitespace();
    let page = words.find(|word| word.starts_with("https://")).unwrap_or_else(|| panic!("no page in {line:?}"));
    let code =
        words.next_back().map(|word| word.trim_end_matches('.')).unwrap_or_else(|| panic!("no code in {line:?}"));
    sdk::run(&azure.sandbox, "person.py", &[&format!("{page}?user_code={code}"), PERSON, PASSWORD]);
    let ended = login.wait().expect("a child can be waited for");
    assert!(ended.success(), "{line}");
}

#[track_caller]
fn assert_knows_the_person(azure: &Azure) {
    let terminal = azure.console(PERSON);
    let account = terminal.az("account show");
    assert_eq!((&account["user"]["type"], &account["user"]["name"]), (&"user".into(), &PERSON.into()), "{account}");
    assert_eq!(fields(&terminal.az("acr list"), "name"), ["default", REGISTRY]);
}
