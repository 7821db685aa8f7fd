//! Metadata: every SQL statement of the registry, its schema, its journal and its jobs.
//!
//! State tables are the truth and the journal tells of them. Verbs are methods of [`Snapshot`] (they read) and
//! [`Tx`] (they write), one file an aggregate; the callers compose them into transactions by [`Meta::read`] and
//! [`Meta::write`]. Nothing outside this crate writes SQL.

mod attributes;
mod blob;
mod cache;
mod change;
mod credential;
mod engine;
mod error;
mod garbage;
mod grant;
mod job;
mod journal;
mod manifest;
mod meta;
mod page;
mod postgres;
mod principal;
mod queue;
mod repository;
mod resource;
mod schema;
mod setting;
mod sql;
mod sqlite;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod tag;
#[cfg(test)]
mod tests;
mod upload;
mod usage;

pub use attributes::Attributes;
pub use blob::{BlobRecord, Holder, LinkedBlob};
pub use change::{Change, Commit, Event, Item};
pub use credential::{Credential, CredentialKind};
pub use error::{MetaError, Result};
pub use garbage::{Condemned, GarbageCount};
pub use grant::{Grant, GrantKind};
pub use job::{Job, JobRecord};
pub use journal::{Entry, Head};
pub use manifest::{ManifestChild, ManifestDetail, ManifestPage, NewManifest, ReferrerPage, StoredManifest};
pub use meta::{Environment, Meta, SESSIONS_FILE, STATE_FILE, blobs_in_copy};
pub use page::{Cursor, Order};
pub use principal::{Principal, PrincipalKind, PrincipalRecord};
pub use repository::{Registry, RegistryKey, RepositoryDetail, RepositoryKey, TakenRepository};
pub use resource::{Author, NewResource, Resource, Touch, path as resource_path};
pub use sql::{Snapshot, Tx};
pub use tag::{ListedTag, TagDetail};
pub use upload::UploadRecord;
pub use usage::{HeldBlob, HeldManifest};
