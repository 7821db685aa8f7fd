//! Schemas and their migrations: numbered, run in order, never edited once released.

use std::path::Path;

use kogge_types::OriginId;
use rusqlite::{Connection, TransactionBehavior};

use crate::error::{MetaError, Result};
use crate::meta::SESSIONS_FILE;

const STATE: &[&str] =
    &[include_str!("schema/main_0001.sql"), include_str!("schema/main_0002.sql"), include_str!("schema/main_0003.sql")];
const SESSIONS: &[&str] = &[include_str!("schema/sessions_0001.sql")];

/// The file beside the sessions that says which boot of the machine they belong to.
const BOOT_FILE: &str = "sessions.boot";

/// Brings the state to the present schema; a new one gets the identity `origin`.
pub(crate) fn prepare_state(connection: &mut Connection, origin: &OriginId, now_us: i64) -> Result<()> {
    migrate(connection, STATE, |connection| {
        connection.execute(
            "INSERT INTO installation (id, origin, epoch, created_at) VALUES (1, ?1, 1, ?2)",
            rusqlite::params![origin.as_bytes(), now_us],
        )?;
        connection.execute("INSERT INTO origins (id, origin, epoch) VALUES (1, ?1, 1)", [origin.as_bytes()])?;
        connection.execute("INSERT INTO journal_head (id, seq, stamp) VALUES (1, 0, 0)", [])?;
        Ok(())
    })
}

pub(crate) fn prepare_sessions(connection: &mut Connection) -> Result<()> {
    migrate(connection, SESSIONS, |_| Ok(()))
}

/// Removes the sessions of an earlier boot: what they promise was perhaps never on the disk.
pub(crate) fn drop_stale_sessions(path: &Path, boot: &str) -> Result<()> {
    let mark = path.join(BOOT_FILE);
    let same = std::fs::read_to_string(&mark).is_ok_and(|found| found == boot);
    if !same {
        for suffix in ["", "-wal", "-shm"] {
            match std::fs::remove_file(path.join(format!("{SESSIONS_FILE}{suffix}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        std::fs::write(&mark, boot)?;
    }
    Ok(())
}

fn migrate(
    connection: &mut Connection,
    steps: &[&str],
    first: impl Fn(&Connection) -> rusqlite::Result<()>,
) -> Result<()> {
    let known = steps.len() as i64;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(MetaError::Newer { found, known });
    }
    for (number, step) in (0..).zip(steps).skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(MetaError::engine("migrate the metadata"))?;
        // The first rows are those of the first schema: later steps convert them as they do an old installation's.
        if number == 0 {
            first(&transaction)?;
        }
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}
