//! Lock attributes: what they forbid, in ACR's words, and how they are set. Each level has its own; a repository's hold
//! for all that is in it.

use kogge_meta::{Attributes, Commit, ManifestDetail, RepositoryDetail, TagDetail};
use kogge_types::{Code, Digest, Tag};
use serde::Deserialize;

use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::listing::{known_manifest, known_repository, known_tag};

fn refuse_unless(allowed: bool) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::of(Code::Disallowed)) }
}

pub(crate) fn require_read(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.read_enabled)
}

pub(crate) fn require_write(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.write_enabled)
}

pub(crate) fn require_delete(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.allows_delete())
}

/// Which switches are to be set, and how. What is not named stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributesPatch {
    pub delete_enabled: Option<bool>,
    pub write_enabled: Option<bool>,
    pub read_enabled: Option<bool>,
    pub list_enabled: Option<bool>,
}

impl AttributesPatch {
    /// Reads the JSON object of a request: any subset of the four, each true or false, and nothing else.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let refused = |problem: &dyn std::fmt::Display| {
            let shape = "deleteEnabled, writeEnabled, readEnabled and listEnabled, each true or false";
            Error::new(Code::FormInvalid, format!("the body is an object with any of {shape}: {problem}"))
        };
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(refused(&"it is none"));
        }
        serde_json::from_slice(text).map_err(|error| refused(&error))
    }

    fn apply(self, present: Attributes) -> Attributes {
        Attributes {
            delete_enabled: self.delete_enabled.unwrap_or(present.delete_enabled),
            write_enabled: self.write_enabled.unwrap_or(present.write_enabled),
            read_enabled: self.read_enabled.unwrap_or(present.read_enabled),
            list_enabled: self.list_enabled.unwrap_or(present.list_enabled),
        }
    }
}

impl Core {
    /// Sets attributes of a repository. No lock keeps from it: it is how locks are opened.
    pub async fn set_repository_attributes(&self, target: &Target, patch: AttributesPatch) -> Result<RepositoryDetail> {
        let target = target.clone();
        self.meta
            .write(move |tx| {
                let present = known_repository(tx, &target)?;
                let attributes = patch.apply(present.attributes);
                if attributes == present.attributes {
                    return Ok(Commit::quiet(present));
                }
                let change =
                    tx.set_repository_attributes(&target.registry, present.key, &target.repository, attributes)?;
                Ok(Commit::new(known_repository(tx, &target)?, vec![change]))
            })
            .await
    }

    /// Sets attributes of a tag, which are apart from those of the manifest that it names.
    pub async fn set_tag_attributes(&self, target: &Target, tag: &Tag, patch: AttributesPatch) -> Result<TagDetail> {
        let (target, tag) = (target.clone(), tag.clone());
        self.meta
            .write(move |tx| {
                let (repository, present) = known_tag(tx, &target, &tag)?;
                let attributes = patch.apply(present.attributes);
                if attributes == present.attributes {
                    return Ok(Commit::quiet(present));
                }
                let (registry, name) = (&target.registry, &target.repository);
                let change = tx.set_tag_attributes(registry, repository, name, &tag, attributes)?;
                Ok(Commit::new(known_tag(tx, &target, &tag)?.1, change.into_iter().collect()))
            })
            .await
    }

    /// Sets attributes of a manifest.
    pub async fn set_manifest_attributes(
        &self,
        target: &Target,
        digest: &Digest,
        patch: AttributesPatch,
    ) -> Result<ManifestDetail> {
        let (target, digest) = (target.clone(), *digest);
        self.meta
            .write(move |tx| {
                let (repository, present) = known_manifest(tx, &target, &digest)?;
                let attributes = patch.apply(present.attributes);
                if attributes == present.attributes {
                    return Ok(Commit::quiet(present));
                }
                let (registry, name) = (&target.registry, &target.repository);
                let change = tx.set_manifest_attributes(registry, repository, name, &digest, attributes)?;
                Ok(Commit::new(known_manifest(tx, &target, &digest)?.1, change.into_iter().collect()))
            })
            .await
    }
}

#[cfg(test)]
mod tests;
