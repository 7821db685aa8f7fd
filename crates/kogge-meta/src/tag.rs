//! Tags of a repository.

use kogge_types::{Digest, RepositoryName, Tag};

use crate::attributes::{Attributes, LIST_BIT};
use crate::change::{Change, Event, Item, Touched};
use crate::error::Result;
use crate::page::{Cursor, Order};
use crate::repository::{Registry, RegistryKey, RepositoryKey};
use crate::sql::{OWN_ORIGIN, Row, Snapshot, Tx, values};

/// What there is to say of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagDetail {
    pub digest: Digest,
    pub attributes: Attributes,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

/// A tag in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTag {
    pub name: Tag,
    pub detail: TagDetail,
}

fn read_detail(row: &Row<'_>) -> Result<TagDetail> {
    Ok(TagDetail {
        digest: row.digest(0)?,
        attributes: Attributes::from_bits(row.int(1)?),
        created_at_us: row.int(2)?,
        updated_at_us: row.int(3)?,
    })
}

impl Snapshot<'_> {
    pub fn tag(&self, repository: RepositoryKey, tag: &Tag) -> Result<Option<TagDetail>> {
        self.query_first(
            "SELECT digest, attributes, created_at, updated_at FROM tags WHERE repository_id = ?1 AND name = ?2",
            values![repository.0, tag.as_str()],
            read_detail,
        )
    }

    /// At most `limit` listed tags behind `after`, in the given order: all of them, or those that name `digest`. Costs as
    /// much as the page; by time and of one digest as much as that digest has tags.
    pub fn tags(
        &self,
        repository: RepositoryKey,
        digest: Option<&Digest>,
        order: Order,
        after: Option<&Cursor<String>>,
        limit: usize,
    ) -> Result<Vec<ListedTag>> {
        // Few tags name one manifest: the order by time must not tempt the engine to look through all.
        let (of_digest, time) =
            if digest.is_some() { ("AND digest = ?6 ", "updated_at + 0") } else { ("", "updated_at") };
        let (behind, ordered) = order.clauses("name", time);
        let (name, at_us) = after.map_or(("", order.start_us()), |after| (after.item.as_str(), after.updated_at_us));
        self.query(
            &format!(
                "SELECT digest, attributes, created_at, updated_at, name FROM tags WHERE repository_id = ?1 {of_digest}\
                 AND {behind} AND attributes & ?4 != 0 ORDER BY {ordered} LIMIT ?5"
            ),
            &values![repository.0, name, at_us, LIST_BIT, limit, digest][..if digest.is_some() { 6 } else { 5 }],
            |row| Ok(ListedTag { name: row.parsed(4, "tag")?, detail: read_detail(row)? }),
        )
    }

    /// When a tag was last updated, one that was deleted lately among them. `None` for one that nobody knows of.
    pub fn tag_updated_at(
        &self,
        registry: RegistryKey,
        repository: RepositoryKey,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<i64>> {
        match self.tag(repository, tag)? {
            Some(tag) => Ok(Some(tag.updated_at_us)),
            None => self.buried_updated_at(registry, name, &item(tag)),
        }
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
        let deleted = self.query_first(
            "DELETE FROM tags WHERE repository_id = ?1 AND name = ?2 RETURNING updated_at",
            values![repository.0, tag.as_str()],
            |row| row.int(0),
        )?;
        let Some(updated_at_us) = deleted else { return Ok(None) };
        let stamp = self.bury(registry.key, name, &item(tag), Some(updated_at_us))?;
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
