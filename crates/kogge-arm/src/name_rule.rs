//! Which names a resource of a type may have.

use crate::error::{ArmError, Result};

/// A rule for names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NameRule {
    /// So many ASCII letters, digits and characters of `also`, the last none of `not_last`.
    Characters { min: usize, max: usize, also: &'static str, not_last: &'static str },
    /// A UUID with its hyphens.
    Uuid,
}

impl NameRule {
    /// # Errors
    /// `InvalidResourceName`, saying the rule.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        if self.admits(name) {
            Ok(())
        } else {
            Err(ArmError::bad("InvalidResourceName", self.describe()).about("name"))
        }
    }

    pub(crate) fn admits(&self, name: &str) -> bool {
        match self {
            Self::Characters { min, max, also, not_last } => {
                (*min..=*max).contains(&name.len())
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
                    && !name.ends_with(|c| not_last.contains(c))
            }
            Self::Uuid => name.parse::<kogge_types::ResourceId>().is_ok(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Characters { min, max, also, not_last } => {
                let characters = if also.is_empty() {
                    "letters and digits".to_owned()
                } else {
                    format!("letters, digits and {also}")
                };
                let last = if not_last.is_empty() { String::new() } else { format!(", the last none of {not_last}") };
                format!("The name must be {min} to {max} {characters}{last}.")
            }
            Self::Uuid => "The name must be a UUID.".to_owned(),
        }
    }

    /// The rule as a regular expression, for the OpenAPI document.
    pub(crate) fn pattern(&self) -> String {
        match self {
            Self::Characters { min, max, also, .. } => {
                let also: String = also.chars().flat_map(|c| ['\\', c]).collect();
                format!("^[a-zA-Z0-9{also}]{{{min},{max}}}$")
            }
            Self::Uuid => "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_limits() {
        let rule = NameRule::Characters { min: 2, max: 4, also: "-.", not_last: "." };
        for good in ["ab", "a-1b", "A.b", "--"] {
            assert!(rule.admits(good), "{good}");
        }
        for bad in ["", "a", "abcde", "a_b", "ab.", "äb", "a b", "a/b"] {
            assert!(!rule.admits(bad), "{bad}");
        }
        assert_eq!(rule.pattern(), r"^[a-zA-Z0-9\-\.]{2,4}$");
        assert!(NameRule::Uuid.admits("A0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"));
        assert!(!NameRule::Uuid.admits("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"));
        assert_eq!(rule.check("x").expect_err("too short").code, "InvalidResourceName");
    }
}
