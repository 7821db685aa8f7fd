//! What can go wrong below the rules.

use std::sync::Arc;

/// A failure of the metadata engine. Refusals by the rules are the caller's own errors.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    #[error("{action}: {source}")]
    Engine { action: &'static str, source: Arc<rusqlite::Error> },
    #[error("the disk that holds the metadata is full")]
    NoSpace,
    #[error("the metadata is of schema {found}, written by a newer version; this version knows {known}")]
    Newer { found: i64, known: i64 },
    #[error("the registry was deleted meanwhile")]
    RegistryGone,
    #[error("a stored {what} cannot be read")]
    Corrupt { what: &'static str },
    #[error("prepare the metadata folder: {0}")]
    Io(Arc<std::io::Error>),
    #[error("a failure of the metadata engine in another write undid this one")]
    Undone,
    #[error("the metadata engine has stopped")]
    Stopped,
}

pub type Result<T, E = MetaError> = std::result::Result<T, E>;

impl MetaError {
    pub(crate) fn engine(action: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoSpace,
            _ => Self::Engine { action, source: Arc::new(source) },
        }
    }

    pub(crate) fn corrupt<E>(what: &'static str) -> impl Fn(E) -> Self {
        move |_| Self::Corrupt { what }
    }
}

impl From<rusqlite::Error> for MetaError {
    fn from(source: rusqlite::Error) -> Self {
        Self::engine("run statement")(source)
    }
}

impl From<std::io::Error> for MetaError {
    fn from(source: std::io::Error) -> Self {
        Self::Io(Arc::new(source))
    }
}
