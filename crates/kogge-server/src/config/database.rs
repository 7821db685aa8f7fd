//! `[database]`: where the metadata lies, when not in the data directory.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::secret::{Secret, Sources};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawDatabase {
    pub(super) url: Option<String>,
    pub(super) url_file: Option<PathBuf>,
}

/// Where the metadata lies, when not in the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Database {
    /// A PostgreSQL database, which any number of nodes share: `postgres://user:password@host/database`, from the file,
    /// from `url-file` or from `KOGGE_DATABASE_URL`. Default none: SQLite in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
}

impl Database {
    pub(super) fn check(raw: RawDatabase, problems: &mut Problems) -> Self {
        let sources = Sources {
            key: "database.url",
            value: raw.url,
            file: raw.url_file.as_deref(),
            variable: "KOGGE_DATABASE_URL",
            // The variable has the form of every key's own, and has been read with them.
            environment: None,
        };
        let url = sources.pick(problems);
        if url.as_ref().is_some_and(|url| !is_postgres(url.expose())) {
            problems.add("database.url", "is no address of a database: write postgres://user:password@host/database");
        }
        Self { url }
    }
}

fn is_postgres(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}
