//! Blob bytes: where they are written, read, committed and removed.
//!
//! [`BlobStore`] is the seam; [`DiskStore`] keeps the bytes on a local disk. The store knows no digest
//! arithmetic, no repository and no session row: it is told where bytes belong and makes them durable there.

mod disk;
mod error;
mod layer;
mod reader;
mod store;
#[cfg(any(test, feature = "suite"))]
pub mod suite;

pub use disk::DiskStore;
pub use error::{Result, StoreError};
pub use layer::{FaultyStore, Hold, Operation};
pub use reader::{BlobReader, BlobStream};
pub use store::{BlobStore, BoxFuture, StoreHealth, StoredCopy, UploadWriter};
