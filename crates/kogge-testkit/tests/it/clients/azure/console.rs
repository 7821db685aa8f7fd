//! A terminal with the Azure CLI, and those who sit at it.

use std::process::{Command, Output};

use serde_json::Value;

use super::{DOMAIN, text};
use crate::clients::sandbox::Sandbox;

/// The name under which the deployment is known to the CLI.
const CLOUD: &str = "Own";

/// A service principal that was made on the server's machine.
pub(super) struct Principal {
    pub(super) name: String,
    pub(super) app_id: String,
    pub(super) object_id: String,
    pub(super) password: String,
    pub(super) tenant: String,
}

impl Principal {
    /// Makes the service principal `name`, with a role at a scope or with no right at all.
    pub(super) fn create(sandbox: &Sandbox, name: &str, role: Option<(&str, &str)>) -> Self {
        let mut words = vec!["admin", "sp", "create", "--name", name];
        if let Some((role, scope)) = role {
            words.extend(["--role", role, "--scope", scope]);
        }
        let printed = sandbox.kogge.run(&words);
        let made: Value = serde_json::from_str(&printed).expect("the verb prints JSON");
        let field = |field: &str| text(&made, field).to_owned();
        Self {
            name: name.to_owned(),
            app_id: field("appId"),
            object_id: field("objectId"),
            password: field("password"),
            tenant: field("tenant"),
        }
    }

    /// The CLI's command by which the principal logs in with its secret.
    pub(super) fn login(&self) -> String {
        let Self { app_id, password, tenant, .. } = self;
        format!("login --service-principal -u {app_id} -p {password} --tenant {tenant} --allow-no-subscriptions")
    }
}

/// The Azure CLI with a memory of its own: which clouds it knows and who is logged in.
#[derive(Clone, Copy)]
pub(super) struct Console<'a> {
    sandbox: &'a Sandbox,
    name: &'a str,
}

impl<'a> Console<'a> {
    pub(super) fn new(sandbox: &'a Sandbox, name: &'a str) -> Self {
        Self { sandbox, name }
    }

    /// Makes the deployment known to the CLI by its address alone, and turns the CLI to it.
    pub(super) fn add_cloud(&self) {
        self.az(&format!("cloud register -n {CLOUD} --endpoint-resource-manager https://{DOMAIN}"));
        self.az(&format!("cloud set -n {CLOUD}"));
    }

    /// What the CLI prints for a command line, whose words hold no spaces; `null` for nothing.
    ///
    /// # Panics
    /// The command fails; the message holds all that it printed.
    #[track_caller]
    pub(super) fn az(&self, line: &str) -> Value {
        self.az_with(line, &[])
    }

    /// The same with more words, which may hold spaces.
    #[track_caller]
    pub(super) fn az_with(&self, line: &str, words: &[&str]) -> Value {
        let (output, messages) = self.run(line, words);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "az {line}\n{}\n{printed}{messages}", output.status);
        if printed.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("az {line}\n{error}\n{printed}{messages}"))
    }

    /// What the CLI says beside its output.
    #[track_caller]
    pub(super) fn messages(&self, line: &str) -> String {
        let (output, messages) = self.run(line, &[]);
        assert!(output.status.success(), "az {line}\n{}\n{messages}", output.status);
        messages
    }

    /// The message with which a command fails: never a fault of the CLI itself, which an answer without a field that
    /// it needs would bring about.
    ///
    /// # Panics
    /// The command succeeds.
    #[track_caller]
    pub(super) fn refused(&self, line: &str) -> String {
        self.refused_with(line, &[])
    }

    /// The same with more words, which may hold spaces.
    #[track_caller]
    pub(super) fn refused_with(&self, line: &str, words: &[&str]) -> String {
        let (output, messages) = self.run(line, words);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "az {line}\nshould have failed\n{printed}{messages}");
        assert!(!messages.contains("Traceback"), "az {line}\n{messages}");
        messages
    }

    /// A command line that has not been started.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = self.sandbox.command("az");
        command.env("AZURE_CONFIG_DIR", self.sandbox.path(&format!("azure-{}", self.name)));
        command.args(line.split_whitespace());
        command
    }

    #[track_caller]
    fn run(&self, line: &str, words: &[&str]) -> (Output, String) {
        let output = self.command(line).args(words).output().unwrap_or_else(|error| panic!("az {line}: {error}"));
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, messages)
    }
}
