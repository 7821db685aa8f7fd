//! Small values of the whole installation, under fixed names.

use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Snapshot, Tx, values};

impl Snapshot<'_> {
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.query_first("SELECT value FROM settings WHERE name = ?1", values![name], |row| row.bytes(0))
    }
}

impl Tx<'_> {
    /// Sets the value unless there is one, and returns what holds: of several that start together, one wins.
    pub fn settle_setting(&mut self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        self.execute(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            values![name, value],
        )?;
        Ok(self.setting(name)?.unwrap_or_else(|| value.to_vec()))
    }

    pub fn put_setting(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.execute(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            values![name, value],
        )?;
        Ok(())
    }

    /// Removes a value.
    pub fn delete_setting(&mut self, name: &str) -> Result<()> {
        self.execute("DELETE FROM settings WHERE name = ?1", values![name])?;
        Ok(())
    }

    /// Opens a new epoch of this installation: what it does from now on is told apart from what it did before, which
    /// keeps its own epoch. Costs as much as the state holds: a restore's price.
    pub fn open_epoch(&mut self) -> Result<()> {
        self.execute("UPDATE installation SET epoch = epoch + 1 WHERE id = 1", &[])?;
        let past = self.query_first("SELECT max(id) + 1 FROM origins", &[], |row| row.int(0))?;
        let past = past.ok_or(MetaError::Corrupt { what: "origin" })?;
        let (origin, epoch) = self
            .query_first("SELECT origin, epoch FROM origins WHERE id = ?1", values![OWN_ORIGIN], |row| {
                Ok((row.bytes(0)?, row.int(1)?))
            })?
            .ok_or(MetaError::Corrupt { what: "origin" })?;
        self.execute(
            "UPDATE origins SET epoch = (SELECT epoch FROM installation WHERE id = 1) WHERE id = ?1",
            values![OWN_ORIGIN],
        )?;
        self.execute("INSERT INTO origins (id, origin, epoch) VALUES (?1, ?2, ?3)", values![past, &origin[..], epoch])?;
        for table in VERSIONED_TABLES {
            self.execute(&format!("UPDATE {table} SET origin = ?1 WHERE origin = ?2"), values![past, OWN_ORIGIN])?;
        }
        Ok(())
    }
}

/// The tables whose rows name the origin that wrote them.
const VERSIONED_TABLES: [&str; 12] = [
    "journal",
    "registries",
    "principals",
    "group_members",
    "credentials",
    "resources",
    "resource_properties",
    "resource_tombstones",
    "repositories",
    "manifests",
    "tags",
    "tombstones",
];
