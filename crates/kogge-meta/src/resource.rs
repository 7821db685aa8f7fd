//! Managed resources: what a request to the management plane makes, changes and deletes.
//!
//! A resource has a type, the path of what holds it, and a name; types and paths are handed in in lower case, names
//! as they were written. Its properties are registers, each with a version of its own.

use std::collections::{BTreeMap, HashMap};

use kogge_types::{ResourceId, Stamp};
use serde_json::Value as Json;

use crate::change::{Change, Event};
use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Row, Snapshot, Tx, values};

/// One managed resource, with everything that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub id: ResourceId,
    /// The full type in lower case, such as `microsoft.containerregistry/registries/tokens`.
    pub kind: String,
    /// The path of what holds it, in lower case: a subscription, a group, a registry, a scope.
    pub parent: String,
    /// As it was first written; compared without regard to case.
    pub name: String,
    /// Where it is; `None` for what has no place of its own or is where the deployment is.
    pub location: Option<String>,
    pub created: Touch,
    pub modified: Touch,
    /// Greater after every write: the entity tag.
    pub version: Stamp,
    /// The properties, each under its own name: `properties.adminUserEnabled`, `tags.env`, `sku`.
    pub registers: BTreeMap<String, Json>,
}

/// Who wrote something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Microseconds since the Unix epoch.
    pub at_us: i64,
    pub by: String,
    /// `User`, `Application`, `ManagedIdentity` or `Key` (ARM's `systemData`).
    pub by_kind: String,
}

/// Who makes a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    /// `User`, `Application`, `ManagedIdentity` or `Key`.
    pub kind: String,
}

/// A resource as it shall be.
#[derive(Debug, Clone, Copy)]
pub struct NewResource<'a> {
    /// The identity of a new one; one that is there keeps its own.
    pub id: ResourceId,
    pub kind: &'a str,
    pub parent: &'a str,
    pub name: &'a str,
    pub location: Option<&'a str>,
    pub by: &'a Author,
    pub registers: &'a BTreeMap<String, Json>,
}

impl Resource {
    /// Where it is found, in lower case: what resources beneath it name as their parent.
    pub fn path(&self) -> String {
        path(&self.kind, &self.parent, &self.name.to_ascii_lowercase())
    }
}

/// The path of a resource: beneath its parent by its last word when its type goes on from the parent's, otherwise by
/// way of its provider.
pub fn path(kind: &str, parent: &str, key: &str) -> String {
    let parent = parent.trim_end_matches('/');
    match kind.split_once('/').map(|(_, words)| words.rsplit_once('/')) {
        Some(Some((_, last))) => format!("{parent}/{last}/{key}"),
        _ => format!("{parent}/providers/{kind}/{key}"),
    }
}

/// The half-open range of the paths beneath `within`, in byte order.
fn beneath(within: &str) -> (String, String) {
    let within = within.trim_end_matches('/');
    // '0' follows '/' in ASCII.
    (format!("{within}/"), format!("{within}0"))
}

const COLUMNS: &str = "id, resource, type, parent, name, location, created_at, created_by, created_by_kind,
    modified_at, modified_by, modified_by_kind, stamp";

/// A resource whose registers are still to be read, and its local row.
fn read_row(row: &Row<'_>) -> Result<(i64, Resource)> {
    let resource = Resource {
        id: row.id(1, "resource id")?,
        kind: row.text(2)?,
        parent: row.text(3)?,
        name: row.text(4)?,
        location: row.opt_text(5)?,
        created: Touch { at_us: row.int(6)?, by: row.text(7)?, by_kind: row.text(8)? },
        modified: Touch { at_us: row.int(9)?, by: row.text(10)?, by_kind: row.text(11)? },
        version: Stamp(row.int(12)?),
        registers: BTreeMap::new(),
    };
    Ok((row.int(0)?, resource))
}

fn read_json(text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(MetaError::corrupt("property"))
}

impl Snapshot<'_> {
    pub fn resource(&self, kind: &str, parent: &str, name: &str) -> Result<Option<Resource>> {
        let found = self.query_first(
            &format!("SELECT {COLUMNS} FROM resources WHERE type = ?1 AND parent = ?2 AND key = ?3"),
            values![kind, parent, name.to_ascii_lowercase().as_str()],
            read_row,
        )?;
        found.map(|row| self.with_registers(row)).transpose()
    }

    pub fn resource_by_id(&self, id: &ResourceId) -> Result<Option<Resource>> {
        let sql = format!("SELECT {COLUMNS} FROM resources WHERE resource = ?1");
        let found = self.query_first(&sql, values![id], read_row)?;
        found.map(|row| self.with_registers(row)).transpose()
    }

    /// At most `limit` resources of a type whose parent is `within` or beneath it, after the one with this parent and
    /// name, by parent and name in lower case.
    pub fn resources(
        &self,
        kind: &str,
        within: &str,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Resource>> {
        let (after_parent, after_name) = after.unwrap_or_default();
        let after_key = after_name.to_ascii_lowercase();
        let (start, end) = beneath(within);
        let mut rows = Vec::new();
        if after_parent <= within {
            let after_key = if after_parent == within { after_key.as_str() } else { "" };
            rows = self.query(
                &format!(
                    "SELECT {COLUMNS} FROM resources WHERE type = ?1 AND parent = ?2 AND key > ?3
                     ORDER BY parent, key LIMIT ?4"
                ),
                values![kind, within, after_key, limit],
                read_row,
            )?;
        }
        let (from, from_key) = if after_parent > &*start { (after_parent, after_key.as_str()) } else { (&*start, "") };
        rows.extend(self.query(
            &format!(
                "SELECT {COLUMNS} FROM resources
                 WHERE type = ?1 AND (parent, key) > (?2, ?3) AND parent < ?4 AND parent <> ?5
                 ORDER BY parent, key LIMIT ?6"
            ),
            values![kind, from, from_key, end.as_str(), within, limit - rows.len()],
            read_row,
        )?);
        rows.into_iter().map(|row| self.with_registers(row)).collect()
    }

    /// As [`Snapshot::resources`], of every type; by parent, type and name, after the one with these three.
    pub fn resources_beneath(
        &self,
        within: &str,
        after: Option<(&str, &str, &str)>,
        limit: usize,
    ) -> Result<Vec<Resource>> {
        let (after_parent, after_kind, after_name) = after.unwrap_or_default();
        let after_key = after_name.to_ascii_lowercase();
        let (start, end) = beneath(within);
        let mut rows = Vec::new();
        if after_parent <= within {
            let (kind, key) = if after_parent == within { (after_kind, after_key.as_str()) } else { ("", "") };
            rows = self.query(
                &format!(
                    "SELECT {COLUMNS} FROM resources WHERE parent = ?1 AND (type, key) > (?2, ?3)
                     ORDER BY parent, type, key LIMIT ?4"
                ),
                values![within, kind, key, limit],
                read_row,
            )?;
        }
        let (from, kind, key) =
            if after_parent > &*start { (after_parent, after_kind, after_key.as_str()) } else { (&*start, "", "") };
        rows.extend(self.query(
            &format!(
                "SELECT {COLUMNS} FROM resources
                 WHERE (parent, type, key) > (?1, ?2, ?3) AND parent < ?4 AND parent <> ?5
                 ORDER BY parent, type, key LIMIT ?6"
            ),
            values![from, kind, key, end.as_str(), within, limit - rows.len()],
            read_row,
        )?);
        rows.into_iter().map(|row| self.with_registers(row)).collect()
    }

    /// How many resources of a type there are whose parent is `within` or beneath it. Costs as much as they are.
    pub fn count_resources(&self, kind: &str, within: &str) -> Result<u64> {
        let (start, end) = beneath(within);
        let count = self.query_first(
            "SELECT count(*) FROM (
                SELECT id FROM resources WHERE type = ?1 AND parent = ?2
                UNION ALL
                SELECT id FROM resources WHERE type = ?1 AND parent >= ?3 AND parent < ?4 AND parent <> ?2) AS found",
            values![kind, within, start.as_str(), end.as_str()],
            |row| row.size(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    /// Every resource of a type, by parent and name.
    pub fn every_resource(&self, kind: &str) -> Result<Vec<Resource>> {
        let mut registers: HashMap<i64, BTreeMap<String, Json>> = HashMap::new();
        let properties = self.query(
            "SELECT p.resource_id, p.name, p.value FROM resources r JOIN resource_properties p ON p.resource_id = r.id
             WHERE r.type = ?1 AND p.value IS NOT NULL",
            values![kind],
            |row| Ok((row.int(0)?, row.text(1)?, read_json(&row.text(2)?)?)),
        )?;
        for (key, name, value) in properties {
            registers.entry(key).or_default().insert(name, value);
        }
        let sql = format!("SELECT {COLUMNS} FROM resources WHERE type = ?1 ORDER BY parent, key");
        let rows = self.query(&sql, values![kind], read_row)?;
        let complete = |(key, resource)| Resource { registers: registers.remove(&key).unwrap_or_default(), ..resource };
        Ok(rows.into_iter().map(complete).collect())
    }

    fn with_registers(&self, (key, resource): (i64, Resource)) -> Result<Resource> {
        let registers = self.query(
            "SELECT name, value FROM resource_properties WHERE resource_id = ?1 AND value IS NOT NULL",
            values![key],
            |row| Ok((row.text(0)?, read_json(&row.text(1)?)?)),
        )?;
        Ok(Resource { registers: registers.into_iter().collect(), ..resource })
    }
}

impl Tx<'_> {
    /// Makes a resource, or gives the one that is there exactly these registers. Unchanged ones keep their version.
    pub fn put_resource(&mut self, new: &NewResource<'_>) -> Result<(Resource, Change)> {
        let stamp = self.next_stamp();
        let row = self.query_first(
            &format!(
                "INSERT INTO resources (resource, type, parent, name, key, location, created_at, created_by,
                     created_by_kind, modified_at, modified_by, modified_by_kind, stamp, origin)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (type, parent, key) DO UPDATE SET
                     location = excluded.location, modified_at = excluded.modified_at,
                     modified_by = excluded.modified_by, modified_by_kind = excluded.modified_by_kind,
                     stamp = excluded.stamp, origin = excluded.origin
                 RETURNING {COLUMNS}"
            ),
            values![
                &new.id,
                new.kind,
                new.parent,
                new.name,
                new.name.to_ascii_lowercase().as_str(),
                new.location,
                self.now_us(),
                new.by.name.as_str(),
                new.by.kind.as_str(),
                stamp,
                OWN_ORIGIN
            ],
            read_row,
        )?;
        let (key, mut resource) = row.ok_or(MetaError::Corrupt { what: "resource" })?;
        self.set_registers(key, new.registers, stamp)?;
        resource.registers = new.registers.clone();
        let event = Event::ResourcePut { resource: resource.id, kind: resource.kind.clone(), path: resource.path() };
        Ok((resource, Change { stamp, event }))
    }

    fn set_registers(&mut self, key: i64, registers: &BTreeMap<String, Json>, stamp: Stamp) -> Result<()> {
        let held: BTreeMap<String, Json> = self
            .query(
                "SELECT name, value FROM resource_properties WHERE resource_id = ?1 AND value IS NOT NULL",
                values![key],
                |row| Ok((row.text(0)?, read_json(&row.text(1)?)?)),
            )?
            .into_iter()
            .collect();
        for (name, value) in registers.iter().filter(|(name, value)| held.get(*name) != Some(*value)) {
            self.execute(
                "INSERT INTO resource_properties (resource_id, name, value, stamp, origin) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (resource_id, name) DO UPDATE SET
                     value = excluded.value, stamp = excluded.stamp, origin = excluded.origin",
                values![key, name.as_str(), value.to_string().as_str(), stamp, OWN_ORIGIN],
            )?;
        }
        for name in held.keys().filter(|name| !registers.contains_key(*name)) {
            self.execute(
                "UPDATE resource_properties SET value = NULL, stamp = ?3, origin = ?4
                 WHERE resource_id = ?1 AND name = ?2",
                values![key, name.as_str(), stamp, OWN_ORIGIN],
            )?;
        }
        Ok(())
    }

    /// Deletes a resource with everything beneath it and their credentials. `None` when there is none of that name.
    pub fn delete_resource(&mut self, kind: &str, parent: &str, name: &str) -> Result<Option<Change>> {
        let found = self.query_first(
            "SELECT id, resource, key FROM resources WHERE type = ?1 AND parent = ?2 AND key = ?3",
            values![kind, parent, name.to_ascii_lowercase().as_str()],
            |row| Ok((row.int(0)?, row.id::<ResourceId>(1, "resource id")?, row.text(2)?)),
        )?;
        let Some((row, resource, key)) = found else { return Ok(None) };
        let path = path(kind, parent, &key);
        let (start, end) = beneath(&path);
        let mut gone = self.query(
            "SELECT id, resource FROM resources WHERE parent = ?1
             UNION ALL
             SELECT id, resource FROM resources WHERE parent >= ?2 AND parent < ?3",
            values![path.as_str(), start.as_str(), end.as_str()],
            |row| Ok((row.int(0)?, row.id(1, "resource id")?)),
        )?;
        gone.push((row, resource));
        for (row, resource) in &gone {
            self.delete_credentials_of(resource.as_bytes())?;
            self.execute("DELETE FROM resource_properties WHERE resource_id = ?1", values![*row])?;
            self.execute("DELETE FROM resources WHERE id = ?1", values![*row])?;
            self.bury_id(resource.as_bytes())?;
        }
        let stamp = self.next_stamp();
        Ok(Some(Change { stamp, event: Event::ResourceDeleted { resource, kind: kind.to_owned(), path } }))
    }

    /// Notes that what had this id was deleted.
    pub(crate) fn bury_id(&mut self, id: &[u8; 16]) -> Result<Stamp> {
        let stamp = self.next_stamp();
        self.execute(
            "INSERT INTO resource_tombstones (id, at, stamp, origin) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET at = excluded.at, stamp = excluded.stamp, origin = excluded.origin",
            values![&id[..], self.now_us(), stamp, OWN_ORIGIN],
        )?;
        Ok(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_goes_on_from_the_parent_or_by_way_of_the_provider() {
        for (kind, parent, expected) in [
            (
                "microsoft.resources/subscriptions/resourcegroups",
                "/subscriptions/s",
                "/subscriptions/s/resourcegroups/n",
            ),
            ("microsoft.containerregistry/registries", "/g", "/g/providers/microsoft.containerregistry/registries/n"),
            ("microsoft.containerregistry/registries/tokens", "/g/r", "/g/r/tokens/n"),
            ("microsoft.authorization/roleassignments", "/", "/providers/microsoft.authorization/roleassignments/n"),
            ("microsoft.authorization/locks", "/g/r", "/g/r/providers/microsoft.authorization/locks/n"),
        ] {
            assert_eq!(path(kind, parent, "n"), expected);
        }
    }
}
