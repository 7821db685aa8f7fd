//! Which repositories a condition may hold on.

use std::collections::BTreeSet;

use kogge_types::{RepositoryName, RepositoryPattern};

use crate::auth::condition::expression::Expression;
use crate::auth::condition::operator::{Operator, Quantifier, Value};

/// Patterns that do not overlap. There are never more than texts in the condition.
type Reach = BTreeSet<RepositoryPattern>;

/// See [`super::Condition::repository_patterns`].
pub(crate) fn of(root: &Expression, action: &str) -> Option<Vec<RepositoryPattern>> {
    let reach = may_be(true, root, action);
    if reach.contains(&RepositoryPattern::All) {
        return None;
    }
    let mut patterns: Vec<RepositoryPattern> = reach.into_iter().collect();
    patterns.sort_by_cached_key(|pattern| pattern.range().0);
    Some(patterns)
}

/// The repositories on which `expression` may be `wanted`.
fn may_be(wanted: bool, expression: &Expression, action: &str) -> Reach {
    match expression {
        Expression::Not(inner) => may_be(!wanted, inner, action),
        Expression::And(parts) | Expression::Or(parts) => {
            let reaches = parts.iter().map(|part| may_be(wanted, part, action));
            if matches!(expression, Expression::And(_)) == wanted { common(reaches) } else { together(reaches) }
        }
        Expression::ActionMatches(pattern) => all_if(pattern.matches(action) == wanted),
        Expression::SubOperationMatches(_) => all_if(!wanted),
        Expression::Exists => all_if(wanted),
        Expression::Compare { operator, .. } if operator.negated == wanted => all_if(true),
        Expression::Compare { quantifier, operator, values } => {
            let reaches = values.iter().map(|value| beginning(value, *operator));
            let all = quantifier.is_some_and(|Quantifier { all, .. }| all);
            if all == wanted { common(reaches) } else { together(reaches) }
        }
    }
}

fn all_if(all: bool) -> Reach {
    all.then_some(RepositoryPattern::All).into_iter().collect()
}

/// The repositories that may compare with `value` by the relation of `operator`.
fn beginning(value: &Value, operator: Operator) -> Reach {
    let (mut beginning, whole) = value.beginning(operator);
    if operator.ignore_case {
        beginning.make_ascii_lowercase();
    }
    if whole {
        return beginning.parse().map(RepositoryPattern::Exact).into_iter().collect();
    }
    // A pattern ends at a slash; what follows the last one is left to the evaluation.
    let Some((parent, _)) = beginning.rsplit_once('/') else { return all_if(true) };
    let parent = parent.parse::<RepositoryName>();
    parent.map(|parent| RepositoryPattern::Prefix(format!("{parent}/"))).into_iter().collect()
}

/// What any of `reaches` holds.
fn together(reaches: impl Iterator<Item = Reach>) -> Reach {
    let all: Reach = reaches.flatten().collect();
    all.iter().filter(|pattern| !wider(pattern).any(|wider| all.contains(&wider))).cloned().collect()
}

/// What all of `reaches` hold. Two patterns overlap only if one holds the other.
fn common(reaches: impl Iterator<Item = Reach>) -> Reach {
    let both = |one: Reach, other: Reach| -> Reach {
        let within = |part: &Reach, whole: &Reach| -> Reach {
            let is_held = |pattern: &&RepositoryPattern| {
                whole.contains(*pattern) || wider(pattern).any(|wider| whole.contains(&wider))
            };
            part.iter().filter(is_held).cloned().collect()
        };
        let mut common = within(&one, &other);
        common.extend(within(&other, &one));
        common
    };
    reaches.reduce(both).unwrap_or_default()
}

/// The patterns that hold `pattern` and more.
fn wider(pattern: &RepositoryPattern) -> impl Iterator<Item = RepositoryPattern> {
    let (text, slashes) = match pattern {
        RepositoryPattern::All => ("", ""),
        RepositoryPattern::Prefix(prefix) => (prefix.as_str(), prefix.trim_end_matches('/')),
        RepositoryPattern::Exact(name) => (name.as_str(), name.as_str()),
    };
    let prefixes = slashes.match_indices('/').map(|(at, _)| RepositoryPattern::Prefix(text[..=at].to_owned()));
    let all = (!text.is_empty()).then_some(RepositoryPattern::All);
    prefixes.chain(all)
}
