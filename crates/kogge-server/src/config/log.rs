//! `[log]`: what is logged, where and in which form.

use serde::{Deserialize, Serialize};

use super::problem::Problems;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) filter: Option<String>,
    pub(super) access: Option<String>,
}

/// What is logged, where and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Log {
    /// `text` or `json`. Default: text when standard error is a terminal, else json.
    pub format: LogFormat,
    /// Which events are logged: `info`, or `warn,kogge_core=debug`. Default `info`. Also `KOGGE_LOG`.
    pub filter: String,
    /// Where the access log goes: `stderr`, `stdout` or `off`. Default `stderr`.
    pub access: AccessTarget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTarget {
    Stderr,
    Stdout,
    Off,
}

impl Log {
    pub(super) fn check(raw: RawLog, terminal: bool, problems: &mut Problems) -> Self {
        let format = match raw.format.as_deref() {
            None if terminal => LogFormat::Text,
            Some("text") => LogFormat::Text,
            None | Some("json") => LogFormat::Json,
            Some(other) => {
                problems.add("log.format", format!("{other:?}: write text or json"));
                LogFormat::Text
            }
        };
        let filter = raw.filter.unwrap_or_else(|| "info".to_owned());
        if let Err(error) = filter.parse::<tracing_subscriber::filter::targets::Targets>() {
            problems.add("log.filter", format!("{filter:?}: {error}"));
        }
        let access = match raw.access.as_deref() {
            None | Some("stderr") => AccessTarget::Stderr,
            Some("stdout") => AccessTarget::Stdout,
            Some("off") => AccessTarget::Off,
            Some(other) => {
                problems.add("log.access", format!("{other:?}: write stderr, stdout or off"));
                AccessTarget::Off
            }
        };
        Self { format, filter, access }
    }
}
