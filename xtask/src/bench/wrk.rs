//! wrk: many small requests from one thread.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::content;
use super::http::Endpoint;
use super::sample::{Sample, Watch};
use super::server::Server;
use crate::shell;

/// Requests `target` of `server` from `connections` connections for `time`.
pub(super) fn load(
    tools: &Path,
    server: &Server,
    endpoint: &Endpoint,
    target: &str,
    connections: usize,
    time: Duration,
) -> Result<Sample> {
    let mut command = Command::new(tools.join("wrk"));
    command.arg("-t1").arg(format!("-c{connections}")).arg(format!("-d{}s", time.as_secs().max(1)));
    // As clients do; docker-registry finds no OCI manifest without it.
    command.arg("-H").arg(format!("Accept: {}", content::MANIFEST));
    if !endpoint.authorization.is_empty() {
        command.arg("-H").arg(format!("Authorization: {}", endpoint.authorization));
    }
    command.arg(endpoint.url(target));
    let watch = Watch::start(server.tree())?;
    let output = shell::capture(&mut command)?;
    let sample = watch.stop_after(requests(&output)? as f64)?;
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        bail!("{} refused {target}:\n{output}", server.name);
    }
    Ok(sample)
}

/// The number before "requests in".
fn requests(output: &str) -> Result<u64> {
    let line = output.lines().find(|line| line.contains(" requests in ")).context("wrk told no requests")?;
    line.split_whitespace().next().unwrap_or_default().parse().context("wrk told no number of requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let output = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 2 connections\n  \
                      61234 requests in 1.00s, 9.88MB read\nRequests/sec:  61200.10\n";
        assert_eq!(requests(output).ok(), Some(61_234));
    }
}
