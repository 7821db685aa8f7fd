//! Writing: one large blob, and many small images.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::content;
use super::http::{Connection, Endpoint};
use super::report::{BYTES, REQUESTS, Row};
use super::sample::{Sample, Series, Watch};
use super::server::{Server, with_token};
use super::{Bench, MIB, limits};

const LARGE_BYTES: u64 = 1024 * 1024 * 1024;
const LAYER_BYTES: u64 = 4096;
const CONFIG_BYTES: u64 = 512;
/// Clients that push small images.
const CLIENTS: usize = 16;
/// Durable writes that an image needs: each of config, layer and manifest is acknowledged by itself.
const WRITES_PER_IMAGE: f64 = 3.0;
/// Makes the seeds of a run's blobs differ.
static SEED: AtomicU64 = AtomicU64::new(1 << 32);

fn next_seed() -> u64 {
    SEED.fetch_add(1, Ordering::Relaxed)
}

/// One blob of 1 GiB, against hashing it and writing it.
pub(super) fn large(bench: &Bench) -> Result<Row> {
    let (kogge, registry) = (bench.site.kogge("kogge-push", false)?, bench.site.docker_registry()?);
    let repository = "bench/large";
    let scope = format!("repository:{repository}:pull,push");
    let subjects = [(&kogge, with_token(kogge.http()?, &scope)?), (&registry, registry.http()?.clone())];
    let mut series = subjects.each_ref().map(|(server, _)| Series::new(server.name));
    let (mut hash, mut write) = (Series::new("one-core sha256"), Series::new("disk write with fsync"));
    for _ in 0..if bench.quick { 3 } else { 5 } {
        for ((server, endpoint), series) in subjects.iter().zip(&mut series) {
            let blob = bench.source.blob(next_seed(), LARGE_BYTES);
            let mut connection = endpoint.connect()?;
            let watch = Watch::start(server.tree())?;
            content::push_blob(&mut connection, repository, &blob)?;
            series.add(watch.stop_after(blob.bytes as f64 / MIB)?);
        }
        let blob = bench.source.blob(next_seed(), LARGE_BYTES);
        hash.add_rate(limits::sha256(&blob));
        write.add_rate(limits::disk_write(&bench.site.folder, &blob)?);
    }
    let [kogge, registry] = &series;
    let floor = hash.at_most(&write);
    let mut row = Row::new("Push one blob of 1 GiB (POST, PUT)");
    row.measured(&[kogge, registry, &hash, &write, &floor], BYTES);
    row.at_least("the smaller of one-core sha256 and disk write with fsync", kogge.ratio(&floor), 0.9, "x");
    Ok(row)
}

/// Images of one config and one layer of 4 KiB, each of its own, by tag.
pub(super) fn small(bench: &Bench) -> Result<Row> {
    let (kogge, registry) = (bench.site.kogge("kogge-small", false)?, bench.site.docker_registry()?);
    let subjects = [&kogge, &registry];
    let mut series = subjects.map(|server| Series::new(server.name));
    let mut clients = [clients_of(&kogge)?, clients_of(&registry)?];
    let mut writes = Series::new("durable small writes, 16 threads");
    for _ in 0..bench.rounds() {
        for ((server, clients), series) in subjects.iter().zip(&mut clients).zip(&mut series) {
            series.add(push_images(bench, server, clients)?);
        }
        writes.add_rate(limits::small_writes(&bench.site.folder, CLIENTS, bench.turn() / 2)?);
    }
    let [kogge, registry] = &series;
    let mut row = Row::new("Push images of one 4 KiB layer, 16 clients (POST, PUT, POST, PUT, PUT)");
    row.measured(&[kogge, registry], REQUESTS);
    row.measured(&[&writes], REQUESTS);
    row.at_least("docker-registry's rate", kogge.ratio(registry), 5.0, "x");
    let text = "durable small writes / 3 that an image needs";
    row.at_least(text, kogge.ratio(&writes) * WRITES_PER_IMAGE, 0.4, "x");
    Ok(row)
}

/// A connection for each client, with the repository that it pushes to.
fn clients_of(server: &Server) -> Result<Vec<(Connection, String)>> {
    let client = |number: usize| -> Result<(Connection, String)> {
        let repository = format!("bench/small-{number}");
        let endpoint: Endpoint = with_token(server.http()?, &format!("repository:{repository}:pull,push"))?;
        Ok((endpoint.connect()?, repository))
    };
    (0..CLIENTS).map(client).collect()
}

/// Pushes images on all connections for a turn.
fn push_images(bench: &Bench, server: &Server, clients: &mut [(Connection, String)]) -> Result<Sample> {
    let end = Instant::now() + bench.turn();
    let watch = Watch::start(server.tree())?;
    let images = thread::scope(|scope| {
        let pushers: Vec<_> = clients
            .iter_mut()
            .map(|(connection, repository)| {
                scope.spawn(move || -> Result<u64> {
                    let mut images = 0;
                    while Instant::now() < end {
                        push_image(bench, connection, repository)?;
                        images += 1;
                    }
                    Ok(images)
                })
            })
            .collect();
        let joined = pushers.into_iter().map(|pusher| pusher.join().map_err(|_| anyhow!("a pusher panicked"))?);
        joined.sum::<Result<u64>>()
    })?;
    watch.stop_after(images as f64)
}

fn push_image(bench: &Bench, connection: &mut Connection, repository: &str) -> Result<()> {
    let seed = next_seed();
    let (config, layer) = (bench.source.blob(!seed, CONFIG_BYTES), bench.source.blob(seed, LAYER_BYTES));
    content::push_blob(connection, repository, &layer)?;
    content::push_blob(connection, repository, &config)?;
    let manifest = content::manifest(&config, &layer, 0);
    content::put_manifest(connection, repository, &format!("t{seed}"), content::MANIFEST, &manifest)
}
