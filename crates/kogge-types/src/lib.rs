//! The vocabulary of the registry: digests, names, manifests, actions, error codes and limits.
//!
//! Nothing here does I/O or knows HTTP; the clock is a trait. Every identifier is a newtype that validates on
//! construction and on deserialisation, so that a value that exists is a value that is well formed.

pub mod access;
pub mod clock;
pub mod code;
pub mod digest;
#[cfg(test)]
mod fuzz;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod pattern;
pub mod reference;
pub mod stamp;

pub use access::{Action, ResourceScope, Scope};
pub use clock::{Clock, Entropy, ManualClock, SystemClock};
pub use code::Code;
pub use digest::{Algorithm, Digest, Hasher};
pub use id::{CopyId, OriginId, RegistryId, ResourceId, UploadId};
pub use manifest::{Descriptor, Manifest, ManifestKind};
pub use name::{RegistryName, RepositoryName, Tag};
pub use pattern::RepositoryPattern;
pub use reference::Reference;
pub use stamp::Stamp;
