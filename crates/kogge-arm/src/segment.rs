//! Paths: a request's, taken apart and decoded, and the templates that it is compared with.

use std::fmt;

use kogge_types::limits;

use crate::error::{ArmError, Result};

/// The segments of a request's path, decoded; an empty last one is left out.
///
/// # Errors
/// `InvalidRequestUri` for an empty segment, one with a slash or control character in it, and beyond the limits.
pub(crate) fn segments(path: &str) -> Result<Vec<String>> {
    let refuse = || ArmError::bad("InvalidRequestUri", "The path of the request is not one of a resource.");
    let path = path.strip_prefix('/').ok_or_else(refuse)?;
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    if path.split('/').count() > limits::RESOURCE_PATH_SEGMENTS_MAX {
        return Err(refuse());
    }
    let decode = |segment: &str| {
        let text = percent_encoding::percent_decode_str(segment).decode_utf8().map_err(|_| refuse())?;
        let fits = !text.is_empty()
            && text.len() <= limits::RESOURCE_PATH_SEGMENT_BYTES_MAX
            && !text.contains(|c: char| c == '/' || c.is_control())
            && text != "."
            && text != "..";
        if fits { Ok(text.into_owned()) } else { Err(refuse()) }
    };
    path.split('/').map(decode).collect()
}

/// One segment of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This word, in any case.
    Word(&'static str),
    /// Anything, under this name: `{registryName}`.
    Parameter(&'static str),
}

/// A path with parameters: `/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template(Vec<Segment>);

impl Template {
    /// This template with `path` after it, whose parameters stand in braces.
    #[must_use]
    pub(crate) fn join(&self, path: &'static str) -> Self {
        let segment = |text: &'static str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => Segment::Parameter(name),
            None => Segment::Word(text),
        };
        Self(self.0.iter().copied().chain(path.split('/').filter(|text| !text.is_empty()).map(segment)).collect())
    }

    /// This template with one more parameter.
    #[must_use]
    pub(crate) fn parameter(&self, name: &'static str) -> Self {
        Self(self.0.iter().copied().chain([Segment::Parameter(name)]).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first `length` segments.
    pub(crate) fn first(&self, length: usize) -> Self {
        Self(self.0[..length].to_vec())
    }

    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(*name),
            Segment::Word(_) => None,
        })
    }

    /// Whether `segments` are a path of this template.
    pub(crate) fn matches(&self, segments: &[String]) -> bool {
        self.0.len() == segments.len()
            && self.0.iter().zip(segments).all(|(known, asked)| match known {
                Segment::Word(word) => word.eq_ignore_ascii_case(asked),
                Segment::Parameter(_) => true,
            })
    }

    /// The path that `segments` name, its words spelled as here. They match.
    pub(crate) fn canonical(&self, segments: &[String]) -> String {
        self.0.iter().zip(segments).fold(String::new(), |path, (known, asked)| match known {
            Segment::Word(word) => path + "/" + word,
            Segment::Parameter(_) => path + "/" + asked,
        })
    }

    /// Writes this template's words into a path that begins with one of this template.
    pub(crate) fn spell(&self, segments: &mut [String]) {
        for (known, segment) in self.0.iter().zip(segments) {
            if let Segment::Word(word) = known {
                *segment = (*word).to_owned();
            }
        }
    }

    /// The parameters' values in `segments`, which match.
    pub(crate) fn values<'s>(&self, segments: &'s [String]) -> impl Iterator<Item = (&'static str, &'s str)> {
        self.0.iter().zip(segments).filter_map(|(known, asked)| match known {
            Segment::Parameter(name) => Some((*name, asked.as_str())),
            Segment::Word(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Word(word) => write!(f, "/{word}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        if self.0.is_empty() { f.write_str("/") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let check = |path: &str, expected: &[&str]| assert_eq!(segments(path).expect(path), expected, "{path}");
        check("/", &[]);
        check("/subscriptions", &["subscriptions"]);
        check("/a/b/", &["a", "b"]);
        check("/a/b%20c", &["a", "b c"]);
        check("/a/%D0%B6", &["a", "ж"]);
        let longest = "s".repeat(limits::RESOURCE_PATH_SEGMENT_BYTES_MAX);
        let deepest = "/s".repeat(limits::RESOURCE_PATH_SEGMENTS_MAX);
        assert!(segments(&format!("/{longest}")).is_ok() && segments(&deepest).is_ok());
        let (longer, deeper) = (format!("/{longest}s"), format!("{deepest}/s"));
        for bad in ["", "a", "//", "/a//b", "/a/../b", "/%2e%2E", "/a%2fb", "/a%00", "/%ff", &longer, &deeper] {
            assert_eq!(segments(bad).expect_err(bad).code, "InvalidRequestUri", "{bad}");
        }
    }

    #[test]
    fn templates_match_words_in_any_case_and_spell_them_right() {
        let template = Template::default().join("/subscriptions/{subscriptionId}/resourceGroups").parameter("group");
        assert_eq!(template.to_string(), "/subscriptions/{subscriptionId}/resourceGroups/{group}");
        let asked = segments("/Subscriptions/S/resourcegroups/My.Group").expect("a path");
        assert!(template.matches(&asked));
        assert_eq!(template.canonical(&asked), "/subscriptions/S/resourceGroups/My.Group");
        assert_eq!(template.values(&asked).collect::<Vec<_>>(), [("subscriptionId", "S"), ("group", "My.Group")]);
        assert!(!template.matches(&asked[..3]));
        assert!(!template.matches(&segments("/subscriptions/S/resources/x").expect("a path")));
    }
}
