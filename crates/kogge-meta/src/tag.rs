//! Tags of a repository.

use kogge_types::{Digest, RepositoryName, Tag};

use crate::attributes::{Attributes, LIST_BIT};
use crate::change::{Change, Event, Item, Touched};
use crate::error::Result;
use crate::repository::{Registry, RegistryKey, RepositoryKey};
use crate::sql::{OWN_ORIGIN, Snapshot, Tx, values};

/// What there is to say of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagDetail {
    pub digest: Digest,
    pub attributes: Attributes,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

impl Snapshot<'_> {
    pub fn tag(&self, repository: RepositoryKey, tag: &Tag) -> Result<Option<TagDetail>> {
        self.query_first(
            "SELECT digest, attributes, created_at, updated_at FROM tags WHERE repository_id = ?1 AND name = ?2",
            values![repository.0, tag.as_str()],
            |row| {
                Ok(TagDetail {
                    digest: row.digest(0)?,
                    attributes: Attributes::from_bits(row.int(1)?),
                    created_at_us: row.int(2)?,
                    updated_at_us: row.int(3)?,
                })
            },
        )
    }

    /// At most `limit` names of listed tags after `after`, in byte order.
    pub fn tag_names(&self, repository: RepositoryKey, after: &str, limit: usize) -> Result<Vec<String>> {
        self.query(
            "SELECT name FROM tags WHERE repository_id = ?1 AND name > ?2 AND attributes & ?3 != 0
             ORDER BY name LIMIT ?4",
            values![repository.0, after, LIST_BIT, limit],
            |row| row.text(0),
        )
    }

    /// Every tag that names `digest`.
    pub fn tags_of(&self, repository: RepositoryKey, digest: &Digest) -> Result<Vec<Tag>> {
        self.query(
            "SELECT name FROM tags WHERE repository_id = ?1 AND digest = ?2 ORDER BY name",
            values![repository.0, digest],
            |row| row.parsed(0, "tag"),
        )
    }
}

impl Tx<'_> {
    /// Points a tag at a manifest of the repository, which is there.
    pub fn set_tag(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Change> {
        let stamp = self.next_stamp();
        self.execute(
            "INSERT INTO tags (repository_id, name, digest, attributes, created_at, updated_at, stamp, origin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)
             ON CONFLICT (repository_id, name) DO UPDATE SET
                 digest = excluded.digest, updated_at = excluded.updated_at, stamp = excluded.stamp,
                 origin = excluded.origin",
            values![repository.0, tag.as_str(), digest, Attributes::OPEN.to_bits(), self.now_us(), stamp, OWN_ORIGIN],
        )?;
        self.unbury(registry.key, name, &item(tag))?;
        self.touch_tag(registry.key, name, tag);
        let (repository, tag) = (name.clone(), tag.clone());
        Ok(Change { stamp, event: Event::TagSet { registry: registry.id, repository, tag, digest: *digest } })
    }

    /// Takes a tag away. `None` when it is not there.
    pub fn delete_tag(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Change>> {
        let deleted = self
            .execute("DELETE FROM tags WHERE repository_id = ?1 AND name = ?2", values![repository.0, tag.as_str()])?;
        if deleted == 0 {
            return Ok(None);
        }
        let stamp = self.bury(registry.key, name, &item(tag))?;
        self.touch_tag(registry.key, name, tag);
        let (repository, tag) = (name.clone(), tag.clone());
        Ok(Some(Change { stamp, event: Event::TagDeleted { registry: registry.id, repository, tag } }))
    }

    /// Sets the attributes of a tag. `None` when it is not there.
    pub fn set_tag_attributes(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        tag: &Tag,
        attributes: Attributes,
    ) -> Result<Option<Change>> {
        let stamp = self.next_stamp();
        let set = self.execute(
            "UPDATE tags SET attributes = ?3, updated_at = ?4, stamp = ?5, origin = ?6
             WHERE repository_id = ?1 AND name = ?2",
            values![repository.0, tag.as_str(), attributes.to_bits(), self.now_us(), stamp, OWN_ORIGIN],
        )?;
        self.touch_tag(registry.key, name, tag);
        let (repository, item) = (name.clone(), Item::Tag(tag.clone()));
        let event = Event::AttributesSet { registry: registry.id, repository, item, attributes };
        Ok((set > 0).then_some(Change { stamp, event }))
    }

    fn touch_tag(&mut self, registry: RegistryKey, repository: &RepositoryName, tag: &Tag) {
        self.touched.push(Touched::Tag { registry, repository: repository.clone(), tag: tag.clone() });
    }
}

/// How a tag is named among tombstones.
fn item(tag: &Tag) -> String {
    format!("tag:{tag}")
}
