//! Manifests of a repository: their bytes, what they name and what refers to them.

use bytes::Bytes;
use kogge_types::manifest::Platform;
use kogge_types::{Descriptor, Digest, Manifest, Reference, RepositoryName, limits};

use crate::attributes::{Attributes, LIST_BIT};
use crate::change::{Change, Event, Item, Touched};
use crate::error::Result;
use crate::page::{Cursor, Order};
use crate::repository::{Registry, RegistryKey, RepositoryKey};
use crate::sql::{OWN_ORIGIN, Row, Snapshot, Tx, or_least, values};

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
    /// What the config of an image says it runs on, when that is known.
    pub platform: Option<Platform>,
}

/// What there is to say of a manifest in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDetail {
    pub digest: Digest,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub config_media_type: Option<String>,
    pub subject: Option<Digest>,
    /// What the image runs on, when that is known.
    pub platform: Option<Platform>,
    /// What an index names.
    pub children: Vec<ManifestChild>,
    /// Bytes of the manifest and of the blobs that it names.
    pub size: u64,
    pub attributes: Attributes,
    pub created_at_us: i64,
    pub updated_at_us: i64,
    pub tags: Vec<String>,
}

/// A manifest that an index names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestChild {
    pub digest: Digest,
    pub platform: Option<Platform>,
}

/// One page of manifests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestPage {
    pub manifests: Vec<ManifestDetail>,
    /// Whether there is another page behind it.
    pub more: bool,
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

    /// At most `limit` listed manifests behind `after`, in the given order, each with its listed tags; fewer where they
    /// are large. Costs as much as the page.
    pub fn manifests(
        &self,
        repository: RepositoryKey,
        order: Order,
        after: Option<&Cursor<Digest>>,
        limit: usize,
    ) -> Result<ManifestPage> {
        let (behind, ordered) = order.clauses("digest", "updated_at");
        let (digest, at_us) =
            after.map_or((Vec::new(), order.start_us()), |after| (after.item.to_bytes(), after.updated_at_us));
        let found = self.query(
            &format!(
                "SELECT digest, octet_length(body) FROM manifests
                 WHERE repository_id = ?1 AND {behind} AND attributes & ?4 != 0 ORDER BY {ordered} LIMIT ?5"
            ),
            values![repository.0, digest.as_slice(), at_us, LIST_BIT, limit + 1],
            |row| Ok((row.digest(0)?, row.size(1)?)),
        )?;
        let mut page = ManifestPage::default();
        let mut bytes = 0;
        for (digest, length) in found {
            bytes += length;
            if page.manifests.len() == limit || (bytes > limits::PAGE_BODY_BYTES_MAX && !page.manifests.is_empty()) {
                page.more = true;
                break;
            }
            page.manifests.extend(self.describe_manifest(repository, &digest, LIST_BIT)?);
        }
        Ok(page)
    }

    /// A manifest with all its tags; `None` when it is not in the repository.
    pub fn manifest_detail(&self, repository: RepositoryKey, digest: &Digest) -> Result<Option<ManifestDetail>> {
        self.describe_manifest(repository, digest, 0)
    }

    /// A manifest with those of its tags whose attributes have the bits `of_tags`.
    fn describe_manifest(
        &self,
        repository: RepositoryKey,
        digest: &Digest,
        of_tags: i64,
    ) -> Result<Option<ManifestDetail>> {
        let found = self.query_first(
            "SELECT media_type, artifact_type, config_media_type, subject, architecture, os,
                    content_bytes + length(body), attributes, created_at, updated_at,
                    CASE WHEN config_media_type IS NULL THEN body END
             FROM manifests WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, digest],
            |row| {
                let media_type = row.text(0)?;
                let children = row.opt_bytes(10)?.map_or_else(Vec::new, |body| children(&media_type, &body));
                let platform = row.opt_text(4)?.zip(row.opt_text(5)?);
                Ok(ManifestDetail {
                    digest: *digest,
                    media_type,
                    artifact_type: row.opt_text(1)?,
                    config_media_type: row.opt_text(2)?,
                    subject: row.opt_digest(3)?,
                    platform: platform.map(|(architecture, os)| Platform { architecture, os, variant: None }),
                    children,
                    size: row.size(6)?,
                    attributes: Attributes::from_bits(row.int(7)?),
                    created_at_us: row.int(8)?,
                    updated_at_us: row.int(9)?,
                    tags: Vec::new(),
                })
            },
        )?;
        let Some(mut manifest) = found else { return Ok(None) };
        manifest.tags = self.query(
            "SELECT name FROM tags WHERE repository_id = ?1 AND digest = ?2 AND attributes & ?3 = ?3 ORDER BY name",
            values![repository.0, digest, of_tags],
            |row| row.text(0),
        )?;
        Ok(Some(manifest))
    }

    /// When a manifest was last updated, one that was deleted lately among them. `None` for one that nobody knows of.
    pub fn manifest_updated_at(
        &self,
        registry: RegistryKey,
        repository: RepositoryKey,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<i64>> {
        let found = self.query_first(
            "SELECT updated_at FROM manifests WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, digest],
            |row| row.int(0),
        )?;
        match found {
            Some(at_us) => Ok(Some(at_us)),
            None => self.buried_updated_at(registry, name, &digest.to_string()),
        }
    }

    /// Whether the repository holds the manifest and it refers to another one.
    pub fn is_referrer(&self, registry: RegistryKey, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        self.exists(
            "SELECT 1 FROM repositories r JOIN manifests m ON m.repository_id = r.id AND m.digest = ?3
             WHERE r.registry_id = ?1 AND r.name = ?2 AND r.dead = 0 AND m.subject IS NOT NULL",
            values![registry.0, repository.as_str(), digest],
        )
    }

    /// At most `limit` listed manifests whose subject is `subject`, after `after`, of one artifact type or of all; fewer
    /// where their descriptors are large.
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
             WHERE repository_id = ?1 AND subject = ?2 AND digest > ?3
               AND (artifact_type = ?4 OR ?4 IS NULL) AND attributes & ?6 != 0
             ORDER BY digest LIMIT ?5",
            values![repository.0, subject, or_least(after), artifact_type, limit + 1, LIST_BIT],
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

/// What a stored index names. One that today's rules would not take is still listed, without.
fn children(media_type: &str, body: &[u8]) -> Vec<ManifestChild> {
    let child = |descriptor: Descriptor| ManifestChild { digest: descriptor.digest, platform: descriptor.platform };
    let index = Manifest::parse(media_type, body);
    index.map_or_else(|_| Vec::new(), |index| index.children.into_iter().map(child).collect())
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
        let platform = new.platform.as_ref();
        let (architecture, os) =
            (platform.map(|platform| platform.architecture.as_str()), platform.map(|platform| platform.os.as_str()));
        let again = self.execute(
            "UPDATE manifests SET stamp = ?3, origin = ?4, updated_at = ?5,
                 architecture = coalesce(architecture, ?6), os = coalesce(os, ?7)
             WHERE repository_id = ?1 AND digest = ?2",
            values![repository.0, &new.digest, stamp, OWN_ORIGIN, self.now_us(), architecture, os],
        )?;
        if again == 0 {
            self.execute(
                "INSERT INTO manifests (repository_id, digest, media_type, artifact_type, config_media_type, subject,
                     referrer, content_bytes, attributes, created_at, updated_at, stamp, origin, body,
                     architecture, os)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13, ?14, ?15)",
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
                    architecture,
                    os,
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
        let deleted = self.query_first(
            "DELETE FROM manifests WHERE repository_id = ?1 AND digest = ?2 RETURNING updated_at",
            values![repository.0, digest],
            |row| row.int(0),
        )?;
        let Some(updated_at_us) = deleted else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        for tag in self.tags_of(repository, digest)? {
            changes.extend(self.delete_tag(registry, repository, name, &tag)?);
        }
        self.count_manifests(repository, -1)?;
        let stamp = self.bury(registry.key, name, &digest.to_string(), Some(updated_at_us))?;
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
