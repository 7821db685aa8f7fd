//! What can go wrong below the rules.

use std::sync::Arc;

use postgres::error::SqlState;

/// A failure of the metadata engine. Refusals by the rules are the caller's own errors.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    #[error("{action}: {source}")]
    Engine { action: &'static str, source: Arc<dyn std::error::Error + Send + Sync> },
    #[error("the connection to the database was lost or refused: {0}")]
    Lost(Arc<dyn std::error::Error + Send + Sync>),
    #[error("the database's address cannot be read: {0}")]
    Address(String),
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

impl From<postgres::Error> for MetaError {
    fn from(source: postgres::Error) -> Self {
        match source.code() {
            // Without a code it is the connection that failed.
            None => Self::Lost(Arc::new(source)),
            Some(&SqlState::DISK_FULL) => Self::NoSpace,
            // The server stops, starts, fails over, or has cut off whoever held a transaction for too long.
            Some(code) if LOSSES.contains(&&code.code()[..2]) || *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                Self::Lost(Arc::new(source))
            }
            Some(_) => Self::Engine { action: "run statement", source: Arc::new(source) },
        }
    }
}

/// Classes of codes by which the server says that it, not the statement, is the matter: connection exceptions,
/// insufficient resources, operator intervention (PostgreSQL, appendix A).
const LOSSES: [&str; 3] = ["08", "53", "57"];

impl From<std::io::Error> for MetaError {
    fn from(source: std::io::Error) -> Self {
        Self::Io(Arc::new(source))
    }
}
