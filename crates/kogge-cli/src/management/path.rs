//! Paths of managed resources.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, Result};

pub(crate) const REGISTRY_TYPE: &str = "Microsoft.ContainerRegistry/registries";
pub(crate) const CONTAINER_REGISTRY: &str = "providers/Microsoft.ContainerRegistry";
pub(crate) const AUTHORIZATION: &str = "providers/Microsoft.Authorization";

/// What is encoded in a name.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'(').remove(b')');

/// The path of what is called `name` beneath `holder`, where `kind` names its type: `tokens`, `roleAssignments`.
///
/// # Errors
/// The name would lead elsewhere.
pub(crate) fn beneath(holder: &str, kind: &str, name: &str) -> Result<String> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(Error::usage(format!("`{name}` is not the name of anything")));
    }
    Ok(format!("{}/{kind}/{}", holder.trim_end_matches('/'), utf8_percent_encode(name, UNSAFE)))
}

/// The last segment of a path: a resource's name.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The resource group in a path; empty when there is none.
pub(crate) fn resource_group_of(path: &str) -> &str {
    let mut segments = path.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("resourceGroups"));
    segments.next().unwrap_or_default()
}

/// Text within a filter's quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_segment() {
        assert_eq!(beneath("/a/b", "tokens", "ci-1").expect("a path"), "/a/b/tokens/ci-1");
        assert_eq!(beneath("/", "x", "a b?%#").expect("a path"), "/x/a%20b%3F%25%23");
        for bad in ["", ".", "..", "a/b"] {
            assert!(beneath("/a", "tokens", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_of_paths() {
        let path = "/subscriptions/s/resourcegroups/My-Group/providers/Microsoft.ContainerRegistry/registries/reg01";
        assert_eq!((name_of(path), resource_group_of(path)), ("reg01", "My-Group"));
        assert_eq!(resource_group_of("/subscriptions/s"), "");
        assert_eq!(quoted("it's"), "'it''s'");
    }
}
