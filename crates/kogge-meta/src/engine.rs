//! The engines, behind one face.

use std::path::Path;
use std::sync::Arc;

use crate::change::Commit;
use crate::error::{MetaError, Result};
use crate::postgres::Postgres;
use crate::sql::{Snapshot, Tx};
use crate::sqlite::Sqlite;

/// Where one kind of metadata lies.
#[derive(Debug)]
pub(crate) enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Engine {
    /// Runs `read` on one state of the data, however many statements it runs.
    pub(crate) async fn read<T: Send + 'static>(&self, read: impl FnOnce(&Snapshot<'_>) -> T + Send + 'static) -> T {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(read),
            Self::Postgres(postgres) => postgres.read(false, read).await,
        }
    }

    /// As [`Engine::read`], for a single statement, which needs no transaction around it.
    pub(crate) async fn read_once<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot<'_>) -> T + Send + 'static,
    ) -> T {
        match self {
            Self::Sqlite(sqlite) => sqlite.read_once(read),
            Self::Postgres(postgres) => postgres.read(true, read).await,
        }
    }

    /// Runs `write` within the next transaction, and answers when that is durable.
    pub(crate) async fn write<T, E, F>(&self, write: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
    {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(write).await,
            Self::Postgres(postgres) => postgres.write(write).await,
        }
    }

    /// Writes a consistent copy of the whole state to `path`, while reads and writes go on.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.copy_to(path),
            Self::Postgres(_) => {
                let advice = "PostgreSQL's state is backed up with its own tools, such as pg_dump";
                Err(MetaError::Io(Arc::new(std::io::Error::new(std::io::ErrorKind::Unsupported, advice))))
            }
        }
    }
}
