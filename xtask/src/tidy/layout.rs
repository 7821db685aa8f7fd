//! Rules about crates and modules: who may use whom, what things are called.

use std::path::PathBuf;

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// For each crate, the complete list of internal crates that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("kogge-types", &[]),
    ("kogge-store", &["kogge-types"]),
    ("kogge-meta", &["kogge-types"]),
    ("kogge-cli", &["kogge-types"]),
    ("kogge-core", &["kogge-types", "kogge-store", "kogge-meta"]),
    // The store is for its tests.
    ("kogge-arm", &["kogge-types", "kogge-store", "kogge-meta", "kogge-core"]),
    ("kogge-server", &["kogge-types", "kogge-store", "kogge-meta", "kogge-core", "kogge-arm"]),
    ("kogge", &["kogge-server", "kogge-cli"]),
    (
        "kogge-testkit",
        &["kogge-types", "kogge-store", "kogge-meta", "kogge-core", "kogge-arm", "kogge-server", "kogge-cli", "kogge"],
    ),
    ("xtask", &[]),
];

/// Crates that may use `anyhow`: programs, not libraries.
const PROGRAMS: &[&str] = &["kogge", "kogge-testkit", "xtask"];

const DIRECTION: &str = "dependencies go one way, so that each crate can be understood and tested alone";
const FOLDERS: &str = "a crate is found by its name";
const DOCUMENTED: &str = "a reader learns from the first lines what a crate is for";
const NAMES: &str = "a module is named after what it is; such a name collects everything";
const ERRORS: &str = "a library's errors are enums that callers can match";
const CI: &str = "the automation lives in xtask, where it can be tested";

/// Lines that `.ci/run` may have.
const CI_LINES_MAX: usize = 20;

/// Every crate uses only internal crates that its line of [`MAY_USE`] names.
pub(super) fn dependency_direction(tree: &Tree, findings: &mut Vec<Finding>) {
    for (folder, text) in tree.manifests() {
        let path = folder.join("Cargo.toml");
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            let what = format!("crate {name} is not in tidy's list of dependencies; add its line");
            findings.push(Finding { path, line: 0, what, why: DIRECTION });
            continue;
        };
        for used in dependencies(text) {
            let internal = MAY_USE.iter().any(|(known, _)| *known == used) || used.starts_with("kogge");
            if internal && !allowed.contains(&used.as_str()) {
                let what = format!("{name} may not use {used}");
                findings.push(Finding { path: path.clone(), line: line_of(text, &used), what, why: DIRECTION });
            }
        }
    }
}

/// Names of all crates that a manifest uses, in whichever table.
fn dependencies(manifest: &str) -> Vec<String> {
    let Ok(table) = manifest.parse::<Table>() else { return Vec::new() };
    let mut tables = vec![&table];
    if let Some(targets) = table.get("target").and_then(Value::as_table) {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let lists = tables.iter().flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    lists.flat_map(|list| list.iter()).map(|(key, value)| renamed(key, value)).collect()
}

/// The real name of a dependency that may be renamed.
fn renamed(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

/// A crate's folder has its package's name.
pub(super) fn crate_folders(tree: &Tree, findings: &mut Vec<Finding>) {
    for (folder, text) in tree.manifests() {
        let table = text.parse::<Table>().unwrap_or_default();
        let package = table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        let name = folder.file_name().and_then(|name| name.to_str());
        if package != name {
            let what = format!("folder {} holds package {}", folder.display(), package.unwrap_or("(unnamed)"));
            findings.push(Finding { path: folder.join("Cargo.toml"), line: 0, what, why: FOLDERS });
        }
    }
}

/// Every crate's root file begins with its documentation.
pub(super) fn crate_documentation(tree: &Tree, findings: &mut Vec<Finding>) {
    for (folder, _) in tree.manifests() {
        for root in ["src/lib.rs", "src/main.rs"] {
            let path = folder.join(root);
            let Some(source) = tree.sources.iter().find(|source| source.path == path) else { continue };
            if !source.comments.first().is_some_and(|(line, text)| *line == 1 && text.starts_with("//! ")) {
                let what = "the first line is no crate documentation (`//! …`)".to_owned();
                findings.push(Finding { path, line: 1, what, why: DOCUMENTED });
            }
        }
    }
}

/// No module has a name that says nothing.
pub(super) fn module_names(tree: &Tree, findings: &mut Vec<Finding>) {
    let banned = ["util", "utils", "helpers", "common", "misc"];
    for source in &tree.sources {
        let bad = source.path.iter().filter_map(|part| part.to_str()).find(|part| {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            banned.contains(&stem)
        });
        if let Some(bad) = bad {
            let what = format!("the name `{bad}` says nothing");
            findings.push(Finding { path: source.path.clone(), line: 0, what, why: NAMES });
        }
    }
}

/// Libraries do not use `anyhow`.
pub(super) fn error_crates(tree: &Tree, findings: &mut Vec<Finding>) {
    for (folder, text) in tree.manifests() {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !PROGRAMS.contains(&name) && dependencies(text).iter().any(|used| used == "anyhow") {
            let what = format!("the library {name} uses anyhow");
            findings.push(Finding {
                path: folder.join("Cargo.toml"),
                line: line_of(text, "anyhow"),
                what,
                why: ERRORS,
            });
        }
    }
}

/// `.ci/run` only calls the test command.
pub(super) fn ci_script(tree: &Tree, findings: &mut Vec<Finding>) {
    let path = PathBuf::from(".ci/run");
    let Some(text) = tree.text(".ci/run") else {
        findings.push(Finding { path, line: 0, what: "there is no .ci/run".to_owned(), why: CI });
        return;
    };
    let lines = text.lines().count();
    if lines >= CI_LINES_MAX {
        let what = format!("{lines} lines, must stay below {CI_LINES_MAX}");
        findings.push(Finding { path: path.clone(), line: lines, what, why: CI });
    }
    if !text.contains("cargo xtask test") {
        findings.push(Finding { path, line: 0, what: "does not call `cargo xtask test`".to_owned(), why: CI });
    }
}

/// The line (from 1) of a manifest that begins with `name`; 0 when there is none.
fn line_of(text: &str, name: &str) -> usize {
    text.lines().position(|line| line.starts_with(name)).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn a_lower_crate_may_not_use_a_higher_one_under_any_name() {
        let manifest = "[package]\nname = \"kogge-store\"\n[dependencies]\nbytes = \"1\"\nkogge-types.workspace = true\n\
                        [dev-dependencies]\nother = { package = \"kogge-core\", path = \"..\" }\n";
        let found = check(dependency_direction, &[("crates/kogge-store/Cargo.toml", manifest)]);
        assert_eq!(found, ["crates/kogge-store/Cargo.toml:0: kogge-store may not use kogge-core"]);
    }

    #[test]
    fn an_unknown_crate_must_be_listed() {
        let found =
            check(dependency_direction, &[("crates/kogge-new/Cargo.toml", "[package]\nname = \"kogge-new\"\n")]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn folder_and_package_have_one_name() {
        let found = check(crate_folders, &[("crates/kogge-meta/Cargo.toml", "[package]\nname = \"meta\"\n")]);
        assert_eq!(found, ["crates/kogge-meta/Cargo.toml:0: folder crates/kogge-meta holds package meta"]);
    }

    #[test]
    fn a_library_with_anyhow_is_found_at_its_line() {
        let found = check(
            error_crates,
            &[
                ("crates/kogge-meta/Cargo.toml", "[dependencies]\nanyhow.workspace = true\n"),
                ("crates/kogge/Cargo.toml", "[dependencies]\nanyhow.workspace = true\n"),
            ],
        );
        assert_eq!(found, ["crates/kogge-meta/Cargo.toml:2: the library kogge-meta uses anyhow"]);
    }

    #[test]
    fn modules_need_a_telling_name_and_crates_documentation() {
        let files = [
            ("crates/kogge-meta/Cargo.toml", "[package]\nname = \"kogge-meta\"\n"),
            ("crates/kogge-meta/src/lib.rs", "mod utils;\n"),
            ("crates/kogge-meta/src/utils.rs", "//! Things.\n"),
        ];
        assert_eq!(check(module_names, &files).len(), 1);
        assert_eq!(check(crate_documentation, &files).len(), 1);
    }

    #[test]
    fn the_ci_script_is_short_and_calls_the_test_command() {
        assert_eq!(check(ci_script, &[(".ci/run", "#!/bin/sh\nexec cargo xtask test\n")]), Vec::<String>::new());
        assert_eq!(check(ci_script, &[(".ci/run", "make\n")]).len(), 1);
        assert_eq!(check(ci_script, &[(".ci/run", &"cargo xtask test\n".repeat(20))]).len(), 1);
        assert_eq!(check(ci_script, &[]).len(), 1);
    }
}
