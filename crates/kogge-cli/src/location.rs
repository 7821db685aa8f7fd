//! Where an image is: on a registry, in an OCI layout directory, or in a tar of one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use kogge_types::{Reference, Tag};

use crate::error::{Error, Result};
use crate::image_reference::ImageReference;

/// An image's place, as `copy` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Registry(ImageReference),
    Layout(LayoutLocation),
}

impl Location {
    /// The same place, whose image `tag` names unless it is named already.
    #[must_use]
    pub(crate) fn with_tag(mut self, tag: Option<&Tag>) -> Self {
        match &mut self {
            Self::Registry(image) if image.tag.is_none() && image.digest.is_none() => image.tag = tag.cloned(),
            Self::Layout(layout) if layout.reference.is_none() => layout.reference = tag.cloned().map(Reference::Tag),
            Self::Registry(_) | Self::Layout(_) => {}
        }
        self
    }
}

/// An OCI layout on disk, and which of its images is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayoutLocation {
    pub(crate) path: PathBuf,
    pub(crate) form: LayoutForm,
    pub(crate) reference: Option<Reference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayoutForm {
    Directory,
    /// An uncompressed tar.
    Archive,
}

impl LayoutLocation {
    /// Reads `text` as a path, with or without a prefix; a name that ends in `.tar` is an archive.
    pub(crate) fn from_path(text: &str) -> Result<Self> {
        if let Some(location) = Self::with_prefix(text)? {
            return Ok(location);
        }
        let form = if text.ends_with(".tar") { LayoutForm::Archive } else { LayoutForm::Directory };
        Self::new(text, form, None)
    }

    fn with_prefix(text: &str) -> Result<Option<Self>> {
        let (rest, form) = if let Some(rest) = text.strip_prefix("oci-archive:") {
            (rest, LayoutForm::Archive)
        } else if let Some(rest) = text.strip_prefix("oci:") {
            (rest, LayoutForm::Directory)
        } else {
            return Ok(None);
        };
        let bad = |error: &dyn fmt::Display| Error::usage(format!("`{text}` is not a layout's image: {error}"));
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let name = &rest[name_start..];
        let (path, reference) = if let Some(at) = name.find('@') {
            let digest = name[at + 1..].parse().map_err(|error| bad(&error))?;
            (&rest[..name_start + at], Some(Reference::Digest(digest)))
        } else if let Some(colon) = name.find(':') {
            let tag = name[colon + 1..].parse().map_err(|error| bad(&error))?;
            (&rest[..name_start + colon], Some(Reference::Tag(tag)))
        } else {
            (rest, None)
        };
        Self::new(path, form, reference).map(Some)
    }

    fn new(path: &str, form: LayoutForm, reference: Option<Reference>) -> Result<Self> {
        if path.is_empty() {
            return Err(Error::usage("the path of the layout is empty"));
        }
        Ok(Self { path: PathBuf::from(path), form, reference })
    }

    pub(crate) fn tag(&self) -> Option<&Tag> {
        match &self.reference {
            Some(Reference::Tag(tag)) => Some(tag),
            Some(Reference::Digest(_)) | None => None,
        }
    }
}

impl fmt::Display for LayoutLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.form {
            LayoutForm::Directory => "oci",
            LayoutForm::Archive => "oci-archive",
        };
        write!(f, "{prefix}:{}", self.path.display())?;
        match &self.reference {
            Some(Reference::Tag(tag)) => write!(f, ":{tag}"),
            Some(Reference::Digest(digest)) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(image) => image.fmt(f),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match LayoutLocation::with_prefix(text)? {
            Some(layout) => Ok(Self::Layout(layout)),
            None if text.starts_with(['/', '.']) => Err(Error::usage(format!("`{text}` looks like a path"))
                .hint("write `oci:DIR[:tag]` for a layout directory, `oci-archive:FILE.tar[:tag]` for a tar of one")),
            None => Ok(Self::Registry(text.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_shown() {
        for text in [
            "oci:dir",
            "oci:dir:v1",
            "oci:/tmp/a.b/dir:v1",
            "oci-archive:x.tar",
            "oci-archive:a/x.tar:v1",
            "oci:dir@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "reg.io/x:v1",
        ] {
            assert_eq!(text.parse::<Location>().expect(text).to_string(), text);
        }
        let colon_in_folder: Location = "oci:a:b/dir".parse().expect("a colon before the last slash is the path's");
        assert_eq!(colon_in_folder.to_string(), "oci:a:b/dir");
        for text in ["oci:", "oci::v1", "oci:dir:", "oci:dir@x", "./dir", "/dir"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_plain_path_is_a_directory_unless_it_ends_in_tar() {
        let form = |text: &str| LayoutLocation::from_path(text).expect(text).form;
        assert_eq!(form("image"), LayoutForm::Directory);
        assert_eq!(form("./image.tar"), LayoutForm::Archive);
        assert_eq!(form("oci:image.tar"), LayoutForm::Directory);
    }
}
