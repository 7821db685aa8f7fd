//! A Rust file as the rules see it: code, comments and string literals apart, and which lines are tests.

use std::path::{Path, PathBuf};

/// A Rust file, split into what is code and what is not.
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Lines with comments and the insides of literals blanked out.
    pub(super) code: Vec<String>,
    /// Every comment: line (from 1) and text.
    pub(super) comments: Vec<(usize, String)>,
    /// Every string literal: line (from 1) of its start, and its text as written.
    pub(super) strings: Vec<(usize, String)>,
    /// For each line, whether it belongs to a test.
    tests: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let mut splitter = Splitter { rest: &text, ..Splitter::default() };
        splitter.split();
        let code: Vec<String> = splitter.code.lines().map(str::to_owned).collect();
        let tests = if is_test_file(&path) { vec![true; code.len()] } else { test_lines(&code) };
        Self { path, code, comments: splitter.comments, strings: splitter.strings, tests }
    }

    /// Whether line `line` (from 1) belongs to a test.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.tests.get(line - 1).copied().unwrap_or(false)
    }

    /// Marks every line as a test's.
    pub(super) fn mark_as_test(&mut self) {
        self.tests.fill(true);
    }

    /// The names of the modules that are declared under `#[cfg(test)]` and have a file of their own.
    pub(super) fn test_modules(&self) -> impl Iterator<Item = &str> {
        self.numbered().filter(|(line, _)| self.is_test(*line)).filter_map(|(_, code)| {
            let declared = code.trim().strip_suffix(';')?;
            let words: Vec<&str> = declared.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "mod")?;
            words.get(at + 1).copied()
        })
    }

    /// Lines that are not tests.
    pub(super) fn plain_lines(&self) -> usize {
        self.tests.iter().filter(|test| !**test).count()
    }

    /// The code, line by line, numbered from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// The name of the crate's folder.
    pub(super) fn crate_name(&self) -> &str {
        let mut parts = self.path.iter().filter_map(|part| part.to_str());
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            other => other.unwrap_or_default(),
        }
    }
}

/// A file that holds only tests, or serves only them.
fn is_test_file(path: &Path) -> bool {
    path.iter().any(|part| part == "tests") || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Marks the lines of items under `#[cfg(test)]`.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = vec![false; code.len()];
    let mut line = 0;
    while line < code.len() {
        if !code[line].trim_start().starts_with("#[cfg(test)]") {
            line += 1;
            continue;
        }
        let end = item_end(code, line);
        marks[line..=end].fill(true);
        line = end + 1;
    }
    marks
}

/// The last line of the item that starts at or after line `start` (from 0): its closing brace or semicolon.
pub(super) fn item_end(code: &[String], start: usize) -> usize {
    let mut depth = 0_i32;
    let mut opened = false;
    for (offset, line) in code[start..].iter().enumerate() {
        for letter in line.chars() {
            match letter {
                '{' | '(' | '[' => {
                    depth += 1;
                    opened |= letter == '{' && depth == 1;
                }
                '}' | ')' | ']' => depth -= 1,
                ';' if depth == 0 => return start + offset,
                _ => {}
            }
            if opened && depth == 0 {
                return start + offset;
            }
        }
    }
    code.len() - 1
}

/// Walks through a file once and sorts its text.
#[derive(Default)]
struct Splitter<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    comments: Vec<(usize, String)>,
    strings: Vec<(usize, String)>,
    /// The last letter of code, which tells a raw string's `r` from the end of a name.
    last: char,
}

impl Splitter<'_> {
    fn split(&mut self) {
        self.line = 1;
        while let Some(letter) = self.rest.chars().next() {
            let named = self.last.is_alphanumeric() || self.last == '_';
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take_comment(end);
            } else if self.rest.starts_with("/*") {
                self.take_comment(block_comment_length(self.rest));
            } else if let Some((open, close)) = string_bounds(self.rest, named) {
                self.take_string(open, close);
            } else if let Some(length) = char_literal_length(self.rest) {
                self.blank(length);
                self.last = '\'';
            } else {
                self.push(letter);
                self.rest = &self.rest[letter.len_utf8()..];
            }
        }
    }

    fn push(&mut self, letter: char) {
        self.code.push(letter);
        self.last = letter;
        self.line += usize::from(letter == '\n');
    }

    /// Replaces the next `length` bytes by spaces, keeping line ends.
    fn blank(&mut self, length: usize) {
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        for letter in text.chars() {
            self.push(if letter == '\n' { '\n' } else { ' ' });
        }
    }

    fn take_comment(&mut self, length: usize) {
        for (offset, line) in self.rest[..length].lines().enumerate() {
            self.comments.push((self.line + offset, line.to_owned()));
        }
        self.blank(length);
    }

    fn take_string(&mut self, open: usize, close: usize) {
        self.strings.push((self.line, self.rest[open..close].to_owned()));
        self.blank(open - 1);
        self.push('"');
        self.rest = &self.rest[1..];
        self.blank(close - open);
        let tail = self.rest.find('"').map_or(self.rest.len(), |quote| quote + 1);
        let hashes = self.rest[tail..].chars().take_while(|letter| *letter == '#').count().min(open - 1);
        self.blank(tail + hashes);
        self.last = '"';
    }
}

/// For text that starts with a string literal: where its inside starts and ends. `named` tells that the text before
/// ends with a name, so that an `r` or `b` here is not a prefix.
fn string_bounds(text: &str, named: bool) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut raw = false;
    if !named {
        at += usize::from(matches!(bytes.first(), Some(b'b' | b'c')));
        raw = bytes.get(at) == Some(&b'r');
        at += usize::from(raw);
    }
    let hashes = if raw { bytes[at..].iter().take_while(|byte| **byte == b'#').count() } else { 0 };
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let open = at + 1;
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some((open, text[open..].find(&end).map_or(text.len(), |found| open + found)));
    }
    let mut close = open;
    while close < bytes.len() && bytes[close] != b'"' {
        close += if bytes[close] == b'\\' { 2 } else { 1 };
    }
    Some((open, close.min(bytes.len())))
}

/// The length of the char literal that the text starts with; none for a lifetime.
fn char_literal_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let mut letters = inside.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        let (skipped, _) = letters.next()?;
        let after = skipped + inside[skipped..].chars().next()?.len_utf8();
        return inside[after..].find('\'').map(|quote| 1 + after + quote + 1);
    }
    let (end, quote) = letters.next()?;
    (quote == '\'').then_some(1 + end + 1)
}

fn block_comment_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Source {
        Source::new(PathBuf::from("crates/kogge-types/src/a.rs"), text.to_owned())
    }

    #[test]
    fn comments_and_literals_leave_the_code() {
        let source = split("let a = \"// { \\\" \"; // { note\nlet b = r#\"x \" {\"#; /* { /* */ { */ let c = '{';\n");
        assert_eq!(source.strings, [(1, "// { \\\" ".to_owned()), (2, "x \" {".to_owned())]);
        assert_eq!(source.comments[0], (1, "// { note".to_owned()));
        assert!(!source.code.concat().contains('{'), "{:?}", source.code);
        assert!(source.code[1].contains("let c ="));
    }

    #[test]
    fn lifetimes_are_not_char_literals_and_escapes_are() {
        let source = split("fn a<'x>(b: &'x str) -> char { '\\'' }\nlet d = b'\"'; let e = '\\u{7d}';\n");
        assert!(source.strings.is_empty(), "{:?}", source.strings);
        assert_eq!(source.code[0].matches('{').count(), 1);
        assert!(!source.code[1].contains('7'));
    }

    #[test]
    fn lines_keep_their_numbers_across_strings_of_many_lines() {
        let source = split("let a = \"one\ntwo\";\nlet b = 1;\n");
        assert_eq!(source.code.len(), 3);
        assert!(source.code[2].starts_with("let b"));
    }

    #[test]
    fn items_under_cfg_test_are_tests_and_the_rest_is_not() {
        let source = split("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
        let marks: Vec<bool> = (1..=6).map(|line| source.is_test(line)).collect();
        assert_eq!(marks, [false, true, true, true, true, false]);
        assert_eq!(source.plain_lines(), 2);
    }
}
