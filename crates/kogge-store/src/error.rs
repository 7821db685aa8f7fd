//! What can go wrong with blob bytes.

use std::io;

/// Why an operation on stored bytes failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing is stored under this id or location.
    #[error("the store has no such bytes")]
    NotFound,
    /// The disk or the quota is full (ENOSPC, EDQUOT).
    #[error("the blob store is full")]
    NoSpace,
    /// Fewer bytes are there than the caller was promised.
    #[error("{expected} bytes were expected and {found} are stored")]
    TooShort { expected: u64, found: u64 },
    /// A later `begin`, `resume` or `discard` of the same upload took it from this writer.
    #[error("another request took over this upload")]
    Superseded,
    /// Anything else that the operating system reports.
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },
}

impl StoreError {
    /// Sorts an error of the operating system; `action` completes the sentence "cannot …".
    pub fn io(action: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io { action, source },
        }
    }
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;
