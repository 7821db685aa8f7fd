//! `[audit]`: who did what, where that is written and for how long it is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kogge_types::limits;
use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::quantity::{write_duration, write_size};
use super::raw::{RawDuration, RawSize};
use crate::audit::output::FOLDER;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawAudit {
    output: Option<String>,
    directory: Option<PathBuf>,
    retention: Option<RawDuration>,
    max_size: Option<RawSize>,
}

/// The audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Audit {
    /// `file`, `stdout`, `both` or `off`. Only what is in files can be asked. Default `file`.
    pub output: AuditOutput,
    /// The folder of the files. Default: `audit` below the data directory.
    pub directory: PathBuf,
    /// How long files are kept. Default `30d`.
    #[serde(serialize_with = "write_duration")]
    pub retention: Duration,
    /// Bytes that all files may take; the oldest go first. Default `4GiB`.
    #[serde(serialize_with = "write_size")]
    pub max_size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditOutput {
    File,
    Stdout,
    Both,
    Off,
}

impl Audit {
    pub(super) fn check(raw: RawAudit, data_dir: &Path, problems: &mut Problems) -> Self {
        let output = match raw.output.as_deref() {
            None | Some("file") => AuditOutput::File,
            Some("stdout") => AuditOutput::Stdout,
            Some("both") => AuditOutput::Both,
            Some("off") => AuditOutput::Off,
            Some(other) => {
                problems.add("audit.output", format!("{other:?}: write file, stdout, both or off"));
                AuditOutput::Off
            }
        };
        let retention = raw.retention.map_or(limits::AUDIT_RETENTION_DEFAULT, |raw| raw.0);
        if retention.is_zero() {
            problems.add("audit.retention", "must be longer than 0s; output = \"off\" turns the audit off");
        }
        let max_size = raw.max_size.map_or(limits::AUDIT_BYTES_DEFAULT, |raw| raw.0);
        if max_size < 2 * limits::AUDIT_SEGMENT_BYTES {
            problems.add("audit.max-size", "must be at least 32MiB: the file that is being written is always kept");
        }
        Self { output, directory: raw.directory.unwrap_or_else(|| data_dir.join(FOLDER)), retention, max_size }
    }
}
