//! What nothing names any more: links that end, blobs without links, copies that wait to be removed.
//!
//! Each step takes a bounded number of rows and costs as much as the garbage it finds. A copy is fenced by moving it
//! from `blobs` to `condemned` in one transaction; from then on its digest is unknown, and a push of the same
//! content makes another copy at another location.

use kogge_types::{CopyId, Digest, RegistryId, RepositoryName};

use crate::change::Touched;
use crate::error::Result;
use crate::repository::{RegistryKey, RepositoryKey};
use crate::sql::{Snapshot, Tx, values};

/// A fenced copy, to be removed from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condemned {
    pub digest: Digest,
    pub copy: CopyId,
    pub size: u64,
}

/// How much garbage there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct GarbageCount {
    /// Links whose grace is over.
    pub links_due: u64,
    /// Links that will end unless a manifest comes to name their blob.
    pub links_waiting: u64,
    /// Blobs that nothing links, or only links whose grace is over.
    pub blobs_due: u64,
    /// Their bytes.
    pub bytes_due: u64,
    /// Fenced copies whose bytes are not removed yet.
    pub condemned: u64,
    /// Their bytes.
    pub bytes_condemned: u64,
}

impl Snapshot<'_> {
    /// Counts what a collection at `now_us` would find.
    pub fn garbage(&self, now_us: i64) -> Result<GarbageCount> {
        let count = |sql: &str, values: &[_]| {
            Ok::<_, crate::MetaError>(
                self.query_first(sql, values, |row| Ok((row.size(0)?, row.size(1)?)))?.unwrap_or_default(),
            )
        };
        let (links_due, links_waiting) = count(
            "SELECT count(CASE WHEN expires_at <= ?1 THEN 1 END), count(CASE WHEN expires_at > ?1 THEN 1 END)
             FROM links WHERE expires_at IS NOT NULL",
            values![now_us],
        )?;
        let (blobs_due, bytes_due) = count(
            "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM blobs
             WHERE (expires_at IS NOT NULL AND expires_at <= ?1)
                OR (digest IN (SELECT digest FROM links WHERE expires_at IS NOT NULL AND expires_at <= ?1)
                    AND NOT EXISTS (SELECT 1 FROM links l WHERE l.digest = blobs.digest
                                    AND (l.expires_at IS NULL OR l.expires_at > ?1)))",
            values![now_us],
        )?;
        let (condemned, bytes_condemned) =
            count("SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM condemned", &[])?;
        Ok(GarbageCount { links_due, links_waiting, blobs_due, bytes_due, condemned, bytes_condemned })
    }

    /// At most `limit` copies that were condemned before `before_us`.
    pub fn condemned(&self, before_us: i64, limit: usize) -> Result<Vec<Condemned>> {
        self.query(
            "SELECT digest, copy, size FROM condemned WHERE at <= ?1 ORDER BY at LIMIT ?2",
            values![before_us, limit],
            |row| Ok(Condemned { digest: row.digest(0)?, copy: row.id(1, "copy")?, size: row.size(2)? }),
        )
    }

    /// Every repository of this name, deleted ones that are still being reclaimed among them.
    fn repository_rows(
        &self,
        registry: &RegistryId,
        name: &RepositoryName,
    ) -> Result<Vec<(RegistryKey, RepositoryKey)>> {
        self.query(
            "SELECT r.registry_id, r.id FROM repositories r
             WHERE r.registry_id = (SELECT id FROM registries WHERE registry = ?1) AND r.name = ?2 AND r.dead = 0
             UNION ALL
             SELECT r.registry_id, r.id FROM repositories r
             WHERE r.registry_id = (SELECT id FROM registries WHERE registry = ?1) AND r.name = ?2 AND r.dead = 1",
            values![registry, name.as_str()],
            |row| Ok((RegistryKey(row.int(0)?), RepositoryKey(row.int(1)?))),
        )
    }
}

impl Tx<'_> {
    /// After a manifest was deleted: the links of its blobs end at `expires_at_us`, unless another manifest of the
    /// repository names the blob, or the manifest is there again.
    pub fn release_manifest(
        &mut self,
        registry: &RegistryId,
        name: &RepositoryName,
        digest: &Digest,
        expires_at_us: i64,
    ) -> Result<()> {
        for (registry, repository) in self.repository_rows(registry, name)? {
            if self.manifest_attributes(repository, digest)?.is_some() {
                continue;
            }
            let blobs = self.query(
                "DELETE FROM manifest_blobs WHERE repository_id = ?1 AND manifest = ?2 RETURNING blob",
                values![repository.0, digest],
                |row| row.digest(0),
            )?;
            for blob in blobs {
                self.execute(
                    "UPDATE links SET expires_at = ?3
                     WHERE repository_id = ?1 AND digest = ?2 AND expires_at IS NULL AND NOT EXISTS
                         (SELECT 1 FROM manifest_blobs b WHERE b.repository_id = ?1 AND b.blob = ?2)",
                    values![repository.0, &blob, expires_at_us],
                )?;
                self.touched.push(Touched::Link { registry, repository: name.clone(), digest: blob });
            }
        }
        Ok(())
    }

    /// Takes at most `limit` rows of each kind out of deleted repositories of this name. False when none is left.
    pub fn reclaim_dead_repository(
        &mut self,
        registry: &RegistryId,
        name: &RepositoryName,
        limit: usize,
    ) -> Result<bool> {
        let dead = self.query_first(
            "SELECT r.id FROM registries g JOIN repositories r ON r.registry_id = g.id
             WHERE g.registry = ?1 AND r.name = ?2 AND r.dead = 1 LIMIT 1",
            values![registry, name.as_str()],
            |row| row.int(0),
        )?;
        match dead {
            Some(dead) => self.reclaim(RepositoryKey(dead), limit).map(|()| true),
            None => Ok(false),
        }
    }

    /// As [`Tx::reclaim_dead_repository`], of any repository of a deleted registry. False when it holds none.
    pub fn reclaim_deleted_registry(&mut self, registry: &RegistryId, limit: usize) -> Result<bool> {
        // An index knows either those that are dead or those that are not.
        for dead in [1, 0] {
            let left = self.query_first(
                &format!(
                    "SELECT r.id FROM registries g JOIN repositories r ON r.registry_id = g.id
                     WHERE g.registry = ?1 AND g.deleted_at IS NOT NULL AND r.dead = {dead} LIMIT 1"
                ),
                values![registry],
                |row| row.int(0),
            )?;
            if let Some(left) = left {
                self.execute("UPDATE repositories SET dead = 1 WHERE id = ?1 AND dead = 0", values![left])?;
                self.reclaim(RepositoryKey(left), limit)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes at most `limit` rows of each kind out of a dead repository, and its own row when none is left.
    fn reclaim(&mut self, dead: RepositoryKey, limit: usize) -> Result<()> {
        let dead = dead.0;
        let mut left = self.execute(
            "DELETE FROM tags WHERE repository_id = ?1 AND name IN
                 (SELECT name FROM tags WHERE repository_id = ?1 LIMIT ?2)",
            values![dead, limit],
        )?;
        left += self.execute(
            "DELETE FROM manifests WHERE id IN (SELECT id FROM manifests WHERE repository_id = ?1 LIMIT ?2)",
            values![dead, limit],
        )?;
        left += self.execute(
            "DELETE FROM manifest_blobs WHERE repository_id = ?1 AND (manifest, blob) IN
                 (SELECT manifest, blob FROM manifest_blobs WHERE repository_id = ?1 LIMIT ?2)",
            values![dead, limit],
        )?;
        let unlinked = self.query(
            "DELETE FROM links WHERE repository_id = ?1 AND digest IN
                 (SELECT digest FROM links WHERE repository_id = ?1 LIMIT ?2) RETURNING digest",
            values![dead, limit],
            |row| row.digest(0),
        )?;
        for blob in &unlinked {
            self.expire_unlinked(blob)?;
        }
        if left + unlinked.len() == 0 {
            self.execute("DELETE FROM repositories WHERE id = ?1", values![dead])?;
        }
        Ok(())
    }

    /// Ends at most `limit` links whose grace is over, each unless a manifest names its blob after all. Says how
    /// many it looked at.
    pub fn end_links(&mut self, limit: usize) -> Result<usize> {
        let due = self.query(
            "SELECT l.repository_id, r.registry_id, r.name, l.digest
             FROM links l JOIN repositories r ON r.id = l.repository_id
             WHERE l.expires_at IS NOT NULL AND l.expires_at <= ?1 ORDER BY l.expires_at LIMIT ?2",
            values![self.now_us(), limit],
            |row| {
                let registry = RegistryKey(row.int(1)?);
                let name: RepositoryName = row.parsed(2, "repository name")?;
                Ok((RepositoryKey(row.int(0)?), registry, name, row.digest(3)?))
            },
        )?;
        for (repository, registry, name, digest) in &due {
            if self.is_named(*repository, digest)? {
                self.execute(
                    "UPDATE links SET expires_at = NULL WHERE repository_id = ?1 AND digest = ?2",
                    values![repository.0, digest],
                )?;
            } else {
                self.execute(
                    "DELETE FROM links WHERE repository_id = ?1 AND digest = ?2",
                    values![repository.0, digest],
                )?;
                self.expire_unlinked(digest)?;
                self.drop_empty_repository(*repository)?;
            }
            self.touched.push(Touched::Link { registry: *registry, repository: name.clone(), digest: *digest });
        }
        Ok(due.len())
    }

    /// Lets a blob end now when nothing links it.
    pub(crate) fn expire_unlinked(&mut self, digest: &Digest) -> Result<()> {
        self.execute(
            "UPDATE blobs SET expires_at = ?2
             WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM links WHERE links.digest = ?1)",
            values![digest, self.now_us()],
        )?;
        Ok(())
    }

    fn drop_empty_repository(&mut self, repository: RepositoryKey) -> Result<()> {
        self.execute(
            "DELETE FROM repositories WHERE id = ?1 AND manifests = 0
               AND NOT EXISTS (SELECT 1 FROM links WHERE repository_id = ?1)
               AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE repository_id = ?1)",
            values![repository.0],
        )?;
        Ok(())
    }

    /// Fences at most `limit` blobs that have ended and that nothing links: they are unknown from now on.
    pub fn fence_blobs(&mut self, limit: usize) -> Result<usize> {
        let due = self.query(
            "SELECT digest, copy, size FROM blobs
             WHERE expires_at IS NOT NULL AND expires_at <= ?1
               AND NOT EXISTS (SELECT 1 FROM links WHERE links.digest = blobs.digest)
             ORDER BY expires_at LIMIT ?2",
            values![self.now_us(), limit],
            |row| Ok(Condemned { digest: row.digest(0)?, copy: row.id(1, "copy")?, size: row.size(2)? }),
        )?;
        for Condemned { digest, copy, size } in &due {
            self.execute("DELETE FROM blobs WHERE digest = ?1", values![digest])?;
            self.condemn(digest, *copy, *size)?;
        }
        Ok(due.len())
    }

    /// Notes that the bytes of a copy are to be removed.
    pub fn condemn(&mut self, digest: &Digest, copy: CopyId, size: u64) -> Result<()> {
        self.execute(
            "INSERT INTO condemned (copy, digest, size, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            values![&copy, digest, size, self.now_us()],
        )?;
        Ok(())
    }

    /// Forgets a condemned copy whose bytes are gone.
    pub fn forget_condemned(&mut self, copy: &CopyId) -> Result<()> {
        self.execute("DELETE FROM condemned WHERE copy = ?1", values![copy])?;
        Ok(())
    }
}
