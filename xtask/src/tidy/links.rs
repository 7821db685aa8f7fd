//! Rules about documents: what they point to exists.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use super::tree::Tree;

const LINKS: &str = "a link that leads nowhere costs the reader's trust";

/// Relative links of Markdown files lead to files of the project.
pub(super) fn markdown_links(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in &tree.texts {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for (index, line) in text.lines().enumerate() {
            for target in link_targets(line) {
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let full = if file.is_empty() { path.clone() } else { resolve(folder, file) };
                let problem = if !tree.has(&full) {
                    "does not exist"
                } else if !anchor.is_empty() && !has_heading(tree, &full, anchor) {
                    "has no such heading"
                } else {
                    continue;
                };
                let what = format!("the target of the link to `{target}` {problem}");
                findings.push(Finding { path: path.clone(), line: index + 1, what, why: LINKS });
            }
        }
    }
}

/// Documents that comments of the code name exist.
pub(super) fn documents_named_in_code(tree: &Tree, findings: &mut Vec<Finding>) {
    for source in &tree.sources {
        for (line, text) in &source.comments {
            let words = text.split(|letter: char| letter.is_whitespace() || "`()[],;\"".contains(letter));
            for word in words.filter(|word| word.starts_with("docs/")) {
                let file = word.split('#').next().unwrap_or(word).trim_end_matches(['.', ':']);
                if !tree.has(Path::new(file)) {
                    let what = format!("`{file}` does not exist");
                    findings.push(Finding { path: source.path.clone(), line: *line, what, why: LINKS });
                }
            }
        }
    }
}

/// The targets of a line's links that stay within the project.
fn link_targets(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split_whitespace().next().unwrap_or_default());
    targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// `file` seen from `folder`, with `..` applied.
fn resolve(folder: &Path, file: &str) -> PathBuf {
    let mut full = PathBuf::new();
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => drop(full.pop()),
            Component::CurDir => {}
            other => full.push(other),
        }
    }
    full
}

/// Whether a Markdown file has a heading whose anchor is `anchor`.
fn has_heading(tree: &Tree, path: &Path, anchor: &str) -> bool {
    let Some((_, text)) = tree.texts.iter().find(|(found, _)| found == path) else { return true };
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).eq(anchor.chars())
    })
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn links_are_followed_from_their_own_folder() {
        let files = [
            ("docs/a.md", "[b](b.md) [up](../README.md#two-words) [web](https://x.example/y.md) [self](#top)\n# Top\n"),
            ("docs/b.md", "[gone](c.md) [bad](a.md#bottom)\n"),
            ("README.md", "# Two words\n[docs](docs/)\n"),
        ];
        let found = check(markdown_links, &files);
        assert_eq!(
            found,
            [
                "docs/b.md:1: the target of the link to `c.md` does not exist",
                "docs/b.md:1: the target of the link to `a.md#bottom` has no such heading",
            ]
        );
    }

    #[test]
    fn documents_named_in_comments_exist() {
        let files = [("xtask/src/a.rs", "// see docs/a.md, and `docs/b.md`.\n"), ("docs/a.md", "# A\n")];
        assert_eq!(check(documents_named_in_code, &files), ["xtask/src/a.rs:1: `docs/b.md` does not exist"]);
    }
}
