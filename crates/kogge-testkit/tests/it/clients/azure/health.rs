//! What the CLI finds out about a deployment, and what it is told of capabilities that the deployment lacks.

use super::{Azure, DOMAIN, REGISTRY};

#[test]
fn check_health_finds_a_registry_in_order() {
    let azure = Azure::start_with_registry();
    let console = azure.console(&azure.owner.name);
    // Errors of programs that are not there, docker's daemon and helm, are told and passed over.
    let said = console.messages(&format!("acr check-health -n {REGISTRY} -y --ignore-errors"));
    let server = format!("{REGISTRY}.{DOMAIN}");
    for line in [
        format!("DNS lookup to {server} at IP 127."),
        format!("Challenge endpoint https://{server}/v2/ : OK"),
        format!("Fetch refresh token for registry '{server}' : OK"),
        format!("Fetch access token for registry '{server}' : OK"),
    ] {
        assert!(said.contains(&line), "{line:?} is not in:\n{said}");
    }
    let said = console.messages(&format!("acr check-health -n {REGISTRY} -y --ignore-errors --repository team/app"));
    let line = format!("Fetch access token for repository 'team/app' in registry '{server}' : OK");
    assert!(said.contains(&line), "{line:?} is not in:\n{said}");
}

#[test]
fn capabilities_that_are_not_there_are_refused_clearly() {
    let azure = Azure::start_with_registry();
    azure.sandbox.write("context/Dockerfile", "FROM scratch\n");
    let context = azure.sandbox.path("context").display().to_string();
    let commands = [
        format!("acr import -n {REGISTRY} --source docker.io/library/x:v1"),
        format!("acr build -r {REGISTRY} --no-logs {context}"),
        format!("acr run -r {REGISTRY} --no-logs --cmd x /dev/null"),
        format!("acr task create -r {REGISTRY} -n t --cmd x --context /dev/null"),
        format!("acr webhook create -r {REGISTRY} -n hooks --uri https://{DOMAIN}/ --actions push"),
        format!("acr cache create -r {REGISTRY} -n rule -s docker.io/library/x -t x"),
        format!("acr config soft-delete update -r {REGISTRY} --status enabled --days 7"),
        format!("acr config retention update -r {REGISTRY} --status enabled --days 7 --type UntaggedManifests"),
        format!("acr update -n {REGISTRY} --data-endpoint-enabled true"),
    ];
    for command in commands {
        let message = azure.az_refused(&command);
        // `(Code) Message`, as the CLI prints an error of the management API.
        let told = message.lines().any(|line| line.contains("ERROR: ") && line.contains('(') && line.contains(')'));
        assert!(told && message.contains("Code: "), "az {command}\n{message}");
    }
    // What was refused is not kept.
    let policy = azure.az(&format!("acr config soft-delete show -r {REGISTRY}"));
    assert_eq!(policy["status"], "disabled");
}
