//! The project's own automation, run as `cargo xtask <command>`.
//!
//! `test` is the one test command: it installs what the tests need, checks the sources and runs every test.
//! `tidy` holds the rules that no compiler knows. `tools` only installs the programs that the tests drive. `bench`
//! compares the registry with others and with what the machine can do.

mod bench;
mod shell;
mod test;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Kogge's own automation")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, check the sources, run every test and print the summary.
    Test(test::Options),
    /// Check the rules of the source tree: layout, sizes, names, links.
    Tidy,
    /// Measure the registry beside docker-registry, nginx and the machine's limits, and print the table of goals.
    Bench(bench::Options),
    /// Install the programs that the tests drive into `.kogge-tools/`, and print their versions.
    Tools,
}

fn main() -> ExitCode {
    let root = workspace_root();
    let outcome = match Arguments::parse().command {
        Command::Test(options) => test::run(&root, &options),
        Command::Tidy => tidy::run(&root),
        Command::Bench(options) => bench::run(&root, &options).map(|()| true),
        Command::Tools => tools::ensure_for_tests(&root).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
fn workspace_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask lies one folder below the workspace root").to_path_buf()
}
