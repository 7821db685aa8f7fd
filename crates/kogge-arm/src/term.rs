//! `$filter` of what is selected by more than equal properties: calls such as `atScope()`, and times.

use kogge_types::limits;

use crate::error::{ArmError, Result};

/// One term; a filter's terms are joined by `and`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// `assignedTo('…')`: the name in lower case.
    Call { name: String, argument: Option<String> },
    /// `eventTimestamp ge …`: field and operator in lower case, the value without its quotes.
    Comparison { field: String, operator: String, value: String },
}

impl Term {
    /// The value of `field eq value`.
    pub(crate) fn equals(&self, name: &str) -> Option<&str> {
        match self {
            Self::Comparison { field, operator, value } if field == name && operator == "eq" => Some(value),
            Self::Comparison { .. } | Self::Call { .. } => None,
        }
    }

    pub(crate) fn is_call(&self, asked: &str) -> bool {
        matches!(self, Self::Call { name, argument: None } if name == asked)
    }
}

/// The terms of a filter.
///
/// # Errors
/// `InvalidFilterInQueryString` for a text that is not made of them.
pub(crate) fn terms(text: &str) -> Result<Vec<Term>> {
    let mut words = words(text).ok_or_else(|| refusal(text))?.into_iter().peekable();
    let mut terms = Vec::new();
    while let Some(Word::Plain(first)) = words.next() {
        let first = first.to_ascii_lowercase();
        let term = match words.next() {
            Some(Word::Open) => {
                let argument = words.next_if(|word| matches!(word, Word::Quoted(_)));
                let argument = argument.and_then(Word::into_text);
                if words.next() != Some(Word::Close) {
                    return Err(refusal(text));
                }
                Term::Call { name: first, argument }
            }
            Some(Word::Plain(operator)) => {
                let value = words.next().and_then(Word::into_text).ok_or_else(|| refusal(text))?;
                Term::Comparison { field: first, operator: operator.to_ascii_lowercase(), value }
            }
            _ => return Err(refusal(text)),
        };
        terms.push(term);
        match words.next() {
            None => return Ok(terms),
            Some(Word::Plain(and)) if and.eq_ignore_ascii_case("and") => {}
            Some(_) => return Err(refusal(text)),
        }
    }
    Err(refusal(text))
}

/// What a filter that says something unknown is answered with.
pub(crate) fn refusal(text: &str) -> ArmError {
    let text: String = text.chars().take(limits::QUOTED_CHARS_MAX).collect();
    ArmError::bad("InvalidFilterInQueryString", format!("Invalid $filter '{text}' specified in the query string."))
        .about("$filter")
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Plain(String),
    Quoted(String),
    Open,
    Close,
}

impl Word {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Plain(text) | Self::Quoted(text) => Some(text),
            Self::Open | Self::Close => None,
        }
    }
}

/// The words of a filter, at most as many as one may have. A quote within quotes is written twice (OData).
fn words(text: &str) -> Option<Vec<Word>> {
    let (mut rest, mut words) = (text.trim(), Vec::new());
    while let Some(first) = rest.chars().next() {
        if words.len() == limits::FILTER_WORDS_MAX {
            return None;
        }
        rest = match first {
            '(' | ')' => {
                words.push(if first == '(' { Word::Open } else { Word::Close });
                &rest[1..]
            }
            '\'' => {
                let mut end = 1 + rest[1..].find('\'')?;
                while rest[end + 1..].starts_with('\'') {
                    end += 2 + rest[end + 2..].find('\'')?;
                }
                words.push(Word::Quoted(rest[1..end].replace("''", "'")));
                &rest[end + 1..]
            }
            _ => {
                let end = rest.find([' ', '(', ')', '\'']).unwrap_or(rest.len());
                words.push(Word::Plain(rest[..end].to_owned()));
                &rest[end..]
            }
        }
        .trim_start();
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, argument: Option<&str>) -> Term {
        Term::Call { name: name.to_owned(), argument: argument.map(ToOwned::to_owned) }
    }

    fn comparison(field: &str, operator: &str, value: &str) -> Term {
        Term::Comparison { field: field.to_owned(), operator: operator.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn terms_are_calls_and_comparisons() {
        let check = |text: &str, expected: &[Term]| assert_eq!(terms(text).expect(text), expected, "{text}");
        check("atScope()", &[call("atscope", None)]);
        check(" assignedTo( 'a''b' ) ", &[call("assignedto", Some("a'b"))]);
        check("atScope() AND principalId eq 'x'", &[call("atscope", None), comparison("principalid", "eq", "x")]);
        check(
            "eventTimestamp ge 2026-11-01T00:00:00Z and eventTimestamp LE '2026-11-02T00:00:00Z'",
            &[
                comparison("eventtimestamp", "ge", "2026-11-01T00:00:00Z"),
                comparison("eventtimestamp", "le", "2026-11-02T00:00:00Z"),
            ],
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let long = "a eq 'b' and ".repeat(limits::FILTER_WORDS_MAX);
        for bad in [
            "",
            " ",
            "atScope",
            "atScope(",
            "atScope('a'",
            "a eq",
            "a eq 'b",
            "a eq 'b' or c eq 'd'",
            "a eq 'b' and",
            "'a' eq 'b'",
            "a eq (b)",
            "atScope(a)",
            ")",
            "a eq 'b''",
            &long,
        ] {
            assert_eq!(terms(bad).expect_err(bad).code, "InvalidFilterInQueryString", "{bad}");
        }
    }
}
