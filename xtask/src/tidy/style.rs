//! Rules about what stands in a line.

use super::Finding;
use super::source::Source;
use super::tree::Tree;

const GLOBS: &str = "a reader must see where a name comes from";
const SQL: &str = "all SQL is in kogge-meta, so that a second database is one crate's work";
const UNWRAP: &str = "say with expect() why it cannot fail, or return an error";
const UNFINISHED: &str = "what is not done is an issue, not a comment";
const HABITS: &str = "a test that waits, shares a port or does not run proves nothing";
const SIZES: &str = "a limit is a named constant with its unit, in one place";

/// No glob imports, except `use super::*` in tests.
pub(super) fn glob_imports(tree: &Tree, findings: &mut Vec<Finding>) {
    each_line(tree, GLOBS, findings, |source, line, code| {
        let code = code.trim_start();
        let import = code.starts_with("use ") || code.starts_with("pub use ") || code.starts_with("pub(crate) use ");
        let glob = import && (code.contains("::*") || code.contains("{*"));
        let allowed = source.is_test(line) && code.starts_with("use super::*;");
        (glob && !allowed).then(|| "a glob import".to_owned())
    });
}

/// No SQL outside `kogge-meta`.
pub(super) fn sql_place(tree: &Tree, findings: &mut Vec<Finding>) {
    let pairs = [
        ("SELECT ", " FROM "),
        ("INSERT ", " INTO "),
        ("INSERT INTO ", " VALUES"),
        ("UPDATE ", " SET "),
        ("DELETE FROM ", " "),
        ("CREATE TABLE ", " "),
        ("CREATE INDEX ", " "),
    ];
    for source in &tree.sources {
        if ["kogge-meta", "xtask"].contains(&source.crate_name()) {
            continue;
        }
        for (line, text) in &source.strings {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
            if pairs.iter().any(|(first, second)| text.starts_with(first) && text.contains(second)) {
                let what = "SQL outside kogge-meta".to_owned();
                findings.push(Finding { path: source.path.clone(), line: *line, what, why: SQL });
            }
        }
    }
}

/// No `unwrap()` outside tests.
pub(super) fn unwraps(tree: &Tree, findings: &mut Vec<Finding>) {
    each_line(tree, UNWRAP, findings, |source, line, code| {
        (!source.is_test(line) && code.contains(".unwrap()")).then(|| "unwrap() outside a test".to_owned())
    });
}

/// No marks of unfinished work.
pub(super) fn unfinished_work(tree: &Tree, findings: &mut Vec<Finding>) {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for source in &tree.sources {
        let lines = source.comments.iter().chain(&source.strings);
        for (line, text) in lines {
            let words = text.split(|letter: char| !letter.is_alphanumeric());
            for mark in words.filter(|word| marks.contains(word)) {
                let what = format!("a {mark}");
                findings.push(Finding { path: source.path.clone(), line: *line, what, why: UNFINISHED });
            }
        }
    }
}

/// Tests neither sleep, nor use fixed ports, nor are ignored, nor expect a panic.
///
/// Under a paused clock a sleep takes no time and proves an order: there it is allowed.
pub(super) fn test_habits(tree: &Tree, findings: &mut Vec<Finding>) {
    each_line(tree, HABITS, findings, |source, line, code| {
        if !source.is_test(line) {
            return None;
        }
        let what = if code.contains("sleep(") && !has_paused_clock(source) {
            "a sleep in a test"
        } else if code.contains("#[ignore") {
            "an ignored test"
        } else if code.contains("should_panic") {
            "a test that expects a panic"
        } else if uses_address(code) && source.strings.iter().any(|(at, text)| *at == line && has_fixed_port(text)) {
            "a fixed port in a test"
        } else {
            return None;
        };
        Some(what.to_owned())
    });
}

/// Whether the tests of a file run under tokio's paused clock.
fn has_paused_clock(source: &Source) -> bool {
    source.code.iter().any(|code| code.contains("start_paused = true"))
}

/// Whether a line opens a socket rather than only names an address.
fn uses_address(code: &str) -> bool {
    ["bind(", "listen(", "connect("].iter().any(|word| code.contains(word))
}

/// Whether text is an address of this machine with a port other than 0.
fn has_fixed_port(text: &str) -> bool {
    let hosts = ["127.0.0.1:", "localhost:", "[::1]:", "0.0.0.0:", "[::]:"];
    hosts.iter().filter_map(|host| text.strip_prefix(host)).any(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Sizes in bytes are written only where a constant is named.
pub(super) fn bare_sizes(tree: &Tree, findings: &mut Vec<Finding>) {
    each_line(tree, SIZES, findings, |source, line, code| {
        let size = code.contains("* 1024") || code.contains("<< 20") || code.contains("<< 30");
        let named = ["const ", "static "].iter().any(|word| code.contains(word));
        // Neither ships: their sizes are loads and pieces, not limits of the registry.
        let ships = !["kogge-testkit", "xtask"].contains(&source.crate_name());
        let counts = ships && !source.is_test(line);
        (size && !named && counts).then(|| "a bare size".to_owned())
    });
}

/// Reports every line of code for which `judge` has something to say.
fn each_line(
    tree: &Tree,
    why: &'static str,
    findings: &mut Vec<Finding>,
    judge: impl Fn(&Source, usize, &str) -> Option<String>,
) {
    for source in &tree.sources {
        for (line, code) in source.numbered() {
            if let Some(what) = judge(source, line, code) {
                findings.push(Finding { path: source.path.clone(), line, what, why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, check};
    use super::*;

    /// How many findings `rule` has for a file of the server.
    fn count(rule: Rule, text: &str) -> usize {
        check(rule, &[("crates/kogge-server/src/a.rs", text)]).len()
    }

    #[test]
    fn globs_are_for_tests_of_the_same_module_only() {
        assert_eq!(count(glob_imports, "use a::*;\npub use b::{*, c};\nuse a::{b, c};\n"), 2);
        assert_eq!(count(glob_imports, "#[cfg(test)]\nmod tests {\n    use super::*;\n    use a::*;\n}\n"), 1);
    }

    #[test]
    fn sql_is_found_in_strings_of_other_crates() {
        let text = "let a = \"SELECT id\n  FROM tag\"; let b = \"Select a file FROM here\";\n";
        assert_eq!(count(sql_place, text), 1);
        assert!(check(sql_place, &[("crates/kogge-meta/src/a.rs", text)]).is_empty());
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_eq!(count(unwraps, "fn a() { b().unwrap(); } // c.unwrap()\n"), 1);
        assert_eq!(count(unwraps, "#[cfg(test)]\nmod tests {\n    fn a() { b().unwrap(); }\n}\n"), 0);
    }

    #[test]
    fn a_module_declared_for_tests_is_a_test_in_its_own_file() {
        let fake = "fn a() { b().unwrap(); }\n";
        for (parent, file) in [("lib.rs", "fake.rs"), ("client.rs", "client/fake.rs"), ("lib.rs", "fake/part.rs")] {
            let parent = format!("crates/kogge-cli/src/{parent}");
            let file = format!("crates/kogge-cli/src/{file}");
            let declared = [(parent.as_str(), "#[cfg(test)]\nmod fake;\nmod other;\n"), (file.as_str(), fake)];
            assert!(check(unwraps, &declared).is_empty(), "{file}");
            let plain = [(parent.as_str(), "mod fake;\n"), (file.as_str(), fake)];
            assert_eq!(check(unwraps, &plain).len(), 1, "{file}");
        }
    }

    #[test]
    fn unfinished_work_is_found_in_comments() {
        let mark = concat!("TO", "DO");
        assert_eq!(count(unfinished_work, &format!("// {mark}: later\n/// {mark}S are not meant\n")), 1);
    }

    #[test]
    fn tests_may_not_sleep_ignore_or_share_ports() {
        let bad = ["sleep(x)", "#[ignore]", "#[should_panic]", "bind(\"127.0.0.1:5000\")"];
        for line in bad {
            let text = format!("#[cfg(test)]\nmod tests {{\n    {line}\n}}\n");
            assert_eq!(count(test_habits, &text), 1, "{line}");
        }
        for line in ["bind(\"127.0.0.1:0\")", "parse(\"localhost:5000/a\")", "sleepy(x)"] {
            let text = format!("#[cfg(test)]\nmod tests {{\n    {line}\n}}\n");
            assert_eq!(count(test_habits, &text), 0, "{line}");
        }
        assert_eq!(count(test_habits, "fn a() { sleep(x); }\n"), 0);
        let paused = "#[cfg(test)]\nmod tests {\n    #[tokio::test(start_paused = true)]\n    sleep(x)\n}\n";
        assert_eq!(count(test_habits, paused), 0);
    }

    #[test]
    fn sizes_have_names() {
        assert_eq!(count(bare_sizes, "let a = vec![0; 64 * 1024];\nconst B: usize = 4 * 1024;\n"), 1);
    }
}
