//! Texts with wildcards, matched without backtracking over more than the last `*`.

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    Char(char),
    /// `?`: one character, whatever it is.
    One,
    /// `*`: any number of characters, none among them.
    Any,
}

/// A pattern over a whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard {
    pieces: Vec<Piece>,
    ignore_case: bool,
}

impl Wildcard {
    /// With `ignore_case`, ASCII letters match in both cases.
    pub(crate) fn new(pieces: impl IntoIterator<Item = Piece>, ignore_case: bool) -> Self {
        let mut pieces: Vec<Piece> = pieces.into_iter().collect();
        pieces.dedup_by(|piece, before| *piece == Piece::Any && *before == Piece::Any);
        Self { pieces, ignore_case }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Takes at most the product of both lengths, whatever the pattern: a `*` takes as little as it can, and only the
    /// last one ever has to take more.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut piece, mut at) = (0, 0);
        let mut last_any: Option<(usize, usize)> = None;
        loop {
            let next = text[at..].chars().next();
            match (self.pieces.get(piece), next) {
                (None, None) => return true,
                (Some(Piece::Any), _) => {
                    last_any = Some((piece, at));
                    piece += 1;
                    continue;
                }
                (Some(Piece::One), Some(char)) => {
                    piece += 1;
                    at += char.len_utf8();
                    continue;
                }
                (Some(Piece::Char(wanted)), Some(char)) if self.same(*wanted, char) => {
                    piece += 1;
                    at += char.len_utf8();
                    continue;
                }
                _ => {}
            }
            let Some((any, from)) = last_any else { return false };
            let Some(taken) = text[from..].chars().next() else { return false };
            at = from + taken.len_utf8();
            last_any = Some((any, at));
            piece = any + 1;
        }
    }

    fn same(&self, wanted: char, char: char) -> bool {
        wanted == char || self.ignore_case && wanted.eq_ignore_ascii_case(&char)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str, ignore_case: bool) -> bool {
        let pieces = pattern.chars().map(|char| match char {
            '*' => Piece::Any,
            '?' => Piece::One,
            char => Piece::Char(char),
        });
        Wildcard::new(pieces, ignore_case).matches(text)
    }

    #[test]
    fn stars_take_any_number_and_question_marks_one() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "ab", true),
            ("?", "", false),
            ("?", "ä", true),
            ("a*c?", "abcd", true),
            ("a*c", "abcd", false),
            ("*/read", "a/b/read", true),
            ("*/read", "a/b/reads", false),
            ("a*b*a", "abba", true),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("*ab", "aab", true),
            ("A*", "abc", false),
        ] {
            assert_eq!(matches(pattern, text, false), expected, "{pattern} {text}");
        }
        assert!(matches("A*C", "abc", true) && matches("a*c", "ABC", true));
    }

    #[test]
    fn a_bad_pattern_costs_no_more_than_the_product_of_the_lengths() {
        let pattern = "*a".repeat(2_000);
        assert!(!matches(&format!("{pattern}b"), &"a".repeat(4_000), false));
    }
}
