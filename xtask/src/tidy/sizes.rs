//! Rules about how long files and functions may be.

use super::Finding;
use super::source::item_end;
use super::tree::Tree;

/// Lines of a file that are not tests.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, signature and braces included. The same number stands in `clippy.toml`.
const FUNCTION_LINES_MAX: usize = 70;

const FILE: &str = "a file is one concept; split it by concept";
const FUNCTION: &str = "a function fits on a screen; name its steps";

/// No file has more than [`FILE_LINES_MAX`] lines besides its tests.
pub(super) fn file_lines(tree: &Tree, findings: &mut Vec<Finding>) {
    for source in &tree.sources {
        let lines = source.plain_lines();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines besides tests, at most {FILE_LINES_MAX}");
            findings.push(Finding { path: source.path.clone(), line: 0, what, why: FILE });
        }
    }
}

/// No function has more than [`FUNCTION_LINES_MAX`] lines.
pub(super) fn function_lines(tree: &Tree, findings: &mut Vec<Finding>) {
    for source in &tree.sources {
        for (line, text) in source.numbered() {
            let Some(name) = function_name(text) else { continue };
            let lines = item_end(&source.code, line - 1) - (line - 1) + 1;
            if lines > FUNCTION_LINES_MAX {
                let what = format!("function {name} has {lines} lines, at most {FUNCTION_LINES_MAX}");
                findings.push(Finding { path: source.path.clone(), line, what, why: FUNCTION });
            }
        }
    }
}

/// The name of the function that a line of code declares.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "fn" => {
                let name = words.next()?;
                let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(name.len());
                return (end > 0).then(|| &name[..end]);
            }
            "pub" | "async" | "const" | "unsafe" | "extern" => {}
            _ if word.starts_with("pub(") || word.ends_with(')') || word.starts_with('"') => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn tests_do_not_count_to_a_files_length() {
        let long = "const A: u8 = 1;\n".repeat(500);
        let with_tests = format!("{long}#[cfg(test)]\nmod tests {{\n}}\n");
        assert_eq!(check(file_lines, &[("crates/a/src/a.rs", &with_tests)]), Vec::<String>::new());
        let too_long = format!("{long}const B: u8 = 1;\n");
        assert_eq!(check(file_lines, &[("crates/a/src/a.rs", &too_long)]).len(), 1);
    }

    #[test]
    fn a_long_function_is_found_by_name_and_line() {
        let text =
            format!("\npub(crate) async fn long(\n    a: u8,\n) {{\n{}}}\nfn short() {{}}\n", "    a();\n".repeat(67));
        let found = check(function_lines, &[("crates/a/src/a.rs", &text)]);
        assert_eq!(found, ["crates/a/src/a.rs:2: function long has 71 lines, at most 70"]);
    }

    #[test]
    fn declarations_without_a_body_end_at_their_semicolon() {
        let text = format!("trait A {{\n    fn one(&self, size: [u8; 4]);\n{}}}\n", "    fn two(&self);\n".repeat(80));
        assert_eq!(check(function_lines, &[("crates/a/src/a.rs", &text)]), Vec::<String>::new());
    }
}
