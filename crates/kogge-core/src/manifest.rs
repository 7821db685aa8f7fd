//! Manifests: put, get, delete.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use kogge_meta::{Change, Commit, NewManifest, RepositoryKey, Snapshot, StoredManifest, Tx};
use kogge_types::manifest::ManifestError;
use kogge_types::{Code, Descriptor, Digest, Manifest, Reference, Tag, limits};

use crate::core::{Core, Target};
use crate::error::{Error, Result};
use crate::lock;

/// A condition on what the reference names before the write (RFC 9110, "If-Match" and "If-None-Match").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TagCondition {
    #[default]
    None,
    /// It names one of these.
    Is(Vec<Digest>),
    /// It names something.
    Exists,
    /// It names none of these.
    IsNot(Vec<Digest>),
    /// It names nothing.
    Missing,
}

impl TagCondition {
    fn holds(&self, current: Option<&Digest>) -> bool {
        match self {
            Self::None => true,
            Self::Is(digests) => current.is_some_and(|current| digests.contains(current)),
            Self::Exists => current.is_some(),
            Self::IsNot(digests) => current.is_none_or(|current| !digests.contains(current)),
            Self::Missing => current.is_none(),
        }
    }
}

/// A manifest to be stored.
#[derive(Debug, Clone)]
pub struct PutManifest {
    pub reference: Reference,
    /// Tags to be set beside the reference.
    pub tags: Vec<Tag>,
    pub content_type: String,
    pub body: Bytes,
    pub condition: TagCondition,
}

/// A manifest that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    pub digest: Digest,
    pub subject: Option<Digest>,
}

impl Core {
    /// The manifest that a reference names.
    pub async fn get_manifest(&self, target: &Target, reference: &Reference) -> Result<Arc<StoredManifest>> {
        let found = self.meta.manifest(target.registry.key, &target.repository, reference).await?;
        let manifest = found.ok_or_else(|| unknown(reference))?;
        lock::require_read(manifest.attributes)?;
        Ok(manifest)
    }

    /// Stores a manifest and sets its tags, all or nothing.
    pub async fn put_manifest(&self, target: &Target, put: PutManifest) -> Result<PutOutcome> {
        let mut new = new_manifest(&put)?;
        new.platform = self.platform_of(target, &new.manifest).await;
        let outcome =
            PutOutcome { digest: new.digest, subject: new.manifest.subject.as_ref().map(|subject| subject.digest) };
        let mut tags = put.tags;
        if let Reference::Tag(tag) = &put.reference {
            tags.push(tag.clone());
        }
        let charge = self.charge_manifest(target, &new.digest, new.body.len() as u64).await?;
        let (target, sparse) = (target.clone(), self.settings.sparse_images);
        let outcome = self
            .meta
            .write(move |tx| {
                let repository = tx.take_repository(target.registry.key, &target.repository)?;
                lock::require_write(tx.repository_attributes(repository)?)?;
                require_condition(tx, repository, &put.reference, &put.condition)?;
                for tag in &tags {
                    if let Some(present) = tx.tag(repository, tag)? {
                        lock::require_write(present.attributes)?;
                    }
                }
                require_blobs(tx, &target, &new.manifest.blobs, sparse)?;
                let mut changes = vec![tx.put_manifest(&target.registry, repository, &target.repository, &new)?];
                for tag in &tags {
                    changes.push(tx.set_tag(&target.registry, repository, &target.repository, tag, &new.digest)?);
                }
                Ok::<_, Error>(Commit::new(outcome, changes))
            })
            .await?;
        charge.settle();
        Ok(outcome)
    }

    /// Takes a tag away; the manifest stays.
    pub async fn delete_tag(&self, target: &Target, tag: &Tag) -> Result<()> {
        let (target, tag) = (target.clone(), tag.clone());
        self.meta
            .write(move |tx| {
                let missing = || unknown(&Reference::Tag(tag.clone()));
                let repository = tx.repository(target.registry.key, &target.repository)?.ok_or_else(missing)?;
                let present = tx.tag(repository, &tag)?.ok_or_else(missing)?;
                lock::require_delete(tx.repository_attributes(repository)?.and(present.attributes))?;
                let change = tx.delete_tag(&target.registry, repository, &target.repository, &tag)?;
                Ok(Commit::new((), change.into_iter().collect()))
            })
            .await
    }

    /// Deletes a manifest, its tags and all that refers to it, or nothing when one of them is locked.
    pub async fn delete_manifest(&self, target: &Target, digest: &Digest) -> Result<()> {
        let (target, digest) = (target.clone(), *digest);
        self.meta
            .write(move |tx| {
                let missing = || unknown(&Reference::Digest(digest));
                let repository = tx.repository(target.registry.key, &target.repository)?.ok_or_else(missing)?;
                lock::require_delete(tx.repository_attributes(repository)?)?;
                let doomed = with_referrers(tx, repository, digest)?;
                let mut changes: Vec<Change> = Vec::new();
                for doomed in &doomed {
                    let attributes = tx.manifest_attributes(repository, doomed)?.ok_or_else(missing)?;
                    lock::require_delete(attributes)?;
                    for tag in tx.tags_of(repository, doomed)? {
                        let tag = tx.tag(repository, &tag)?;
                        lock::require_delete(tag.map_or(kogge_meta::Attributes::OPEN, |tag| tag.attributes))?;
                    }
                    changes.extend(tx.delete_manifest(&target.registry, repository, &target.repository, doomed)?);
                }
                Ok(Commit::new((), changes))
            })
            .await
    }
}

pub(crate) fn unknown(reference: &Reference) -> Error {
    Error::of(Code::ManifestUnknown).with_detail(serde_json::json!({ "reference": reference.to_string() }))
}

/// Validates what the client sent.
fn new_manifest(put: &PutManifest) -> Result<NewManifest> {
    if put.body.len() > limits::MANIFEST_BYTES_MAX {
        return Err(Error::of(Code::ManifestTooLarge));
    }
    let manifest = Manifest::parse(&put.content_type, &put.body).map_err(|error| {
        let code = match error {
            ManifestError::Schema1 | ManifestError::ContentType(_) => Code::MediaTypeUnsupported,
            ManifestError::Empty
            | ManifestError::MediaTypeMismatch { .. }
            | ManifestError::Json(_)
            | ManifestError::SchemaVersion
            | ManifestError::Ambiguous
            | ManifestError::TooMany => Code::ManifestInvalid,
        };
        Error::new(code, error.to_string())
    })?;
    let digest = match &put.reference {
        Reference::Tag(_) => Digest::sha256(&put.body),
        Reference::Digest(asked) => {
            let found = Digest::of(asked.algorithm(), &put.body);
            if found != *asked {
                return Err(Error::new(Code::DigestInvalid, format!("the manifest's digest is {found}, not {asked}")));
            }
            found
        }
    };
    let referrer = match &manifest.subject {
        None => None,
        Some(_) => {
            let descriptor = Descriptor {
                media_type: manifest.media_type.clone(),
                digest,
                size: put.body.len() as u64,
                artifact_type: manifest.artifact_type.clone(),
                annotations: manifest.annotations.clone(),
                platform: None,
            };
            Some(serde_json::to_string(&descriptor).map_err(Error::internal)?)
        }
    };
    Ok(NewManifest { digest, manifest, body: put.body.clone(), referrer, platform: None })
}

fn require_condition(
    tx: &Tx<'_>,
    repository: RepositoryKey,
    reference: &Reference,
    condition: &TagCondition,
) -> Result<()> {
    let current = match reference {
        Reference::Tag(tag) => tx.tag(repository, tag)?.map(|tag| tag.digest),
        Reference::Digest(digest) => tx.manifest_attributes(repository, digest)?.map(|_| *digest),
    };
    if condition.holds(current.as_ref()) {
        return Ok(());
    }
    let current = current.map(|digest| digest.to_string());
    Err(Error::of(Code::PreconditionFailed).with_detail(serde_json::json!({ "current": current })))
}

/// Every blob that an image names is in its repository, and of the size that it says.
fn require_blobs(snapshot: &Snapshot<'_>, target: &Target, blobs: &[Descriptor], sparse: bool) -> Result<()> {
    let mut missing = Vec::new();
    for blob in blobs {
        match snapshot.link(target.registry.key, &target.repository, &blob.digest)? {
            Some(link) if link.size != blob.size => {
                let message = format!("{} is {} bytes, not {} as the manifest says", blob.digest, link.size, blob.size);
                return Err(Error::new(Code::ManifestInvalid, message));
            }
            Some(_) => {}
            None => missing.push(blob.digest),
        }
    }
    if missing.is_empty() || sparse {
        return Ok(());
    }
    let message = format!("{} blob(s) that the manifest names are not in the repository", missing.len());
    missing.truncate(limits::MISSING_BLOBS_LISTED_MAX);
    Err(Error::new(Code::ManifestBlobUnknown, message).with_detail(serde_json::json!({ "digests": missing })))
}

/// `root` and, in no given order, all that refers to it, directly or not.
fn with_referrers(snapshot: &Snapshot<'_>, repository: RepositoryKey, root: Digest) -> Result<Vec<Digest>> {
    let mut found = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while let Some(subject) = found.get(next).copied() {
        next += 1;
        for referrer in snapshot.referrer_digests(repository, &subject, limits::DELETE_MANIFESTS_MAX)? {
            if seen.insert(referrer) {
                found.push(referrer);
            }
        }
        if found.len() > limits::DELETE_MANIFESTS_MAX {
            let message = format!("more than {} manifests refer to this one", limits::DELETE_MANIFESTS_MAX);
            return Err(Error::new(Code::Unsupported, message));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
