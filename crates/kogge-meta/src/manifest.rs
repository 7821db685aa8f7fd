//! Manifests of a repository: their bytes, what they name and what refers to them.

use bytes::Bytes;
use kogge_types::{Digest, Manifest, Reference, RepositoryName, limits};

use crate::attributes::Attributes;
use crate::change::{Change, Event, Item, Touched};
use crate::error::Result;
use crate::repository::{Registry, RegistryKey, RepositoryKey};
use crate::sql::{OWN_ORIGIN, Row, Snapshot, Tx, values};

/// A manifest as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    /// What holds for the manifest as it was named: its own attributes, its repository's, and the tag's when it was
    /// found by tag.
    pub attributes: Attributes,
    /// The bytes as they were sent.
    pub body: Bytes,
}

/// A manifest to be stored.
#[derive(Debug, Clone)]
pub struct NewManifest {
    pub digest: Digest,
    pub manifest: Manifest,
    pub body: Bytes,
    /// The descriptor that the referrers of its subject list, as JSON; with a subject only.
    pub referrer: Option<String>,
}

/// What there is to say of a manifest in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDetail {
    pub digest: Digest,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub config_media_type: Option<String>,
    pub subject: Option<Digest>,
    /// Bytes of the manifest and of the blobs that it names.
    pub size: u64,
    pub attributes: Attributes,
    pub created_at_us: i64,
    pub updated_at_us: i64,
    pub tags: Vec<String>,
}

/// One page of referrers: descriptors as JSON, in the order of their digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferrerPage {
    pub descriptors: Vec<String>,
    /// The last digest of this page, when there is another page behind it.
    pub next: Option<Digest>,
}

impl Snapshot<'_> {
    /// The manifest that `reference` names, with its bytes.
    pub fn manifest(
        &self,
        registry: RegistryKey,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>> {
        match reference {
            Reference::Tag(tag) => self.query_first(
                "SELECT m.digest, m.media_type, r.attributes & t.attributes & m.attributes, m.body
                 FROM repositories r
                 JOIN tags t ON t.repository_id = r.id AND t.name = ?3
                 JOIN manifests m ON m.repository_id = r.id AND m.digest = t.digest
                 WHERE r.registry_id = ?1 AND r.name = ?2 AND r.dead = 0",
                values![registry.0, repository.as_str(), tag.as_str()],
                read_stored,
            ),
            Reference::Digest(digest) => self.query_first(
                "SELECT m.digest, m.media_type, r.attributes & m.attributes, m.body
                 FROM repositories r
                 JOIN manifests m ON m.repository_id = r.id AND m.digest = ?3
                 WHERE r.registry_id = ?1 AND r.name = ?2 AND r.dead = 0",
                values![registry.0, repository.as_str(), digest],
                read_stored,
            ),
        }
    }

    /// The attributes of a manifest itself; `None` when it is not in the repository.
    pub fn manifest_attributes(&self, repository: RepositoryKey, digest: &Digest) -> Result<Option<Attributes>> {
        self.query_first(
            "SELECT attributes FROM manifests WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, digest],
            |row| Ok(Attributes::from_bits(row.int(0)?)),
        )
    }

    /// At most `limit` manifests of all repositories after the row `after`: row, digest and bytes.
    pub fn manifest_bodies(&self, after: i64, limit: usize) -> Result<Vec<(i64, Digest, Vec<u8>)>> {
        self.query(
            "SELECT id, digest, body FROM manifests WHERE id > ?1 ORDER BY id LIMIT ?2",
            values![after, limit],
            |row| Ok((row.int(0)?, row.digest(1)?, row.bytes(2)?)),
        )
    }

    /// At most `limit` manifests after `after`, by digest.
    pub fn manifests(
        &self,
        repository: RepositoryKey,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<ManifestDetail>> {
        let mut found = self.query(
            "SELECT digest, media_type, artifact_type, config_media_type, subject, content_bytes + length(body),
                    attributes, created_at, updated_at
             FROM manifests WHERE repository_id = ?1 AND digest > coalesce(?2, x'') ORDER BY digest LIMIT ?3",
            values![repository.0, after, limit],
            |row| {
                Ok(ManifestDetail {
                    digest: row.digest(0)?,
                    media_type: row.text(1)?,
                    artifact_type: row.opt_text(2)?,
                    config_media_type: row.opt_text(3)?,
                    subject: row.opt_digest(4)?,
                    size: row.size(5)?,
                    attributes: Attributes::from_bits(row.int(6)?),
                    created_at_us: row.int(7)?,
                    updated_at_us: row.int(8)?,
                    tags: Vec::new(),
                })
            },
        )?;
        for manifest in &mut found {
            manifest.tags = self.query(
                "SELECT name FROM tags WHERE repository_id = ?1 AND digest = ?2 ORDER BY name",
                values![repository.0, &manifest.digest],
                |row| row.text(0),
            )?;
        }
        Ok(found)
    }

    /// At most `limit` manifests whose subject is `subject`, after `after`, of one artifact type or of all; fewer where
    /// their descriptors are large.
    pub fn referrers(
        &self,
        repository: RepositoryKey,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<ReferrerPage> {
        let rows = self.query(
            "SELECT digest, octet_length(referrer) FROM manifests
             WHERE repository_id = ?1 AND subject = ?2 AND digest > coalesce(?3, x'')
               AND (?4 IS NULL OR artifact_type = ?4)
             ORDER BY digest LIMIT ?5",
            values![repository.0, subject, after, artifact_type, limit + 1],
            |row| Ok((row.digest(0)?, row.opt_int(1)?.unwrap_or(0))),
        )?;
        // The page is an index: it is no larger than one may be, but for a single descriptor.
        let mut page = ReferrerPage::default();
        let mut bytes = 0;
        for (digest, length) in rows {
            bytes += usize::try_from(length).unwrap_or(usize::MAX);
            if page.descriptors.len() == limit || (bytes > limits::MANIFEST_BYTES_MAX && page.next.is_some()) {
                return Ok(page);
            }
            let descriptor = self.query_first(
                "SELECT referrer FROM manifests WHERE repository_id = ?1 AND digest = ?2",
                values![repository.0, &digest],
                |row| row.opt_text(0),
            )?;
            page.descriptors.extend(descriptor.flatten());
            page.next = Some(digest);
        }
        page.next = None;
        Ok(page)
    }

    /// At most `limit` manifests whose subject is `subject`, by digest.
    pub fn referrer_digests(&self, repository: RepositoryKey, subject: &Digest, limit: usize) -> Result<Vec<Digest>> {
        self.query(
            "SELECT digest FROM manifests WHERE repository_id = ?1 AND subject = ?2 ORDER BY digest LIMIT ?3",
            values![repository.0, subject, limit],
            |row| row.digest(0),
        )
    }
}

fn read_stored(row: &Row<'_>) -> Result<StoredManifest> {
    Ok(StoredManifest {
        digest: row.digest(0)?,
        media_type: row.text(1)?,
        attributes: Attributes::from_bits(row.int(2)?),
        body: row.bytes(3)?.into(),
    })
}

impl Tx<'_> {
    /// Stores a manifest, or asserts again one that is there. The blobs that it names, as far as they are linked,
    /// are held from now on.
    pub fn put_manifest(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        new: &NewManifest,
    ) -> Result<Change> {
        let stamp = self.next_stamp();
        let manifest = &new.manifest;
        let again = self.execute(
            "UPDATE manifests SET stamp = ?3, origin = ?4, updated_at = ?5 WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, &new.digest, stamp, OWN_ORIGIN, self.now_us()],
        )?;
        if again == 0 {
            self.execute(
                "INSERT INTO manifests (repository_id, digest, media_type, artifact_type, config_media_type, subject,
                     referrer, content_bytes, attributes, created_at, updated_at, stamp, origin, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13)",
                values![
                    repository.0,
                    &new.digest,
                    manifest.media_type.as_str(),
                    manifest.artifact_type.as_deref(),
                    manifest.config_media_type.as_deref(),
                    manifest.subject.as_ref().map(|subject| &subject.digest),
                    new.referrer.as_deref(),
                    manifest.content_bytes(),
                    Attributes::OPEN.to_bits(),
                    self.now_us(),
                    stamp,
                    OWN_ORIGIN,
                    &new.body[..],
                ],
            )?;
            self.count_manifests(repository, 1)?;
            self.unbury(registry.key, name, &new.digest.to_string())?;
        }
        for blob in manifest.blobs.iter().chain(&manifest.nondistributable) {
            self.hold_link(registry.key, repository, name, &new.digest, &blob.digest)?;
        }
        self.touch_manifest(registry.key, name, &new.digest);
        let event = Event::ManifestPut { registry: registry.id, repository: name.clone(), digest: new.digest };
        Ok(Change { stamp, event })
    }

    /// Deletes a manifest and its tags, not what refers to it. Empty when it was not there. The links of its blobs
    /// are let go by whoever follows the journal.
    pub fn delete_manifest(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Change>> {
        let deleted = self
            .execute("DELETE FROM manifests WHERE repository_id = ?1 AND digest = ?2", values![repository.0, digest])?;
        if deleted == 0 {
            return Ok(Vec::new());
        }
        let mut changes = Vec::new();
        for tag in self.tags_of(repository, digest)? {
            changes.extend(self.delete_tag(registry, repository, name, &tag)?);
        }
        self.count_manifests(repository, -1)?;
        let stamp = self.bury(registry.key, name, &digest.to_string())?;
        self.touch_manifest(registry.key, name, digest);
        let event = Event::ManifestDeleted { registry: registry.id, repository: name.clone(), digest: *digest };
        changes.push(Change { stamp, event });
        Ok(changes)
    }

    /// Sets the attributes of a manifest. `None` when it is not there.
    pub fn set_manifest_attributes(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        digest: &Digest,
        attributes: Attributes,
    ) -> Result<Option<Change>> {
        let stamp = self.next_stamp();
        let set = self.execute(
            "UPDATE manifests SET attributes = ?3, updated_at = ?4, stamp = ?5, origin = ?6
             WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, digest, attributes.to_bits(), self.now_us(), stamp, OWN_ORIGIN],
        )?;
        // Tags that name it are cached with its attributes.
        self.touched.push(Touched::Everything);
        let event = Event::AttributesSet {
            registry: registry.id,
            repository: name.clone(),
            item: Item::Manifest(*digest),
            attributes,
        };
        Ok((set > 0).then_some(Change { stamp, event }))
    }

    fn touch_manifest(&mut self, registry: RegistryKey, repository: &RepositoryName, digest: &Digest) {
        self.touched.push(Touched::Manifest { registry, repository: repository.clone(), digest: *digest });
    }
}
