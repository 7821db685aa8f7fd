//! Conditions of role assignments: which actions on which repositories an assignment allows (Azure: "Azure role
//! assignment condition format and syntax", version 2.0; ACR: "Microsoft Entra-based repository permissions").
//!
//! The grammar, keywords and operators in either case:
//!
//! ```text
//! condition  = operand *( AND operand ) / operand *( OR operand )  ; AND: &&, OR: ||; parentheses to mix them
//! operand    = ( NOT / "!" ) operand / "(" condition ")" / call / "Exists" attribute / attribute comparison
//! call       = "ActionMatches" "{" text "}" / "SubOperationMatches" "{" text "}"
//! attribute  = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"
//! comparison = operator ( text / "{" text "}" ) / quantifier ":" operator "{" text *( "," text ) "}"
//! operator   = "String" [ "Not" ] ( "Equals" / "StartsWith" / "Like" ) [ "IgnoreCase" ]
//! quantifier = ( "ForAnyOf" / "ForAllOf" ) ( "AnyValues" / "AllValues" )
//! text       = "'" *( any character but "'" ) "'"
//! ```

mod expression;
#[cfg(test)]
mod fuzz;
mod lexer;
mod operator;
mod parser;
mod reach;

use std::fmt;
use std::str::FromStr;

use kogge_types::{RepositoryPattern, limits};

use crate::auth::condition::expression::Expression;

/// The version of the language, as assignments name it.
pub const VERSION: &str = "2.0";

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    root: Expression,
}

/// What a condition is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The operation's name, such as `Microsoft.ContainerRegistry/registries/repositories/content/read`.
    pub action: &'a str,
    /// The repository that it is done to, if it is done to one.
    pub repository: Option<&'a str>,
}

/// Why a text is not a condition. Places are counted in characters, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("a condition is at most {} bytes", limits::CONDITION_BYTES_MAX)]
    Length,
    #[error(
        "the condition nests deeper than {} parentheses and negations at character {at}",
        limits::CONDITION_DEPTH_MAX
    )]
    Depth { at: usize },
    #[error("the condition is not valid at character {at}: expected {expected}, found {found}")]
    Syntax { at: usize, expected: &'static str, found: String },
}

impl Condition {
    /// Reads a condition. Takes time in proportion to the text's length.
    ///
    /// # Errors
    /// Says where the text is no condition, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        if text.len() > limits::CONDITION_BYTES_MAX {
            return Err(ConditionError::Length);
        }
        parser::parse(text).map(|root| Self { root })
    }

    /// Whether the condition holds. What is asked of a repository's name when there is none has no answer; a condition
    /// that depends on it does not hold.
    pub fn evaluate(&self, request: &Request<'_>) -> bool {
        self.root.evaluate(request) == Some(true)
    }

    /// Patterns that match every repository on which the condition may hold for `action`, and perhaps others; `None` is
    /// every repository. No two overlap, and they are in the order of the names that they match.
    pub fn repository_patterns(&self, action: &str) -> Option<Vec<RepositoryPattern>> {
        reach::of(&self.root, action)
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        Self::parse(text)
    }
}

/// In one form, with as few parentheses as it takes and never deeper than what was read. It may be longer.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

#[cfg(test)]
mod tests;
