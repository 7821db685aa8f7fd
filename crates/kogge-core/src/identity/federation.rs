//! Federated credentials: a token of an outside issuer that stands for a service principal (RFC 7523), so that a
//! workload elsewhere needs no secret of ours.

use kogge_meta::{Credential, CredentialKind};
use serde::{Deserialize, Serialize};

use crate::identity::jwt::Claims;

/// The audience that such tokens are for, unless another is registered: what Azure's clients ask for.
pub const AUDIENCE_DEFAULT: &str = "api://AzureADTokenExchange";

/// Whose tokens are taken for a service principal's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// The issuer, as its tokens write it.
    pub issuer: String,
    /// The subject, as the tokens write it. A `*` stands for any characters but `:`.
    pub subject: String,
    pub audience: String,
}

impl Federation {
    pub(crate) fn read(credential: &Credential) -> Option<Self> {
        let is_one = credential.kind == CredentialKind::Federation;
        is_one.then(|| serde_json::from_slice(&credential.value).ok()).flatten()
    }

    /// Whether verified claims of this issuer are the ones that are meant.
    pub(crate) fn admits(&self, claims: &Claims) -> bool {
        claims.text("sub").is_some_and(|subject| matches(&self.subject, subject))
            && claims.is_for(|audience| audience == self.audience)
    }
}

/// Whether `subject` is what `pattern` says.
fn matches(pattern: &str, subject: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == subject };
    let Some(subject) = subject.strip_prefix(head) else { return false };
    let end = subject.find(':').unwrap_or(subject.len());
    let mut places = subject.char_indices().map(|(place, _)| place).chain([subject.len()]);
    places.any(|place| place <= end && matches(rest, &subject[place..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stops_at_a_colon() {
        let cases = [
            ("repo:a/b:ref:refs/heads/main", "repo:a/b:ref:refs/heads/main", true),
            ("repo:a/b:ref:refs/heads/main", "repo:a/b:ref:refs/heads/main2", false),
            ("repo:a/b:ref:refs/heads/*", "repo:a/b:ref:refs/heads/x/y", true),
            ("repo:a/b:ref:refs/heads/*", "repo:a/b:ref:refs/tags/x", false),
            ("repo:a/*:environment:prod", "repo:a/b:environment:prod", true),
            ("repo:a/*:environment:prod", "repo:a/b:ref:environment:prod", false),
            ("repo:a/*", "repo:a/b:ref:refs/heads/main", false),
            ("system:serviceaccount:*:*", "system:serviceaccount:ns:name", true),
            ("system:serviceaccount:*", "system:serviceaccount:ns:name", false),
            ("*", "", true),
            ("*é*", "aéb", true),
        ];
        for (pattern, subject, expected) in cases {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
