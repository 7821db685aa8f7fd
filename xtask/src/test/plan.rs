//! The groups of the test command, in the order in which they run, with their time budgets.

use std::time::Duration;

use clap::builder::PossibleValuesParser;

/// One part of the test command.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Time it may take on two cores, from an empty target folder, in the first tier.
    pub(super) budget: Duration,
    /// It always runs, and nothing after it makes sense when it fails.
    pub(super) others_need_it: bool,
    pub(super) steps: &'static [Step],
}

/// One command of a group.
pub(super) enum Step {
    /// Install the programs that the tests drive.
    Tools,
    /// The rules of the source tree.
    Tidy,
    /// A cargo command that only passes or fails.
    Cargo(&'static [&'static str]),
    /// `cargo test` with these arguments; its results are counted.
    Tests(&'static [&'static str]),
    /// The same, with the registries' metadata in PostgreSQL.
    SharedTests(&'static [&'static str]),
    /// The same as `Tests`, with the test programs run as root: they start a docker daemon or mount file systems.
    RootTests(&'static [&'static str]),
}

/// All groups. Every test of the workspace is in exactly one: `registry` takes what no other filter takes.
const GROUPS: &[Group] = &[
    Group {
        name: "tools",
        about: "programs that the tests drive",
        budget: minutes(4),
        others_need_it: true,
        steps: &[Step::Tools],
    },
    Group {
        name: "build",
        about: "every program and test, once",
        budget: minutes(8),
        others_need_it: true,
        steps: &[Step::Cargo(&["build", "--workspace", "--bins", "--tests"])],
    },
    Group {
        name: "checks",
        about: "formatting, lints and the rules of the source tree",
        budget: minutes(4),
        others_need_it: false,
        steps: &[
            Step::Cargo(&["fmt", "--all", "--check"]),
            Step::Tidy,
            Step::Cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--keep-going", "--", "-D", "warnings"]),
        ],
    },
    Group {
        name: "units",
        about: "tests inside the crates",
        budget: minutes(2),
        others_need_it: false,
        steps: &[Step::Tests(&["--workspace", "--lib", "--bins", "--quiet", "--no-fail-fast"])],
    },
    Group {
        name: "registry",
        about: "conformance, rights, limits, bad input, upgrades, the command line and several nodes",
        budget: minutes(9),
        others_need_it: false,
        steps: &[
            Step::Tests(&["--workspace", "--test", "it", "--", "--skip", "clients::", "--skip", "crash::"]),
            Step::SharedTests(&["--workspace", "--test", "it", "--", "conformance::", "edge::", "authority::"]),
        ],
    },
    Group {
        name: "clients",
        about: "real clients against the real program",
        budget: minutes(3),
        others_need_it: false,
        steps: &[Step::RootTests(&["--workspace", "--test", "it", "--", "clients::", "--skip", "clients::azure::"])],
    },
    Group {
        name: "crash",
        about: "kill, restart and a full disk under load",
        budget: minutes(5),
        others_need_it: false,
        steps: &[Step::RootTests(&["--workspace", "--test", "it", "--", "crash::"])],
    },
    Group {
        name: "azure",
        about: "the Azure CLI and Azure's libraries for Python against the real program",
        budget: minutes(4),
        others_need_it: false,
        steps: &[Step::RootTests(&["--workspace", "--test", "it", "--", "clients::azure::"])],
    },
];

/// The groups to run for the names given, with those that they need; all for none.
pub(super) fn chosen(names: &[String]) -> impl Iterator<Item = &'static Group> {
    let named = |group: &Group| names.is_empty() || names.iter().any(|name| name == group.name);
    let last = GROUPS.iter().rposition(named).map_or(0, |index| index + 1);
    GROUPS[..last].iter().filter(move |group| group.others_need_it || named(group))
}

/// The names that `--group` accepts.
pub(super) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(GROUPS.iter().map(|group| group.name))
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_budgets_together_stay_far_below_an_hour() {
        let total: Duration = GROUPS.iter().map(|group| group.budget).sum();
        assert!(total <= minutes(40), "{total:?}");
    }

    #[test]
    fn a_chosen_group_brings_what_it_needs() {
        let names = |name: &str| chosen(&[name.to_owned()]).map(|group| group.name).collect::<Vec<_>>();
        assert_eq!(names("units"), ["tools", "build", "units"]);
        assert_eq!(names("tools"), ["tools"]);
        assert_eq!(chosen(&[]).count(), GROUPS.len());
    }

    #[test]
    fn every_filtered_module_has_its_own_group() {
        let tests: Vec<&[&str]> = GROUPS
            .iter()
            .flat_map(|group| group.steps)
            .filter_map(|step| match step {
                Step::Tests(arguments) | Step::RootTests(arguments) => Some(*arguments),
                _ => None,
            })
            .collect();
        let after = |word: &str| -> Vec<&str> {
            let pairs = tests.iter().flat_map(|arguments| arguments.windows(2));
            pairs.filter(|pair| pair[0] == word && pair[1].ends_with("::")).map(|pair| pair[1]).collect()
        };
        assert_eq!(after("--"), after("--skip"));
    }
}
