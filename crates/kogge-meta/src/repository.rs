//! Registries and their repositories.

use kogge_types::{Digest, RegistryId, RegistryName, RepositoryName, RepositoryPattern, Stamp, Tag};

use crate::attributes::{Attributes, DELETE_BITS, LIST_BIT};
use crate::change::{Change, Event, Item, Touched};
use crate::error::{MetaError, Result};
use crate::sql::{LAST_TEXT, OWN_ORIGIN, Row, Snapshot, Tx, values};

/// The local row of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegistryKey(pub(crate) i64);

/// The local row of a repository. A repository that is deleted and pushed to again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RepositoryKey(pub(crate) i64);

/// One registry of the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    pub key: RegistryKey,
    pub id: RegistryId,
    pub name: RegistryName,
}

/// What there is to say of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryDetail {
    pub key: RepositoryKey,
    pub name: RepositoryName,
    pub manifests: u64,
    pub tags: u64,
    pub attributes: Attributes,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

/// What a deleted repository held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenRepository {
    pub manifests: Vec<Digest>,
    pub tags: Vec<Tag>,
}

fn read_registry(row: &Row<'_>) -> Result<Registry> {
    Ok(Registry { key: RegistryKey(row.int(0)?), id: row.id(1, "registry id")?, name: row.parsed(2, "registry name")? })
}

impl Snapshot<'_> {
    /// Every registry that is not deleted, by name.
    pub fn registries(&self) -> Result<Vec<Registry>> {
        let sql = "SELECT id, registry, name FROM registries WHERE deleted_at IS NULL ORDER BY name";
        self.query(sql, &[], read_registry)
    }

    /// The repository of this name that is not deleted, whether it holds manifests yet or not.
    pub fn repository(&self, registry: RegistryKey, name: &RepositoryName) -> Result<Option<RepositoryKey>> {
        self.query_first(
            "SELECT id FROM repositories WHERE registry_id = ?1 AND name = ?2 AND dead = 0",
            values![registry.0, name.as_str()],
            |row| Ok(RepositoryKey(row.int(0)?)),
        )
    }

    /// The repository of this name, when it holds manifests.
    pub fn listed_repository(&self, registry: RegistryKey, name: &RepositoryName) -> Result<Option<RepositoryKey>> {
        self.query_first(
            "SELECT id FROM repositories WHERE registry_id = ?1 AND name = ?2 AND dead = 0 AND manifests > 0",
            values![registry.0, name.as_str()],
            |row| Ok(RepositoryKey(row.int(0)?)),
        )
    }

    /// The attributes of a repository; all on for one that does not exist.
    pub fn repository_attributes(&self, repository: RepositoryKey) -> Result<Attributes> {
        let bits =
            self.query_first("SELECT attributes FROM repositories WHERE id = ?1", values![repository.0], |row| {
                row.int(0)
            })?;
        Ok(bits.map_or(Attributes::OPEN, Attributes::from_bits))
    }

    /// A repository that holds manifests, in full.
    pub fn repository_detail(&self, registry: RegistryKey, name: &RepositoryName) -> Result<Option<RepositoryDetail>> {
        self.query_first(
            "SELECT id, manifests, (SELECT count(*) FROM tags WHERE repository_id = repositories.id), attributes,
                    created_at, updated_at
             FROM repositories WHERE registry_id = ?1 AND name = ?2 AND dead = 0 AND manifests > 0",
            values![registry.0, name.as_str()],
            |row| {
                Ok(RepositoryDetail {
                    key: RepositoryKey(row.int(0)?),
                    name: name.clone(),
                    manifests: row.size(1)?,
                    tags: row.size(2)?,
                    attributes: Attributes::from_bits(row.int(3)?),
                    created_at_us: row.int(4)?,
                    updated_at_us: row.int(5)?,
                })
            },
        )
    }

    /// At most `limit` names after `after`, in order, of listed repositories that one of `patterns` matches. Costs
    /// as much as the page, whatever else the registry holds.
    pub fn repository_names(
        &self,
        registry: RegistryKey,
        patterns: &[RepositoryPattern],
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        // The first text that comes after `after`.
        let mut start = format!("{after}\0");
        let mut ranges: Vec<_> = patterns.iter().map(RepositoryPattern::range).collect();
        ranges.sort_unstable();
        let mut names = Vec::new();
        for (from, to) in ranges {
            if names.len() >= limit {
                break;
            }
            // Ranges nest or are apart, so that what begins before an earlier one's end lies in it.
            start = start.max(from);
            if to.as_deref().is_some_and(|to| *to <= *start) {
                continue;
            }
            names.extend(self.query(
                "SELECT name FROM repositories
                 WHERE registry_id = ?1 AND name >= ?2 AND name < ?3
                   AND dead = 0 AND manifests > 0 AND attributes & ?4 != 0
                 ORDER BY name LIMIT ?5",
                values![registry.0, start.as_str(), to.as_deref().unwrap_or(LAST_TEXT), LIST_BIT, limit - names.len()],
                |row| row.text(0),
            )?);
            match to {
                Some(to) => start = to,
                None => break,
            }
        }
        Ok(names)
    }
}

impl Snapshot<'_> {
    /// When something that was deleted lately had last been updated.
    pub(crate) fn buried_updated_at(
        &self,
        registry: RegistryKey,
        repository: &RepositoryName,
        item: &str,
    ) -> Result<Option<i64>> {
        let found = self.query_first(
            "SELECT updated_at FROM tombstones WHERE registry_id = ?1 AND repository = ?2 AND item = ?3",
            values![registry.0, repository.as_str(), item],
            |row| row.opt_int(0),
        )?;
        Ok(found.flatten())
    }
}

impl Tx<'_> {
    /// Makes a registry. The one of that name, if there is one, keeps its identity.
    pub fn put_registry(&mut self, id: RegistryId, name: &RegistryName) -> Result<(Registry, Change)> {
        let stamp = self.next_stamp();
        let registry = self.query_first(
            "INSERT INTO registries (registry, name, created_at, stamp, origin) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET stamp = excluded.stamp, origin = excluded.origin
             RETURNING id, registry, name",
            values![&id, name.as_str(), self.now_us(), stamp, OWN_ORIGIN],
            read_registry,
        )?;
        let registry = registry.ok_or(MetaError::Corrupt { what: "registry" })?;
        let event = Event::RegistryPut { registry: registry.id, name: registry.name.clone() };
        Ok((registry, Change { stamp, event }))
    }

    /// Deletes a registry with all it holds, which is reclaimed behind it. Its name is free at once; its resource is
    /// deleted by itself ([`Tx::delete_resource`]). Costs the same whatever it holds.
    pub fn delete_registry(&mut self, registry: &Registry) -> Result<Change> {
        let stamp = self.next_stamp();
        // No registry can have such a name, and no two of these are the same.
        let name = format!("~{}", registry.id);
        self.execute(
            "UPDATE registries SET name = ?2, deleted_at = ?3, stamp = ?4, origin = ?5 WHERE id = ?1",
            values![registry.key.0, name.as_str(), self.now_us(), stamp, OWN_ORIGIN],
        )?;
        self.touched.push(Touched::Everything);
        Ok(Change { stamp, event: Event::RegistryDeleted { registry: registry.id, name: registry.name.clone() } })
    }

    /// The repository of this name, made when there is none.
    ///
    /// # Errors
    /// [`MetaError::RegistryGone`] when it would have to be made in a registry that was deleted.
    pub fn take_repository(&mut self, registry: RegistryKey, name: &RepositoryName) -> Result<RepositoryKey> {
        if let Some(repository) = self.repository(registry, name)? {
            return Ok(repository);
        }
        let stamp = self.next_stamp();
        let made = self.query_first(
            "INSERT INTO repositories
                 (registry_id, name, manifests, attributes, created_at, updated_at, dead, stamp, origin)
             SELECT id, ?2, 0, ?3, ?4, ?4, 0, ?5, ?6 FROM registries WHERE id = ?1 AND deleted_at IS NULL
             RETURNING id",
            values![registry.0, name.as_str(), Attributes::OPEN.to_bits(), self.now_us(), stamp, OWN_ORIGIN],
            |row| row.int(0),
        )?;
        made.map(RepositoryKey).ok_or(MetaError::RegistryGone)
    }

    /// Counts manifests that came or went. With the last one the repository is gone, whatever was set on it; with the
    /// first one it begins.
    pub(crate) fn count_manifests(&mut self, repository: RepositoryKey, by: i64) -> Result<()> {
        self.execute(
            "UPDATE repositories SET created_at = CASE manifests WHEN 0 THEN ?3 ELSE created_at END,
                 manifests = manifests + ?2, updated_at = ?3 WHERE id = ?1",
            values![repository.0, by, self.now_us()],
        )?;
        let reset = self.execute(
            "UPDATE repositories SET attributes = ?2 WHERE id = ?1 AND manifests = 0 AND attributes != ?2",
            values![repository.0, Attributes::OPEN.to_bits()],
        )?;
        if reset > 0 {
            self.touched.push(Touched::Everything);
        }
        Ok(())
    }

    /// Sets the attributes of a repository.
    pub fn set_repository_attributes(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
        attributes: Attributes,
    ) -> Result<Change> {
        let stamp = self.next_stamp();
        self.execute(
            "UPDATE repositories SET attributes = ?2, updated_at = ?3, stamp = ?4, origin = ?5 WHERE id = ?1",
            values![repository.0, attributes.to_bits(), self.now_us(), stamp, OWN_ORIGIN],
        )?;
        self.touched.push(Touched::Everything);
        let (repository, item) = (name.clone(), Item::Repository);
        Ok(Change { stamp, event: Event::AttributesSet { registry: registry.id, repository, item, attributes } })
    }

    /// Whether something in the repository is locked against deletion.
    pub fn holds_locked(&self, repository: RepositoryKey) -> Result<bool> {
        let locked_in = |table: &str| {
            self.exists(
                &format!("SELECT 1 FROM {table} WHERE repository_id = ?1 AND attributes & ?2 != ?2 LIMIT 1"),
                values![repository.0, DELETE_BITS],
            )
        };
        Ok(locked_in("tags")? || locked_in("manifests")?)
    }

    /// Deletes a repository with all it holds, at a cost that depends on its size only for naming what went. What
    /// it held is reclaimed later.
    pub fn delete_repository(
        &mut self,
        registry: &Registry,
        repository: RepositoryKey,
        name: &RepositoryName,
    ) -> Result<(TakenRepository, Change)> {
        let manifests = self.query(
            "SELECT digest FROM manifests WHERE repository_id = ?1 ORDER BY digest",
            values![repository.0],
            |row| row.digest(0),
        )?;
        let tags =
            self.query("SELECT name FROM tags WHERE repository_id = ?1 ORDER BY name", values![repository.0], |row| {
                row.parsed(0, "tag")
            })?;
        self.execute("UPDATE repositories SET dead = 1 WHERE id = ?1", values![repository.0])?;
        let stamp = self.bury(registry.key, name, "", None)?;
        self.touched.push(Touched::Everything);
        let event = Event::RepositoryDeleted { registry: registry.id, repository: name.clone() };
        Ok((TakenRepository { manifests, tags }, Change { stamp, event }))
    }

    /// Notes that something was deleted that had last been updated at `updated_at_us`, under the new stamp that is
    /// returned.
    pub(crate) fn bury(
        &mut self,
        registry: RegistryKey,
        repository: &RepositoryName,
        item: &str,
        updated_at_us: Option<i64>,
    ) -> Result<Stamp> {
        let stamp = self.next_stamp();
        self.execute(
            "INSERT INTO tombstones (registry_id, repository, item, at, stamp, origin, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (registry_id, repository, item) DO UPDATE SET
                 at = excluded.at, stamp = excluded.stamp, origin = excluded.origin, updated_at = excluded.updated_at",
            values![registry.0, repository.as_str(), item, self.now_us(), stamp, OWN_ORIGIN, updated_at_us],
        )?;
        Ok(stamp)
    }

    /// Takes a tombstone away: the thing is there again.
    pub(crate) fn unbury(&mut self, registry: RegistryKey, repository: &RepositoryName, item: &str) -> Result<()> {
        self.execute(
            "DELETE FROM tombstones WHERE registry_id = ?1 AND repository = ?2 AND item = ?3",
            values![registry.0, repository.as_str(), item],
        )?;
        Ok(())
    }
}
