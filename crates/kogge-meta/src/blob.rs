//! Blob records, and the links that give repositories their right to them.

use kogge_types::{CopyId, Digest, RegistryName, RepositoryName};

use crate::attributes::Attributes;
use crate::change::{Change, Event, Touched};
use crate::error::Result;
use crate::garbage::Condemned;
use crate::repository::{Registry, RegistryKey, RepositoryKey};
use crate::sql::{Snapshot, Tx, or_least, values};

/// A blob as a repository may serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedBlob {
    /// Bytes.
    pub size: u64,
    pub copy: CopyId,
    /// When the link ends unless a manifest comes to name the blob; `None` while one does.
    pub expires_at_us: Option<i64>,
    /// The repository's.
    pub attributes: Attributes,
}

/// A stored blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRecord {
    pub digest: Digest,
    pub size: u64,
    pub copy: CopyId,
    pub scrubbed_at_us: i64,
    /// When the blob is collected unless it is linked again; `None` while it has links.
    pub expires_at_us: Option<i64>,
}

/// Why a blob is kept: one link of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub registry: RegistryName,
    pub repository: RepositoryName,
    /// The repository was deleted and is being reclaimed.
    pub dead: bool,
    pub expires_at_us: Option<i64>,
    /// Manifests of the repository that name the blob.
    pub manifests: Vec<Digest>,
}

impl Snapshot<'_> {
    /// The blob that a repository may serve under `digest`.
    pub fn link(
        &self,
        registry: RegistryKey,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>> {
        self.query_first(
            "SELECT b.size, b.copy, l.expires_at, r.attributes
             FROM repositories r
             JOIN links l ON l.repository_id = r.id AND l.digest = ?3
             JOIN blobs b ON b.digest = l.digest
             WHERE r.registry_id = ?1 AND r.name = ?2 AND r.dead = 0",
            values![registry.0, repository.as_str(), digest],
            |row| {
                Ok(LinkedBlob {
                    size: row.size(0)?,
                    copy: row.id(1, "copy")?,
                    expires_at_us: row.opt_int(2)?,
                    attributes: Attributes::from_bits(row.int(3)?),
                })
            },
        )
    }

    /// Whether the repository itself links the blob, and the blob is there.
    pub fn is_linked(&self, repository: RepositoryKey, digest: &Digest) -> Result<bool> {
        self.exists(
            "SELECT 1 FROM links l JOIN blobs b ON b.digest = l.digest WHERE l.repository_id = ?1 AND l.digest = ?2",
            values![repository.0, digest],
        )
    }

    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobRecord>> {
        self.query_first(
            "SELECT digest, size, copy, scrubbed_at, expires_at FROM blobs WHERE digest = ?1",
            values![digest],
            read_blob,
        )
    }

    /// At most `limit` blobs, those that were verified longest ago first, and before `before_us`.
    pub fn blobs_to_scrub(&self, before_us: i64, limit: usize) -> Result<Vec<BlobRecord>> {
        self.query(
            "SELECT digest, size, copy, scrubbed_at, expires_at FROM blobs WHERE scrubbed_at < ?1
             ORDER BY scrubbed_at LIMIT ?2",
            values![before_us, limit],
            read_blob,
        )
    }

    /// At most `limit` blobs after `after`, by digest.
    pub fn blobs_after(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<BlobRecord>> {
        self.query(
            "SELECT digest, size, copy, scrubbed_at, expires_at FROM blobs WHERE digest > ?1
             ORDER BY digest LIMIT ?2",
            values![or_least(after), limit],
            read_blob,
        )
    }

    /// The repositories of a registry that link the blob, at most `limit`.
    pub fn linking_repositories(
        &self,
        registry: RegistryKey,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<RepositoryName>> {
        self.query(
            "SELECT r.name FROM links l JOIN repositories r ON r.id = l.repository_id
             WHERE l.digest = ?2 AND r.registry_id = ?1 AND r.dead = 0 LIMIT ?3",
            values![registry.0, digest, limit],
            |row| row.parsed(0, "repository name"),
        )
    }

    /// Whether a manifest of the repository names the blob.
    pub fn is_named(&self, repository: RepositoryKey, digest: &Digest) -> Result<bool> {
        self.exists(
            "SELECT 1 FROM manifest_blobs b
             JOIN manifests m ON m.repository_id = b.repository_id AND m.digest = b.manifest
             WHERE b.repository_id = ?1 AND b.blob = ?2 LIMIT 1",
            values![repository.0, digest],
        )
    }

    /// Whether a stored copy is on record: served, condemned or found corrupt.
    pub fn is_copy_known(&self, digest: &Digest, copy: &CopyId) -> Result<bool> {
        self.exists(
            "SELECT 1 FROM blobs WHERE digest = ?1 AND copy = ?2
             UNION ALL SELECT 1 FROM condemned WHERE copy = ?2
             UNION ALL SELECT 1 FROM corrupt WHERE copy = ?2",
            values![digest, copy],
        )
    }

    /// At most `limit` copies that were found corrupt, after `after`, by digest.
    pub fn corrupt_copies(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Condemned>> {
        self.query(
            "SELECT digest, copy, size FROM corrupt WHERE digest > ?1 ORDER BY digest LIMIT ?2",
            values![or_least(after), limit],
            |row| Ok(Condemned { digest: row.digest(0)?, copy: row.id(1, "copy")?, size: row.size(2)? }),
        )
    }

    /// Every link of a blob, at most `limit`, each with the manifests behind it.
    pub fn holders(&self, digest: &Digest, limit: usize) -> Result<Vec<Holder>> {
        let links = self.query(
            "SELECT l.repository_id, g.name, r.name, r.dead, l.expires_at
             FROM links l JOIN repositories r ON r.id = l.repository_id JOIN registries g ON g.id = r.registry_id
             WHERE l.digest = ?1 ORDER BY g.name, r.name LIMIT ?2",
            values![digest, limit],
            |row| {
                Ok((
                    row.int(0)?,
                    Holder {
                        registry: row.parsed(1, "registry name")?,
                        repository: row.parsed(2, "repository name")?,
                        dead: row.flag(3)?,
                        expires_at_us: row.opt_int(4)?,
                        manifests: Vec::new(),
                    },
                ))
            },
        )?;
        links
            .into_iter()
            .map(|(repository, mut holder)| {
                holder.manifests = self.query(
                    "SELECT b.manifest FROM manifest_blobs b
                     JOIN manifests m ON m.repository_id = b.repository_id AND m.digest = b.manifest
                     WHERE b.repository_id = ?1 AND b.blob = ?2 LIMIT ?3",
                    values![repository, digest, limit],
                    |row| row.digest(0),
                )?;
                Ok(holder)
            })
            .collect()
    }
}

fn read_blob(row: &crate::sql::Row<'_>) -> Result<BlobRecord> {
    Ok(BlobRecord {
        digest: row.digest(0)?,
        size: row.size(1)?,
        copy: row.id(2, "copy")?,
        scrubbed_at_us: row.int(3)?,
        expires_at_us: row.opt_int(4)?,
    })
}

impl Tx<'_> {
    /// Records a copy that is durable in the store. When the blob has one already, that one stays and is returned;
    /// the new copy is then condemned.
    pub fn put_blob(&mut self, digest: &Digest, size: u64, copy: CopyId, expires_at_us: i64) -> Result<CopyId> {
        if let Some(present) = self.blob(digest)? {
            if present.copy != copy {
                self.condemn(digest, copy, size)?;
            }
            return Ok(present.copy);
        }
        self.execute(
            "INSERT INTO blobs (digest, size, copy, created_at, scrubbed_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
            values![digest, size, &copy, self.now_us(), expires_at_us],
        )?;
        if self.execute("DELETE FROM corrupt WHERE digest = ?1", values![digest])? > 0 {
            // Its links outlived the corrupt copy: the new one serves them.
            self.touched.push(Touched::Everything);
        }
        Ok(copy)
    }

    /// Gives the repository its right to the blob until `expires_at_us`, or longer where it has it longer.
    pub fn link_blob(
        &mut self,
        registry: RegistryKey,
        repository: RepositoryKey,
        name: &RepositoryName,
        digest: &Digest,
        expires_at_us: i64,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO links (repository_id, digest, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (repository_id, digest) DO UPDATE SET expires_at =
                 CASE WHEN links.expires_at < excluded.expires_at THEN excluded.expires_at ELSE links.expires_at END",
            values![repository.0, digest, expires_at_us],
        )?;
        self.execute("UPDATE blobs SET expires_at = NULL WHERE digest = ?1", values![digest])?;
        self.touch_link(registry, name, digest);
        Ok(())
    }

    /// Pushes the end of a link out, unless it ends later anyhow or not at all.
    pub fn extend_link(
        &mut self,
        registry: RegistryKey,
        name: &RepositoryName,
        digest: &Digest,
        expires_at_us: i64,
    ) -> Result<bool> {
        let extended = self.execute(
            "UPDATE links SET expires_at = ?4
             WHERE digest = ?3 AND expires_at < ?4 AND repository_id =
                 (SELECT id FROM repositories WHERE registry_id = ?1 AND name = ?2 AND dead = 0)",
            values![registry.0, name.as_str(), digest, expires_at_us],
        )?;
        self.touch_link(registry, name, digest);
        Ok(extended > 0)
    }

    /// Notes that a manifest names a blob, whose link therefore has no end.
    pub(crate) fn hold_link(
        &mut self,
        registry: RegistryKey,
        repository: RepositoryKey,
        name: &RepositoryName,
        manifest: &Digest,
        blob: &Digest,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO manifest_blobs (repository_id, manifest, blob) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            values![repository.0, manifest, blob],
        )?;
        let held = self.execute(
            "UPDATE links SET expires_at = NULL WHERE repository_id = ?1 AND digest = ?2 AND expires_at IS NOT NULL",
            values![repository.0, blob],
        )?;
        if held > 0 {
            self.touch_link(registry, name, blob);
        }
        Ok(())
    }

    /// Takes the repository's right to a blob away at once. `None` when it had none.
    pub fn unlink_blob(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Change>> {
        let unlinked =
            self.execute("DELETE FROM links WHERE repository_id = ?1 AND digest = ?2", values![repository.0, digest])?;
        if unlinked == 0 {
            return Ok(None);
        }
        self.expire_unlinked(digest)?;
        self.touch_link(registry.key, name, digest);
        let event = Event::BlobUnlinked { registry: registry.id, repository: name.clone(), digest: *digest };
        Ok(Some(Change { stamp: self.next_stamp(), event }))
    }

    /// Takes a corrupt copy out of service. False when another copy serves already.
    pub fn quarantine_blob(&mut self, digest: &Digest, copy: &CopyId, size: u64) -> Result<bool> {
        let taken = self.execute("DELETE FROM blobs WHERE digest = ?1 AND copy = ?2", values![digest, copy])?;
        if taken == 0 {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO corrupt (digest, copy, size, found_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (digest) DO UPDATE SET copy = excluded.copy, found_at = excluded.found_at",
            values![digest, copy, size, self.now_us()],
        )?;
        self.touched.push(Touched::Everything);
        Ok(true)
    }

    /// Puts a copy back into service that was found corrupt and is sound after all. False when another one serves.
    pub fn reinstate_blob(&mut self, sound: &Condemned) -> Result<bool> {
        let Condemned { digest, copy, size } = sound;
        self.execute("DELETE FROM corrupt WHERE digest = ?1 AND copy = ?2", values![digest, copy])?;
        if self.blob(digest)?.is_some() {
            self.condemn(digest, *copy, *size)?;
            return Ok(false);
        }
        self.execute(
            "INSERT INTO blobs (digest, size, copy, created_at, scrubbed_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?4, NULL)",
            values![digest, *size, copy, self.now_us()],
        )?;
        self.expire_unlinked(digest)?;
        self.touched.push(Touched::Everything);
        Ok(true)
    }

    /// Notes that a stored copy was read and found right.
    pub fn mark_scrubbed(&mut self, digest: &Digest, copy: &CopyId) -> Result<()> {
        self.execute(
            "UPDATE blobs SET scrubbed_at = ?3 WHERE digest = ?1 AND copy = ?2",
            values![digest, copy, self.now_us()],
        )?;
        Ok(())
    }

    fn touch_link(&mut self, registry: RegistryKey, repository: &RepositoryName, digest: &Digest) {
        self.touched.push(Touched::Link { registry, repository: repository.clone(), digest: *digest });
    }
}
