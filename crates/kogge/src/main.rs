//! `kogge`: the registry and its command line in one binary.

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use kogge_cli::GlobalArgs;
use kogge_server::local::LocalCommand;

/// Small allocations from many threads: less memory and less time than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A self-hosted container registry that speaks Azure Container Registry's APIs
#[derive(Debug, Parser)]
#[command(name = "kogge", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Local(LocalCommand),
    #[command(flatten)]
    Remote(kogge_cli::Command),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Remote(command) => kogge_cli::run(command, cli.global, Cli::command()),
        Command::Local(command) => match command.run(VERSION) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
    }
}

/// One line with the causes. A broken standard error must not hide the exit code.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last().is_none_or(|last| !last.ends_with(&text)) {
            causes.push(text);
        }
        next = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "error: {}", causes.join(": "));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
