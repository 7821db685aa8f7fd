//! The words of a condition.

/// A word, at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind<'a>,
    /// Where it begins and ends, in bytes.
    pub(crate) at: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind<'a> {
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    Not,
    And,
    Or,
    /// `@source[name]`
    Attribute {
        source: &'a str,
        name: &'a str,
    },
    /// What stands between two single quotes.
    Text(&'a str),
    /// A keyword, a function or an operator.
    Word(&'a str),
    /// Anything else, to the end of the text.
    Unknown(&'a str),
    End,
}

#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word. After the end comes the end again.
    pub(crate) fn next(&mut self) -> Token<'a> {
        let rest = self.text[self.at..].trim_ascii_start();
        let at = self.text.len() - rest.len();
        let (kind, length) = read(rest);
        self.at = at + length;
        Token { kind, at, end: self.at }
    }
}

/// The word that `rest` begins with, and its bytes.
fn read(rest: &str) -> (TokenKind<'_>, usize) {
    const MARKS: [(&str, TokenKind<'_>); 8] = [
        ("(", TokenKind::Open),
        (")", TokenKind::Close),
        ("{", TokenKind::OpenList),
        ("}", TokenKind::CloseList),
        (",", TokenKind::Comma),
        ("!", TokenKind::Not),
        ("&&", TokenKind::And),
        ("||", TokenKind::Or),
    ];
    if rest.is_empty() {
        return (TokenKind::End, 0);
    }
    if let Some((mark, kind)) = MARKS.into_iter().find(|(mark, _)| rest.starts_with(mark)) {
        return (kind, mark.len());
    }
    let known = match rest.as_bytes()[0] {
        b'\'' => rest[1..].split_once('\'').map(|(text, _)| (TokenKind::Text(text), text.len() + 2)),
        b'@' => attribute(rest),
        b'a'..=b'z' | b'A'..=b'Z' => {
            let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != ':').unwrap_or(rest.len());
            Some((word(&rest[..end]), end))
        }
        _ => None,
    };
    known.unwrap_or((TokenKind::Unknown(rest), rest.len()))
}

fn attribute(rest: &str) -> Option<(TokenKind<'_>, usize)> {
    let (source, after) = rest[1..].split_once('[')?;
    let (name, _) = after.split_once(']')?;
    let is_source = source.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_source.then_some((TokenKind::Attribute { source, name }, source.len() + name.len() + 3))
}

fn word(word: &str) -> TokenKind<'_> {
    [("NOT", TokenKind::Not), ("AND", TokenKind::And), ("OR", TokenKind::Or)]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map_or(TokenKind::Word(word), |(_, kind)| kind)
}
