//! Azure's libraries for Python: whole scenarios, each a script in `test-data/azure` that fails at the first surprise.

use std::path::{Path, PathBuf};

use super::{Azure, DOMAIN, Principal, REGISTRY, text};
use crate::clients::sandbox::Sandbox;

#[test]
fn the_management_library_runs_a_registrys_life() {
    let azure = Azure::start(&[REGISTRY]);
    let subscription = azure.az("account show");
    let Principal { app_id, password, .. } = &azure.owner;
    run(
        &azure.sandbox,
        "management.py",
        &[&format!("https://{DOMAIN}"), text(&subscription, "id"), REGISTRY, app_id, password],
    );
}

#[test]
fn the_registry_library_works_by_role() {
    let azure = Azure::start_with_registry();
    let Principal { app_id, password, .. } = &azure.owner;
    let server = format!("https://{REGISTRY}.{DOMAIN}");
    run(&azure.sandbox, "registry.py", &[&server, &format!("https://{DOMAIN}"), app_id, password]);
}

#[test]
fn a_reader_sees_all_and_changes_nothing() {
    let azure = Azure::start_with_registry();
    azure.log_in_oras();
    azure.push("team/app:v1", "to be read");
    let registry = azure.az(&format!("acr show -n {REGISTRY}"));
    let Principal { app_id, password, .. } =
        Principal::create(&azure.sandbox, "reader", Some(("Reader", text(&registry, "id"))));
    let subscription = azure.az("account show");
    let (server, base) = (format!("https://{REGISTRY}.{DOMAIN}"), format!("https://{DOMAIN}"));
    let arguments = [&server, &base, text(&subscription, "id"), REGISTRY, &app_id, &password];
    run(&azure.sandbox, "reader.py", &arguments);
}

#[test]
fn the_registry_library_reads_without_a_name_where_that_is_allowed() {
    let azure = Azure::start_with_registry();
    azure.log_in_oras();
    azure.push("team/app:v1", "for everybody");
    let server = format!("https://{REGISTRY}.{DOMAIN}");
    run(&azure.sandbox, "anonymous.py", &[&server, "refused"]);
    azure.az(&format!("acr update -n {REGISTRY} --anonymous-pull-enabled true"));
    run(&azure.sandbox, "anonymous.py", &[&server, "allowed"]);
}

/// Runs a script to its end, which must be a good one.
pub(super) fn run(sandbox: &Sandbox, script: &str, arguments: &[&str]) {
    let mut command = sandbox.command("python");
    let output = command.arg(self::script(script)).args(arguments).output().expect("Python can be started");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{printed}", output.status);
}

/// The path of a script.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/azure").join(name)
}
