//! The one test command: tools, source checks, every group of tests with its time budget, and the summary.

mod outcome;
mod plan;

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use self::outcome::Tally;
use self::plan::{Group, Step};
use crate::{shell, tidy, tools};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the second tier too: larger sizes, longer races, more rounds.
    #[arg(long)]
    long: bool,
    /// Run only this group (repeatable); without it, all.
    #[arg(long = "group", value_name = "GROUP", value_parser = plan::names())]
    groups: Vec<String>,
}

/// Runs the chosen groups and prints the summary, whose last line is `N passed, N failed`.
///
/// Returns whether all passed. A group over its budget is reported and does not fail.
///
/// # Errors
/// None for a failing step: that is counted, so that the summary is always printed.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let runner = Runner { root, long: options.long };
    let mut summary = Vec::new();
    for group in plan::chosen(&options.groups) {
        println!("\n=== {}: {} (budget {})", group.name, group.about, minutes(group.budget));
        let start = Instant::now();
        let tally = runner.run_group(group);
        let line = Line { name: group.name, tally, took: start.elapsed(), budget: group.budget };
        println!("=== {line}");
        let stop = group.others_need_it && tally.failed > 0;
        summary.push(line);
        if stop {
            println!("=== stopping: without {} nothing else can run", group.name);
            break;
        }
    }
    Ok(print_summary(&summary))
}

/// What the groups share while they run.
struct Runner<'a> {
    root: &'a Path,
    long: bool,
}

impl Runner<'_> {
    /// Runs every step of `group`; one that cannot run counts as one failed test, and the next still runs.
    fn run_group(&self, group: &Group) -> Tally {
        let mut total = Tally::default();
        for step in group.steps {
            let tally = self.run_step(step).unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                Tally::one_failed()
            });
            total.add(tally);
        }
        total
    }

    fn run_step(&self, step: &Step) -> Result<Tally> {
        match step {
            Step::Tools => tools::ensure_for_tests(self.root)?,
            Step::Tidy if tidy::run(self.root)? => {}
            Step::Tidy => return Ok(Tally::one_failed()),
            Step::Cargo(arguments) => shell::run(shell::cargo(self.root).args(*arguments))?,
            Step::Tests(arguments) => return self.run_tests(arguments, None),
            Step::SharedTests(arguments) => {
                let variable = ("KOGGE_TEST_METADATA".to_owned(), "postgres".to_owned());
                return self.run_tests(arguments, Some(&variable));
            }
            Step::RootTests(arguments) => return self.run_tests(arguments, root_runner()?.as_ref()),
        }
        Ok(Tally::default())
    }

    /// Runs `cargo test`, shows its output as it comes and reads the results from it.
    ///
    /// `variable` is one more of the environment: which program runs the tests, or where metadata lie.
    fn run_tests(&self, arguments: &[&str], variable: Option<&(String, String)>) -> Result<Tally> {
        let mut command = shell::cargo(self.root);
        command.arg("test").args(arguments).stdout(Stdio::piped());
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        if self.long {
            command.env("KOGGE_TEST_LONG", "1");
        } else {
            command.env_remove("KOGGE_TEST_LONG");
        }
        let mut child = command.spawn().context("cannot start cargo test")?;
        let output = child.stdout.take().expect("stdout was asked to be piped");
        let mut tally = Tally::default();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read the output of cargo test")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read_line(&line);
        }
        let status = child.wait().context("cannot wait for cargo test")?;
        // A test program that was killed prints no result: its failure must not be lost.
        if !status.success() && tally.failed == 0 {
            tally.add(Tally::one_failed());
        }
        Ok(tally)
    }
}

/// What makes cargo run tests as root, though not build them so; nothing when this is root already.
fn root_runner() -> Result<Option<(String, String)>> {
    if shell::capture(Command::new("id").arg("-u"))?.trim() == "0" {
        return Ok(None);
    }
    shell::capture(Command::new("sudo").args(["-n", "true"]))
        .context("these tests need root, or sudo without a password")?;
    let version = shell::capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let name = format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_"));
    Ok(Some((name, "sudo -n --preserve-env".to_owned())))
}

/// One group's line of the summary.
struct Line {
    name: &'static str,
    tally: Tally,
    took: Duration,
    budget: Duration,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (took, budget) = (minutes(self.took), minutes(self.budget));
        write!(f, "{:<9} {:<28} {took:>7} of {budget}", self.name, self.tally.to_string())?;
        if self.took > self.budget {
            write!(f, "  OVER ITS BUDGET")?;
        }
        Ok(())
    }
}

/// Prints all groups and the totals; returns whether nothing failed.
fn print_summary(lines: &[Line]) -> bool {
    let mut total = Tally::default();
    println!("\n=== summary");
    for line in lines {
        println!("{line}");
        total.add(line.tally);
    }
    let over: Vec<&str> = lines.iter().filter(|line| line.took > line.budget).map(|line| line.name).collect();
    if !over.is_empty() {
        println!("OVER THE TIME BUDGET: {}", over.join(", "));
    }
    println!("{total}");
    total.failed == 0
}

/// `m:ss`.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(605)), "10:05");
    }

    #[test]
    fn a_group_over_its_budget_says_so_loudly() {
        let mut line = Line {
            name: "units",
            tally: Tally::default(),
            took: Duration::from_secs(61),
            budget: Duration::from_secs(60),
        };
        assert!(line.to_string().contains("OVER ITS BUDGET"));
        line.took = line.budget;
        assert!(!line.to_string().contains("OVER"));
    }
}
