//! What a check-up finds, step by step.

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::image_reference::RegistryHost;
use crate::output;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    Warn,
    Fail,
    Skipped,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// A step, and the error id that its failure has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    name: &'static str,
    id: &'static str,
}

impl Check {
    pub(crate) fn of(name: &'static str, id: &'static str) -> Self {
        Self { name, id }
    }
}

/// What a step found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    status: Status,
    detail: String,
    #[serde(rename = "errorId", skip_serializing_if = "Option::is_none")]
    id: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Checkup {
    findings: Vec<Finding>,
    /// The kind of the first failure: it decides the exit code.
    failed: Option<Kind>,
}

impl Checkup {
    pub(crate) fn ok(&mut self, check: Check, detail: String) {
        self.add(check.name, Status::Ok, detail, None, Vec::new());
    }

    pub(crate) fn warn(&mut self, check: Check, detail: String, hint: String) {
        self.add(check.name, Status::Warn, detail, Some(check.id), vec![hint]);
    }

    /// `kind` is the kind of failure when the error itself does not know better.
    pub(crate) fn fail(&mut self, check: Check, error: &Error, kind: Kind) {
        let kind = if error.kind == Kind::General { kind } else { error.kind };
        self.failed.get_or_insert(kind);
        self.add(check.name, Status::Fail, error.chain(), Some(check.id), error.hints().to_vec());
    }

    pub(crate) fn skip(&mut self, name: &'static str, why: &str) {
        self.add(name, Status::Skipped, why.to_owned(), None, Vec::new());
    }

    pub(crate) fn checks(&self) -> &[Finding] {
        &self.findings
    }

    /// One line for each step; hints follow theirs.
    pub(crate) fn table(&self) -> String {
        let rows = self.findings.iter().map(|finding| {
            let id = finding.id.map(|id| format!("{id}: ")).unwrap_or_default();
            [finding.check.to_owned(), finding.status.word().to_owned(), format!("{id}{}", finding.detail)]
        });
        let mut lines = vec![output::table(["CHECK", "STATUS", "DETAIL"], rows)];
        let hints = self.findings.iter().flat_map(|own| own.hints.iter().map(move |hint| (own.check, hint)));
        lines.extend(hints.map(|(check, hint)| format!("hint: {check}: {hint}")));
        lines.join("\n")
    }

    /// The outcome of the whole: an error when a step failed.
    pub(crate) fn verdict(&self, host: &RegistryHost) -> Result<()> {
        let Some(kind) = self.failed else { return Ok(()) };
        let count = self.findings.iter().filter(|finding| finding.status == Status::Fail).count();
        Err(Error::new(kind, format!("{count} of {} checks of {host} failed", self.findings.len())))
    }

    fn add(
        &mut self,
        check: &'static str,
        status: Status,
        detail: String,
        id: Option<&'static str>,
        hints: Vec<String>,
    ) {
        self.findings.push(Finding { check, status, detail, id, hints });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_decides_and_hints_follow() {
        let host: RegistryHost = "reg.io".parse().expect("a host");
        let mut checkup = Checkup::default();
        checkup.ok(Check::of("dns", "CONNECTIVITY_DNS_ERROR"), "10.0.0.1".to_owned());
        checkup.warn(Check::of("clock", "CLOCK_SKEW_ERROR"), "2 min off".to_owned(), "set it".to_owned());
        assert!(checkup.verdict(&host).is_ok());
        let check = Check::of("tls", "CONNECTIVITY_SSL_ERROR");
        checkup.fail(check, &Error::general("not trusted").hint("--ca-file"), Kind::Network);
        checkup.fail(Check::of("token", "X"), &Error::new(Kind::Denied, "401"), Kind::General);
        let error = checkup.verdict(&host).expect_err("two failures");
        assert_eq!((error.kind, error.to_string()), (Kind::Network, "2 of 4 checks of reg.io failed".to_owned()));
        let shown = checkup.table();
        assert!(shown.contains("CONNECTIVITY_SSL_ERROR: not trusted"), "{shown}");
        assert!(shown.contains("hint: tls: --ca-file"), "{shown}");
    }
}
