//! `bench`: the registry beside Debian's docker-registry, nginx and what the machine can do, in one run.
//!
//! Every server works as it is shipped: access logs on, metrics on, writes durable. The servers take turns, round by
//! round, and medians are shown, because other work may run beside. CPU per unit of work is the steadier figure.

mod content;
mod http;
mod limits;
mod listing;
mod memory;
mod process;
mod pull;
mod push;
mod report;
mod sample;
mod server;
mod wrk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{shell, tools};
use content::Source;
use report::{BYTES, REQUESTS, Row};
use sample::Series;
use server::Site;

/// Bytes of a MiB.
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Args)]
pub(crate) struct Options {
    /// A short run: fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Measure only this work (repeatable)
    #[arg(long, value_name = "ROW")]
    only: Vec<Work>,
    /// Tags, and repositories, that the listings page through
    #[arg(long, default_value_t = 10_000)]
    names: usize,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    kogge: Option<PathBuf>,
}

/// Kinds of work, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Limits,
    Manifest,
    Pull,
    PullTls,
    PushLarge,
    PushSmall,
    Listing,
    Memory,
}

/// What the rows need.
struct Bench {
    site: Site,
    source: Source,
    quick: bool,
    names: usize,
}

impl Bench {
    /// How often each server has its turn.
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 7 }
    }

    /// How long a turn is, where it is bounded by time.
    fn turn(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 3 })
    }
}

/// Builds the registry, measures, and prints the table row by row.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    tools::ensure(root, &tools::BENCH)?;
    let kogge = match &options.kogge {
        Some(file) => file.clone(),
        None => {
            shell::run(shell::cargo(root).args(["build", "--release", "--package", "kogge"]))?;
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            target.join("release/kogge")
        }
    };
    let folder = root.join("target/bench");
    let site = Site::new(kogge, root.join(".kogge-tools/bench/bin"), folder.clone())?;
    let bench = Bench { site, source: Source::new(), quick: options.quick, names: options.names };
    println!("medians of {} rounds; servers take turns; {}\n", bench.rounds(), machine_state());
    for work in Work::value_variants() {
        if !options.only.is_empty() && !options.only.contains(work) {
            continue;
        }
        let rows = measure(&bench, *work).with_context(|| format!("measuring {work:?}"))?;
        rows.iter().for_each(|row| println!("{}", row.render()));
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn measure(bench: &Bench, work: Work) -> Result<Vec<Row>> {
    match work {
        Work::Limits => Ok(vec![machine(bench)?]),
        Work::Manifest => Ok(vec![pull::manifest(bench)?]),
        Work::Pull => pull::blobs(bench),
        Work::PullTls => pull::blobs_over_tls(bench),
        Work::PushLarge => Ok(vec![push::large(bench)?]),
        Work::PushSmall => Ok(vec![push::small(bench)?]),
        Work::Listing => listing::pages(bench),
        Work::Memory => Ok(vec![memory::resident(bench)?]),
    }
}

/// What the numbers were taken on: they are worth less when other work ran beside.
fn machine_state() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!("{cpus} CPUs, load {load} before the run")
}

/// The machine's own limits, with nothing running.
fn machine(bench: &Bench) -> Result<Row> {
    let names = ["one-core sha256", "disk write with fsync, 256 MiB", "loopback, one connection"];
    let mut rates = names.map(Series::new);
    let mut writes = [1, 16].map(|threads| (threads, Series::new(&format!("durable small writes, {threads} threads"))));
    for round in 0..bench.rounds() {
        let blob = bench.source.blob(round as u64, 256 * 1024 * 1024);
        let measured = [
            limits::sha256(&blob),
            limits::disk_write(&bench.site.folder, &blob)?,
            limits::loopback(1024 * 1024 * 1024)?,
        ];
        rates.iter_mut().zip(measured).for_each(|(series, rate)| series.add_rate(rate));
        for (threads, series) in &mut writes {
            series.add_rate(limits::small_writes(&bench.site.folder, *threads, bench.turn() / 2)?);
        }
    }
    let mut row = Row::new("What the machine can do");
    rates.iter().for_each(|series| row.measured(&[series], BYTES));
    writes.iter().for_each(|(_, series)| row.measured(&[series], REQUESTS));
    Ok(row)
}
