//! Resident memory: after the start, and while many uploads run at once.

use std::sync::Barrier;
use std::thread;

use anyhow::{Result, anyhow};

use super::Bench;
use super::content::{self, Blob};
use super::http::{Connection, Request};
use super::report::Row;
use super::server::with_token;

/// Servers that are started one after another.
const SERVERS: usize = 3;
const UPLOADS: usize = 200;
const UPLOAD_BYTES: u64 = 4 * 1024 * 1024;
const REPOSITORY: &str = "bench/memory";

/// MiB of one server's life.
struct Resident {
    idle: f64,
    held: f64,
    peak: f64,
    after: f64,
}

/// Memory of fresh servers; of several the worst, because a limit must hold always.
pub(super) fn resident(bench: &Bench) -> Result<Row> {
    let blobs: Vec<Blob> = (0..UPLOADS).map(|seed| bench.source.blob(seed as u64, UPLOAD_BYTES)).collect();
    let rounds = (0..SERVERS).map(|round| life(bench, &format!("kogge-memory-{round}"), &blobs));
    let rounds = rounds.collect::<Result<Vec<Resident>>>()?;
    let worst = |figure: fn(&Resident) -> f64| rounds.iter().map(figure).fold(0.0, f64::max);
    let mut row = Row::new(format!("Resident memory, the worst of {SERVERS} fresh servers"));
    row.figure("with all 200 uploads of 4 MiB half sent", worst(|round| round.held), "MiB");
    row.figure("after them", worst(|round| round.after), "MiB");
    row.at_most("idle, after the start", worst(|round| round.idle), 40.0, "MiB");
    row.at_most("at most during 200 uploads of 4 MiB at once", worst(|round| round.peak), 120.0, "MiB");
    Ok(row)
}

/// A server, idle and under uploads that are all under way at the same time.
fn life(bench: &Bench, place: &str, blobs: &[Blob]) -> Result<Resident> {
    let kogge = bench.site.kogge(place, false)?;
    let endpoint = with_token(kogge.http()?, &format!("repository:{REPOSITORY}:pull,push"))?;
    let idle = kogge.tree().resident_mib()?;
    let half_sent = Barrier::new(UPLOADS + 1);
    let held = thread::scope(|scope| -> Result<f64> {
        let pushers: Vec<_> = blobs
            .iter()
            .map(|blob| {
                let (endpoint, half_sent) = (&endpoint, &half_sent);
                scope.spawn(move || -> Result<()> {
                    let opened = endpoint.connect().and_then(|connection| send_half(connection, blob));
                    // Also a pusher that failed is waited for.
                    half_sent.wait();
                    let (mut connection, target) = opened?;
                    for part in blob.parts(UPLOAD_BYTES / 2..UPLOAD_BYTES) {
                        connection.send_body(part)?;
                    }
                    connection.expect(&Request::new("PUT", &target), 201).map(drop)
                })
            })
            .collect();
        half_sent.wait();
        let held = kogge.tree().resident_mib();
        pushers.into_iter().try_for_each(|pusher| pusher.join().map_err(|_| anyhow!("a pusher panicked"))?)?;
        held
    })?;
    let tree = kogge.tree();
    Ok(Resident { idle, held, peak: tree.resident_max_mib()?, after: tree.resident_mib()? })
}

/// Begins an upload and sends the first half of it; the connection and where the upload ends.
fn send_half(mut connection: Connection, blob: &Blob) -> Result<(Connection, String)> {
    let begun = content::begin_upload(&mut connection, REPOSITORY)?;
    let target = content::finish_target(&begun, &blob.digest)?;
    connection.send(&Request { body_bytes: UPLOAD_BYTES, ..Request::new("PUT", &target) }, &[])?;
    for part in blob.parts(0..UPLOAD_BYTES / 2) {
        connection.send_body(part)?;
    }
    Ok((connection, target))
}
