//! Patterns over the names of Azure operations: `Microsoft.ContainerRegistry/registries/*/read`.

use std::fmt;
use std::str::FromStr;

use kogge_types::limits;

use crate::auth::role::wildcard::{Piece, Wildcard};

/// A pattern over the names of operations. `*` stands for any number of characters, slashes among them; letters match
/// in both cases (Azure: "Understand Azure role definitions", Actions format).
#[derive(Clone, PartialEq, Eq)]
pub struct ActionPattern {
    text: String,
    wildcard: Wildcard,
}

/// A text that is not such a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActionPatternError {
    #[error("an action is at most {} characters", limits::ACTION_CHARS_MAX)]
    Length,
    #[error(
        "an action is letters, digits, '.', '-', '_' and '*' in parts separated by '/', such as \
         Microsoft.ContainerRegistry/registries/*/read"
    )]
    Form,
}

impl ActionPattern {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn matches(&self, action: &str) -> bool {
        self.wildcard.matches(action)
    }
}

impl FromStr for ActionPattern {
    type Err = ActionPatternError;

    fn from_str(text: &str) -> Result<Self, ActionPatternError> {
        if text.len() > limits::ACTION_CHARS_MAX {
            return Err(ActionPatternError::Length);
        }
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_*".contains(&b));
        if !text.split('/').all(is_part) {
            return Err(ActionPatternError::Form);
        }
        let pieces = text.chars().map(|char| if char == '*' { Piece::Any } else { Piece::Char(char) });
        Ok(Self { text: text.to_owned(), wildcard: Wildcard::new(pieces, true) })
    }
}

impl fmt::Display for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ActionPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_an_action() {
        for (pattern, action, expected) in [
            ("*", "Microsoft.ContainerRegistry/registries/read", true),
            ("*/read", "Microsoft.ContainerRegistry/registries/pull/read", true),
            ("*/read", "Microsoft.ContainerRegistry/registries/push/write", false),
            ("microsoft.containerregistry/REGISTRIES/*", "Microsoft.ContainerRegistry/registries/pull/read", true),
            ("Microsoft.ContainerRegistry/*/write", "Microsoft.ContainerRegistry/registries/push/write", true),
            ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/roleAssignments/delete", true),
            ("Microsoft.ContainerRegistry/registries/read", "Microsoft.ContainerRegistry/registries/pull/read", false),
            ("Microsoft.ContainerRegistry/registries/read", "Microsoft.ContainerRegistry/registries/readX", false),
        ] {
            let parsed: ActionPattern = pattern.parse().expect(pattern);
            assert_eq!(parsed.matches(action), expected, "{pattern} {action}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "/", "/read", "read/", "a//b", "a b", "a'b", "ä/read", "a/{b}", "a?"] {
            assert_eq!(bad.parse::<ActionPattern>(), Err(ActionPatternError::Form), "{bad}");
        }
        let longest = "a".repeat(limits::ACTION_CHARS_MAX);
        assert!(longest.parse::<ActionPattern>().is_ok());
        assert_eq!(format!("{longest}a").parse::<ActionPattern>(), Err(ActionPatternError::Length));
    }
}
