//! What a write changed: the journal's events, and the records that caches must forget.

use kogge_types::{Digest, RegistryId, RegistryName, RepositoryName, ResourceId, Stamp, Tag};
use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::repository::RegistryKey;

/// A journalled change. Only the verbs of this crate make one, and only a commit consumes it: a write of
/// replicated state whose change is dropped does not compile.
#[derive(Debug, Clone)]
#[must_use = "a change that is not committed never reaches the journal"]
pub struct Change {
    /// The stamp of the record that changed.
    pub(crate) stamp: Stamp,
    pub(crate) event: Event,
}

/// What happened, in the words of the product. Content is named by digest, secrets are not named at all. A resource is
/// deleted with everything beneath its path; a raised epoch makes the tokens void that a principal held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RegistryPut { registry: RegistryId, name: RegistryName },
    RegistryDeleted { registry: RegistryId, name: RegistryName },
    PrincipalPut { name: String },
    PrincipalDeleted { name: String },
    EpochRaised { principal: ResourceId },
    GroupMemberSet { group: ResourceId, member: ResourceId, present: bool },
    ResourcePut { resource: ResourceId, kind: String, path: String },
    ResourceDeleted { resource: ResourceId, kind: String, path: String },
    CredentialPut { owner: ResourceId },
    CredentialDeleted { owner: ResourceId },
    ManifestPut { registry: RegistryId, repository: RepositoryName, digest: Digest },
    ManifestDeleted { registry: RegistryId, repository: RepositoryName, digest: Digest },
    TagSet { registry: RegistryId, repository: RepositoryName, tag: Tag, digest: Digest },
    TagDeleted { registry: RegistryId, repository: RepositoryName, tag: Tag },
    BlobUnlinked { registry: RegistryId, repository: RepositoryName, digest: Digest },
    AttributesSet { registry: RegistryId, repository: RepositoryName, item: Item, attributes: Attributes },
    RepositoryDeleted { registry: RegistryId, repository: RepositoryName },
}

/// What attributes are set on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    Repository,
    Tag(Tag),
    Manifest(Digest),
}

/// The answer of a write and the changes that go to the journal with it.
#[derive(Debug)]
pub struct Commit<T> {
    pub(crate) value: T,
    pub(crate) changes: Vec<Change>,
}

impl<T> Commit<T> {
    /// A write with its changes.
    pub fn new(value: T, changes: Vec<Change>) -> Self {
        Self { value, changes }
    }

    /// A write of what is not journalled: sessions, jobs, cursors, links, or nothing at all.
    pub fn quiet(value: T) -> Self {
        Self { value, changes: Vec::new() }
    }

    /// The same write with another answer.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Commit<U> {
        Commit { value: map(self.value), changes: self.changes }
    }

    /// What the journal will tell of the write.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.changes.iter().map(|change| &change.event)
    }
}

/// A record that a write made stale.
#[derive(Debug, Clone)]
pub(crate) enum Touched {
    Manifest {
        registry: RegistryKey,
        repository: RepositoryName,
        digest: Digest,
    },
    Tag {
        registry: RegistryKey,
        repository: RepositoryName,
        tag: Tag,
    },
    Link {
        registry: RegistryKey,
        repository: RepositoryName,
        digest: Digest,
    },
    /// Anything at all: rare writes that reach many records.
    Everything,
}
