//! What is held, read in pages of bounded cost.

use kogge_types::{Digest, RepositoryName, RepositoryPattern};

use crate::error::Result;
use crate::repository::{RegistryKey, RepositoryKey};
use crate::sql::{LAST_TEXT, Snapshot, or_least, values};

/// Links of a blob that are looked at to find one within a pattern.
const LINKS_MAX: usize = 10_000;

/// A repository's link to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBlob {
    pub digest: Digest,
    pub repository: RepositoryKey,
    pub registry: RegistryKey,
    pub name: RepositoryName,
    /// The repository was deleted and is being reclaimed.
    pub dead: bool,
    /// Bytes.
    pub size: u64,
}

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldManifest {
    pub row: i64,
    pub registry: RegistryKey,
    pub name: RepositoryName,
    /// The repository was deleted and is being reclaimed.
    pub dead: bool,
    /// Bytes.
    pub size: u64,
}

impl Snapshot<'_> {
    /// At most `limit` links of all repositories after `after`, those of one blob together, by digest.
    pub fn held_blobs(&self, after: Option<(&Digest, RepositoryKey)>, limit: usize) -> Result<Vec<HeldBlob>> {
        let (digest, repository) = after.unzip();
        self.query(
            "SELECT l.digest, l.repository_id, r.registry_id, r.name, r.dead, b.size
             FROM links l JOIN repositories r ON r.id = l.repository_id JOIN blobs b ON b.digest = l.digest
             WHERE (l.digest, l.repository_id) > (?1, ?2)
             ORDER BY l.digest, l.repository_id LIMIT ?3",
            values![or_least(digest), repository.map_or(0, |repository| repository.0), limit],
            |row| {
                Ok(HeldBlob {
                    digest: row.digest(0)?,
                    repository: RepositoryKey(row.int(1)?),
                    registry: RegistryKey(row.int(2)?),
                    name: row.parsed(3, "repository name")?,
                    dead: row.flag(4)?,
                    size: row.size(5)?,
                })
            },
        )
    }

    /// At most `limit` manifests of all repositories after the row `after`.
    pub fn held_manifests(&self, after: i64, limit: usize) -> Result<Vec<HeldManifest>> {
        self.query(
            "SELECT m.id, r.registry_id, r.name, r.dead, octet_length(m.body)
             FROM manifests m JOIN repositories r ON r.id = m.repository_id
             WHERE m.id > ?1 ORDER BY m.id LIMIT ?2",
            values![after, limit],
            |row| {
                Ok(HeldManifest {
                    row: row.int(0)?,
                    registry: RegistryKey(row.int(1)?),
                    name: row.parsed(2, "repository name")?,
                    dead: row.flag(3)?,
                    size: row.size(4)?,
                })
            },
        )
    }

    /// Whether a repository that `pattern` names links the blob. False when there are so many other links that it was
    /// not found.
    pub fn is_held_within(&self, registry: RegistryKey, pattern: &RepositoryPattern, digest: &Digest) -> Result<bool> {
        let (from, to) = pattern.range();
        self.exists(
            "SELECT 1 FROM (SELECT repository_id FROM links WHERE digest = ?1 LIMIT ?5) l
             JOIN repositories r ON r.id = l.repository_id
             WHERE r.registry_id = ?2 AND r.dead = 0 AND r.name >= ?3 AND r.name < ?4 LIMIT 1",
            values![digest, registry.0, from.as_str(), to.as_deref().unwrap_or(LAST_TEXT), LINKS_MAX],
        )
    }
}
