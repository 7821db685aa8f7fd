//! The vocabulary of the registry: digests, names, manifests, actions, error codes and limits.
//!
//! Nothing here does I/O, reads a clock or knows HTTP. Every identifier is a newtype that validates on
//! construction and on deserialisation, so that a value that exists is a value that is well formed.

pub mod access;
pub mod code;
pub mod digest;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod reference;
pub mod stamp;

pub use access::{Action, ResourceScope, Scope};
pub use code::Code;
pub use digest::{Algorithm, Digest, Hasher};
pub use id::{CopyId, OriginId, RegistryId, UploadId};
pub use manifest::{Descriptor, Manifest, ManifestKind};
pub use name::{RegistryName, RepositoryName, Tag};
pub use reference::Reference;
pub use stamp::Stamp;
