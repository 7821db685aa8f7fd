//! What a running server uses, as the kernel tells it.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks per second in `/proc`: 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and its children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree(pub(super) u32);

impl Tree {
    /// CPU seconds used so far, user and system, ended children included.
    pub(super) fn cpu_seconds(self) -> Result<f64> {
        let mut ticks = 0;
        for id in self.members()? {
            let text = fs::read_to_string(format!("/proc/{id}/stat")).context("a server has ended")?;
            // The second field is a name in parentheses, which may hold blanks.
            let (_, fields) = text.rsplit_once(')').context("a line of /proc")?;
            let times = fields.split_whitespace().skip(11).take(4);
            ticks += times.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Resident memory now, in MiB.
    pub(super) fn resident_mib(self) -> Result<f64> {
        self.status_mib("VmRSS:")
    }

    /// The most resident memory so far, in MiB.
    pub(super) fn resident_max_mib(self) -> Result<f64> {
        self.status_mib("VmHWM:")
    }

    fn status_mib(self, name: &str) -> Result<f64> {
        let mut kib = 0.0;
        for id in self.members()? {
            let text = fs::read_to_string(format!("/proc/{id}/status")).context("a server has ended")?;
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a line of /proc")?;
            kib += line.trim().trim_end_matches(" kB").parse::<f64>().context("a number of /proc")?;
        }
        Ok(kib / 1024.0)
    }

    /// The process and all that descend from it.
    fn members(self) -> Result<Vec<u32>> {
        let mut members = vec![self.0];
        let mut next = 0;
        while let Some(id) = members.get(next).copied() {
            next += 1;
            for task in fs::read_dir(format!("/proc/{id}/task")).context("a server has ended")? {
                // A thread may end between the listing and the look.
                let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
                members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        Ok(members)
    }
}
