//! Reading: manifests by tag, and large blobs.

use std::fs;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::content::{self, Blob};
use super::http::{Connection, Endpoint, Request};
use super::report::{BYTES, REQUESTS, Row};
use super::sample::{Sample, Series, Watch};
use super::server::{Server, with_token};
use super::{Bench, MIB, wrk};

const REPOSITORY: &str = "bench/app";
const MANIFEST_BYTES: usize = 1024;
const BLOB_BYTES: u64 = 256 * 1024 * 1024;
/// Connections of the manifest's row.
const CONNECTIONS: usize = 32;

/// Pushes an image with the layer `layer` as `bench/app:latest`; a login that may pull it.
pub(super) fn publish(bench: &Bench, endpoint: &Endpoint, layer: &Blob) -> Result<Endpoint> {
    let config = bench.source.blob(1, 512);
    let endpoint = with_token(endpoint, &format!("repository:{REPOSITORY}:pull,push"))?;
    let mut connection = endpoint.connect()?;
    for blob in [&config, layer] {
        content::push_blob(&mut connection, REPOSITORY, blob)?;
    }
    let manifest = content::manifest(&config, layer, MANIFEST_BYTES);
    content::put_manifest(&mut connection, REPOSITORY, "latest", content::MANIFEST, &manifest)?;
    fs::write(bench.site.folder.join("www/manifest"), manifest)?;
    Ok(endpoint)
}

/// The path of the manifest that [`publish`] pushed.
pub(super) fn manifest_target() -> String {
    format!("/v2/{REPOSITORY}/manifests/latest")
}

/// GET of a manifest by tag, against nginx's static file.
pub(super) fn manifest(bench: &Bench) -> Result<Row> {
    let layer = bench.source.blob(2, 4096);
    let (kogge, registry, nginx) =
        (bench.site.kogge("kogge-manifest", false)?, bench.site.docker_registry()?, bench.site.nginx()?);
    let target = manifest_target();
    let subjects: [(&Server, Endpoint, &str); 3] = [
        (&kogge, publish(bench, kogge.http()?, &layer)?, &target),
        (&nginx, nginx.http()?.clone(), "/manifest"),
        (&registry, publish(bench, registry.http()?, &layer)?, &target),
    ];
    let mut series = subjects.each_ref().map(|(server, ..)| Series::new(server.name));
    for _ in 0..bench.rounds() {
        for ((server, endpoint, target), series) in subjects.iter().zip(&mut series) {
            series.add(wrk::load(&bench.site.tools, server, endpoint, target, CONNECTIONS, bench.turn())?);
        }
    }
    let server = subjects[0].0;
    let [kogge, nginx, registry] = &series;
    let mut row = Row::new("GET manifest by tag, bearer token, 1 KiB, 32 connections");
    row.measured(&[kogge, nginx, registry], REQUESTS);
    row.figure("lines of the access log that were dropped", dropped_lines(server)?, "");
    row.at_least("nginx's rate for a static file of 1 KiB", kogge.ratio(nginx), 1.0, "x");
    row.at_least("docker-registry's rate", kogge.ratio(registry), 5.0, "x");
    Ok(row)
}

/// Log lines that the registry did not write because it was too busy: with many of them a rate counts less.
fn dropped_lines(kogge: &Server) -> Result<f64> {
    let mut connection = kogge.http()?.connect()?;
    connection.send(&Request::new("GET", "/metrics"), &[])?;
    let answer = connection.answer()?;
    let metrics = String::from_utf8(connection.body(&answer)?)?;
    let value = metrics.lines().find_map(|line| line.strip_prefix("kogge_log_lines_dropped_total "));
    value.context("the registry's metrics do not tell of dropped lines")?.parse().context("a number of /metrics")
}

/// GET of a large blob over plain HTTP.
pub(super) fn blobs(bench: &Bench) -> Result<Vec<Row>> {
    let layer = bench.source.blob(3, BLOB_BYTES);
    let (kogge, registry, nginx) =
        (bench.site.kogge("kogge-pull", false)?, bench.site.docker_registry()?, bench.site.nginx()?);
    let target = format!("/v2/{REPOSITORY}/blobs/{}", layer.digest);
    fs::write(bench.site.folder.join("www/layer"), layer.to_vec())?;
    let subjects = [
        (&kogge, publish(bench, kogge.http()?, &layer)?, target.as_str()),
        (&nginx, nginx.http()?.clone(), "/layer"),
        (&registry, publish(bench, registry.http()?, &layer)?, target.as_str()),
    ];
    [1, 16].into_iter().map(|connections| pull_row(bench, &subjects, connections, "plain HTTP")).collect()
}

/// GET of a large blob over TLS 1.3.
pub(super) fn blobs_over_tls(bench: &Bench) -> Result<Vec<Row>> {
    let layer = bench.source.blob(3, BLOB_BYTES);
    let (kogge, nginx) = (bench.site.kogge("kogge-tls", true)?, bench.site.nginx()?);
    let target = format!("/v2/{REPOSITORY}/blobs/{}", layer.digest);
    fs::write(bench.site.folder.join("www/layer"), layer.to_vec())?;
    let subjects = [
        (&kogge, publish(bench, kogge.https()?, &layer)?, target.as_str()),
        (&nginx, nginx.https()?.clone(), "/layer"),
    ];
    [1, 16].into_iter().map(|connections| pull_row(bench, &subjects, connections, "TLS 1.3")).collect()
}

/// One row: every subject is a server, a login and the blob's path there; the registry first, nginx second.
fn pull_row(bench: &Bench, subjects: &[(&Server, Endpoint, &str)], connections: usize, how: &str) -> Result<Row> {
    let transfers = if bench.quick { 4 } else { 8_usize }.div_ceil(connections);
    let mut series: Vec<Series> = subjects.iter().map(|(server, ..)| Series::new(server.name)).collect();
    for _ in 0..bench.rounds() {
        for ((server, endpoint, target), series) in subjects.iter().zip(&mut series) {
            series.add(pull_together(server, endpoint, target, connections, transfers)?);
        }
    }
    let mut row = Row::new(format!("GET blob 256 MiB, {how}, {connections} connection(s)"));
    row.measured(&series.iter().collect::<Vec<_>>(), BYTES);
    let what = format!("nginx's rate{}", if subjects[1].1.tls.is_some() { " over TLS" } else { " with sendfile" });
    row.at_least(what, series[0].ratio(&series[1]), 1.0, "x");
    Ok(row)
}

/// Pulls `target` on each of `connections` at once, `transfers` times one after another.
fn pull_together(
    server: &Server,
    endpoint: &Endpoint,
    target: &str,
    connections: usize,
    transfers: usize,
) -> Result<Sample> {
    let mut open = (0..connections).map(|_| endpoint.connect()).collect::<Result<Vec<Connection>>>()?;
    let watch = Watch::start(server.tree())?;
    let bytes = thread::scope(|scope| {
        let pullers: Vec<_> = open
            .iter_mut()
            .map(|connection| {
                scope.spawn(move || -> Result<u64> {
                    let mut bytes = 0;
                    for _ in 0..transfers {
                        connection.send(&Request::new("GET", target), &[])?;
                        let answer = connection.answer()?;
                        bytes += connection.skip_body(&answer)?;
                    }
                    Ok(bytes)
                })
            })
            .collect();
        let joined = pullers.into_iter().map(|puller| puller.join().map_err(|_| anyhow!("a puller panicked"))?);
        joined.sum::<Result<u64>>()
    })?;
    anyhow::ensure!(bytes == (connections * transfers) as u64 * BLOB_BYTES, "{}: {bytes} bytes came", server.name);
    watch.stop_after(bytes as f64 / MIB)
}
