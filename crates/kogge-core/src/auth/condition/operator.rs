//! How conditions compare an attribute with texts.

use std::fmt;

use crate::auth::role::wildcard::{Piece, Wildcard};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equals,
    StartsWith,
    Like,
}

/// A comparison of the attribute with one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) relation: Relation,
    pub(crate) negated: bool,
    pub(crate) ignore_case: bool,
}

impl Operator {
    /// Every operator, with its name.
    pub(crate) const ALL: [(&str, Self); 12] = [
        ("StringEquals", Self::new(Relation::Equals, false, false)),
        ("StringEqualsIgnoreCase", Self::new(Relation::Equals, false, true)),
        ("StringNotEquals", Self::new(Relation::Equals, true, false)),
        ("StringNotEqualsIgnoreCase", Self::new(Relation::Equals, true, true)),
        ("StringStartsWith", Self::new(Relation::StartsWith, false, false)),
        ("StringStartsWithIgnoreCase", Self::new(Relation::StartsWith, false, true)),
        ("StringNotStartsWith", Self::new(Relation::StartsWith, true, false)),
        ("StringNotStartsWithIgnoreCase", Self::new(Relation::StartsWith, true, true)),
        ("StringLike", Self::new(Relation::Like, false, false)),
        ("StringLikeIgnoreCase", Self::new(Relation::Like, false, true)),
        ("StringNotLike", Self::new(Relation::Like, true, false)),
        ("StringNotLikeIgnoreCase", Self::new(Relation::Like, true, true)),
    ];

    const fn new(relation: Relation, negated: bool, ignore_case: bool) -> Self {
        Self { relation, negated, ignore_case }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, operator)| operator)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(_, operator)| operator == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// How many texts of a list must compare. The attribute has one value: whether any or all of its values are meant makes
/// no difference, and is kept only to be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantifier {
    pub(crate) name: &'static str,
    /// All texts, not any.
    pub(crate) all: bool,
}

impl Quantifier {
    pub(crate) const ALL: [Self; 4] = [
        Self { name: "ForAnyOfAnyValues", all: false },
        Self { name: "ForAllOfAnyValues", all: false },
        Self { name: "ForAnyOfAllValues", all: true },
        Self { name: "ForAllOfAllValues", all: true },
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name.eq_ignore_ascii_case(name))
    }
}

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) text: String,
    pattern: Option<Wildcard>,
}

impl Value {
    pub(crate) fn new(text: &str, operator: Operator) -> Self {
        let pattern = (operator.relation == Relation::Like).then(|| Wildcard::new(pieces(text), operator.ignore_case));
        Self { text: text.to_owned(), pattern }
    }

    /// Whether `name` compares with the text as `operator`, with which the value was made, says.
    pub(crate) fn compares(&self, name: &str, operator: Operator) -> bool {
        let is_same = |name: &str| {
            if operator.ignore_case { name.eq_ignore_ascii_case(&self.text) } else { name == self.text }
        };
        let holds = match (&self.pattern, operator.relation) {
            (Some(pattern), _) => pattern.matches(name),
            (None, Relation::StartsWith) => name.get(..self.text.len()).is_some_and(is_same),
            (None, Relation::Equals | Relation::Like) => is_same(name),
        };
        holds != operator.negated
    }

    /// What every text that compares begins with, and whether it is the whole of it.
    pub(crate) fn beginning(&self, operator: Operator) -> (String, bool) {
        let Some(pattern) = &self.pattern else {
            return (self.text.clone(), operator.relation == Relation::Equals);
        };
        let literal = |piece: &Piece| match piece {
            Piece::Char(char) => Some(*char),
            Piece::One | Piece::Any => None,
        };
        let beginning: String = pattern.pieces().iter().map_while(literal).collect();
        let whole = pattern.pieces().iter().all(|piece| literal(piece).is_some());
        (beginning, whole)
    }
}

/// The pieces of a pattern: a backslash before `*` or `?` makes them plain, and is plain itself before anything else.
fn pieces(text: &str) -> impl Iterator<Item = Piece> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        Some(match chars.next()? {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Char(chars.next_if(|next| matches!(next, '*' | '?')).unwrap_or('\\')),
            char => Piece::Char(char),
        })
    })
}
