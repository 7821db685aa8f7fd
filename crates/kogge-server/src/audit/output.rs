//! Where the audit goes.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use kogge_core::Core;
use kogge_core::audit::{AuditSettings, Copy, Retention};
use kogge_types::limits;
use prometheus_client::metrics::counter::Counter;

use crate::config::{AuditOutput, Config};
use crate::log::Sink;

/// The folder of the files below the data directory, unless configured.
pub(crate) const FOLDER: &str = "audit";
/// How long the last lines on standard output may take.
const FLUSH: Duration = Duration::from_secs(1);

/// Lines that go beside the files: a reader that is too slow costs lines, not time.
struct Lines(Sink);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.0.put(line));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.close(FLUSH);
    }
}

/// Opens the audit of a server as it is configured. `dropped` counts lines that standard output did not take.
pub(crate) async fn open(core: &Core, config: &Config, dropped: &Counter) -> io::Result<()> {
    let audit = &config.audit;
    let copy: Option<Copy> = match audit.output {
        AuditOutput::Off => return Ok(()),
        AuditOutput::File => None,
        // Nothing is kept elsewhere, so that the audit waits for its reader.
        AuditOutput::Stdout => Some(Box::new(io::stdout())),
        AuditOutput::Both => Some(Box::new(Lines(Sink::start("audit-copy", io::stdout(), dropped.clone())?))),
    };
    let settings = AuditSettings {
        folder: (audit.output != AuditOutput::Stdout).then(|| audit.directory.clone()),
        retention: Retention {
            time: audit.retention,
            bytes_max: audit.max_size,
            segment_bytes_max: limits::AUDIT_SEGMENT_BYTES,
        },
        copy,
        region: config.server.region.clone(),
        tenant: core.deployment().tenant.clone(),
    };
    core.open_audit(settings).await.map_err(|error| {
        io::Error::new(error.kind(), format!("open the audit in {}: {error}", audit.directory.display()))
    })
}

/// Opens the files of an installation that no server has, to ask them; none is removed.
pub(crate) async fn open_to_ask(core: &Core, directory: &Path) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    let settings = AuditSettings {
        folder: Some(directory.to_owned()),
        retention: Retention {
            time: Duration::from_secs(u32::MAX.into()),
            bytes_max: u64::MAX,
            segment_bytes_max: limits::AUDIT_SEGMENT_BYTES,
        },
        copy: None,
        region: String::new(),
        tenant: String::new(),
    };
    core.open_audit(settings).await
}
