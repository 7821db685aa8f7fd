//! Credential helpers: programs named `docker-credential-<name>` that keep logins in a key chain.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use super::{Credential, keys_of};
use crate::error::{During as _, Error, Result, printable};
use crate::image_reference::RegistryHost;

/// A helper program.
pub(crate) struct Helper {
    program: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

struct Outcome {
    success: bool,
    output: Vec<u8>,
}

impl Helper {
    pub(crate) fn new(name: &str) -> Self {
        Self { program: format!("docker-credential-{name}") }
    }

    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// The login that the helper has for the host, if it has one.
    pub(crate) fn get(&self, host: &RegistryHost) -> Result<Option<Credential>> {
        for key in keys_of(host) {
            let outcome = self.run("get", &key)?;
            if outcome.success {
                let answer: Answer = serde_json::from_slice(&outcome.output)
                    .map_err(|error| Error::general(format!("{} gave no login", self.program)).because(error))?;
                return Ok(Some(Credential::new(answer.username, answer.secret)));
            }
            let said = String::from_utf8_lossy(&outcome.output);
            if !said.contains("credentials not found") {
                return Err(self.refused("get", &said));
            }
        }
        Ok(None)
    }

    pub(crate) fn store(&self, host: &RegistryHost, credential: &Credential) -> Result<()> {
        let key = keys_of(host).into_iter().next().expect("every host has a key");
        let secret = match credential {
            Credential::Password { password, .. } => password,
            Credential::RefreshToken { token } => token,
        };
        let input = json!({ "ServerURL": key, "Username": credential.user(), "Secret": secret }).to_string();
        self.run_or_fail("store", &input)
    }

    pub(crate) fn erase(&self, host: &RegistryHost) -> Result<()> {
        keys_of(host).iter().try_for_each(|key| self.run_or_fail("erase", key))
    }

    fn run_or_fail(&self, verb: &str, input: &str) -> Result<()> {
        let outcome = self.run(verb, input)?;
        if outcome.success { Ok(()) } else { Err(self.refused(verb, &String::from_utf8_lossy(&outcome.output))) }
    }

    fn refused(&self, verb: &str, said: &str) -> Error {
        Error::general(format!("the credential helper `{} {verb}` failed", self.program)).because(printable(said))
    }

    /// Runs the helper with `input` on its standard input. It may ask the user something, so no time is set.
    fn run(&self, verb: &str, input: &str) -> Result<Outcome> {
        let action = || format!("run the credential helper `{}`", self.program);
        let mut child = Command::new(&self.program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .during(action)
            .map_err(|error| {
                error.hint("install it, or take it out of Docker's config.json (credsStore, credHelpers)")
            })?;
        let mut stdin = child.stdin.take().expect("it was asked for above");
        // A helper that does not read its input closes it; its exit status then tells more.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error).during(action),
            _ => drop(stdin),
        }
        let finished = child.wait_with_output().during(action)?;
        Ok(Outcome { success: finished.status.success(), output: finished.stdout })
    }
}
