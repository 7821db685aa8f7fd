//! Rules of the source tree that neither the compiler nor clippy knows.
//!
//! Each rule is a function over the loaded [`Tree`] that reports [`Finding`]s: where, what, and why the rule exists.

mod layout;
mod links;
mod sizes;
mod source;
mod style;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use self::tree::Tree;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: PathBuf,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    what: String,
    /// The rule's reason, so that the message teaches.
    why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {} ({})", self.what, self.why)
    }
}

/// A rule: reports every place of the tree that breaks it.
type Rule = fn(&Tree, &mut Vec<Finding>);

const RULES: &[Rule] = &[
    layout::dependency_direction,
    layout::crate_folders,
    layout::crate_documentation,
    layout::module_names,
    layout::error_crates,
    layout::ci_script,
    sizes::file_lines,
    sizes::function_lines,
    style::glob_imports,
    style::sql_place,
    style::unwraps,
    style::unfinished_work,
    style::test_habits,
    style::bare_sizes,
    links::markdown_links,
    links::documents_named_in_code,
];

/// Checks every rule and prints the findings; returns whether there were none.
///
/// # Errors
/// The tree cannot be read.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tree = Tree::load(root)?;
    let mut findings = Vec::new();
    for rule in RULES {
        rule(&tree, &mut findings);
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} source files, {} findings", tree.sources.len(), findings.len());
    Ok(findings.is_empty())
}

/// The findings of one rule on a made-up tree, for the rules' tests.
#[cfg(test)]
fn check(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::from_files(files);
    let mut findings = Vec::new();
    rule(&tree, &mut findings);
    findings.iter().map(|finding| format!("{}:{}: {}", finding.path.display(), finding.line, finding.what)).collect()
}
