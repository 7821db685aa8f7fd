//! What a condition says.

use std::fmt;

use crate::auth::condition::Request;
use crate::auth::condition::operator::{Operator, Quantifier, Value};
use crate::auth::role::ActionPattern;

/// The one attribute that registries have, by its source and name.
pub(crate) const SOURCE: &str = "Request";
pub(crate) const ATTRIBUTE: &str = "Microsoft.ContainerRegistry/registries/repositories:name";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Not(Box<Expression>),
    /// At least two.
    And(Vec<Expression>),
    /// At least two.
    Or(Vec<Expression>),
    ActionMatches(ActionPattern),
    /// A part of an action. The actions of registries have none: it never matches.
    SubOperationMatches(String),
    Exists,
    Compare {
        quantifier: Option<Quantifier>,
        operator: Operator,
        /// At least one; without a quantifier, one.
        values: Vec<Value>,
    },
}

impl Expression {
    /// `None` when the answer hangs on an attribute that the request has not.
    pub(crate) fn evaluate(&self, request: &Request<'_>) -> Option<bool> {
        match self {
            Self::Not(inner) => inner.evaluate(request).map(|holds| !holds),
            Self::And(parts) => decide(parts, request, false),
            Self::Or(parts) => decide(parts, request, true),
            Self::ActionMatches(pattern) => Some(pattern.matches(request.action)),
            Self::SubOperationMatches(_) => Some(false),
            Self::Exists => Some(request.repository.is_some()),
            Self::Compare { quantifier, operator, values } => {
                let name = request.repository?;
                let compares = |value: &Value| value.compares(name, *operator);
                Some(match quantifier {
                    Some(Quantifier { all: true, .. }) => values.iter().all(compares),
                    Some(_) | None => values.iter().any(compares),
                })
            }
        }
    }

    /// The expression as an operand: in parentheses unless it stands for itself.
    fn write_operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(_) | Self::Or(_) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}

/// One part that is `decisive` decides; without one, a part without an answer leaves the whole without.
fn decide(parts: &[Expression], request: &Request<'_>, decisive: bool) -> Option<bool> {
    let mut whole = Some(!decisive);
    for part in parts {
        match part.evaluate(request) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => whole = None,
        }
    }
    whole
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::And(parts) | Self::Or(parts) => {
                let word = if matches!(self, Self::And(_)) { " AND " } else { " OR " };
                for (position, part) in parts.iter().enumerate() {
                    if position > 0 {
                        f.write_str(word)?;
                    }
                    part.write_operand(f)?;
                }
                Ok(())
            }
            Self::ActionMatches(pattern) => write!(f, "ActionMatches{{'{pattern}'}}"),
            Self::SubOperationMatches(text) => write!(f, "SubOperationMatches{{'{text}'}}"),
            Self::Exists => write!(f, "Exists @{SOURCE}[{ATTRIBUTE}]"),
            Self::Compare { quantifier, operator, values } => {
                write!(f, "@{SOURCE}[{ATTRIBUTE}] ")?;
                let Some(quantifier) = quantifier else {
                    let text = values.first().map_or("", |value| value.text.as_str());
                    return write!(f, "{operator} '{text}'");
                };
                write!(f, "{}:{operator} {{", quantifier.name)?;
                for (position, value) in values.iter().enumerate() {
                    let comma = if position > 0 { ", " } else { "" };
                    write!(f, "{comma}'{}'", value.text)?;
                }
                f.write_str("}")
            }
        }
    }
}
