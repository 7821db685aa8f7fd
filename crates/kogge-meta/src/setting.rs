//! Small values of the whole installation, under fixed names.

use crate::error::Result;
use crate::sql::{Snapshot, Tx, values};

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

    /// Opens a new epoch of this installation: what it does from now on is another origin's.
    pub fn open_epoch(&mut self) -> Result<()> {
        self.execute("UPDATE installation SET epoch = epoch + 1 WHERE id = 1", &[])?;
        self.execute(
            "INSERT OR IGNORE INTO origins (origin, epoch) SELECT origin, epoch FROM origins WHERE id = 1",
            &[],
        )?;
        self.execute("UPDATE origins SET epoch = (SELECT epoch FROM installation WHERE id = 1) WHERE id = 1", &[])?;
        Ok(())
    }
}
