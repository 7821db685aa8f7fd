//! Entity tags: a write may say which version of the resource it is about (RFC 9110, section 13).

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use kogge_types::Stamp;

use crate::error::{ArmError, Result};

/// The tag of a resource in this version.
pub(crate) fn entity_tag(version: Stamp) -> String {
    format!("\"{:016x}\"", version.0)
}

/// What a write demands of the resource as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The tags of which one must be the resource's; `*` is any that exists.
    only_if: Option<String>,
    /// The resource must not exist yet.
    only_new: bool,
}

impl Condition {
    /// # Errors
    /// `InvalidHeaderValue` for a condition that no write can have: `If-None-Match` with a tag.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim().to_owned());
        let only_new = match text(IF_NONE_MATCH).as_deref() {
            None => false,
            Some("*") => true,
            Some(_) => {
                return Err(ArmError::bad("InvalidHeaderValue", "If-None-Match of a write can only be '*'."));
            }
        };
        Ok(Self { only_if: text(IF_MATCH), only_new })
    }

    /// # Errors
    /// `PreconditionFailed` when the resource in this version, or its absence, is not what the write is about.
    pub(crate) fn check(&self, version: Option<Stamp>) -> Result<()> {
        let met = match (&self.only_if, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(tags), Some(version)) => {
                let tag = entity_tag(version);
                tags.split(',').map(str::trim).any(|asked| asked == "*" || asked == tag)
            }
        };
        if met && !(self.only_new && version.is_some()) {
            return Ok(());
        }
        let message = "The resource is not in the version that the request is about.";
        Err(ArmError::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let (version, tag) = (Stamp(1_700_000_000_000_000), entity_tag(Stamp(1_700_000_000_000_000)));
        let check = |name: http::HeaderName, value: &str, version: Option<Stamp>, met: bool| {
            let headers = HeaderMap::from_iter([(name, value.parse().expect("a value"))]);
            let outcome = Condition::read(&headers).expect("a condition").check(version);
            assert_eq!(outcome.is_ok(), met, "{value} {version:?}");
        };
        check(IF_MATCH, "*", Some(version), true);
        check(IF_MATCH, "*", None, false);
        check(IF_MATCH, &tag, Some(version), true);
        check(IF_MATCH, &format!("\"x\", {tag}"), Some(version), true);
        check(IF_MATCH, "\"x\"", Some(version), false);
        check(IF_MATCH, &tag, Some(Stamp(version.0 + 1)), false);
        check(IF_NONE_MATCH, "*", None, true);
        check(IF_NONE_MATCH, "*", Some(version), false);
        assert!(Condition::default().check(None).is_ok() && Condition::default().check(Some(version)).is_ok());
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, tag.parse().expect("a value"))]);
        assert_eq!(Condition::read(&headers).expect_err("a tag").code, "InvalidHeaderValue");
    }
}
