//! The schema on PostgreSQL: the same as on SQLite, in step with it by number.

use kogge_types::OriginId;

use super::Connection;
use crate::error::{MetaError, Result};
use crate::sql::Value;

/// One step, and the oldest version of the program that still works with what it leaves: in a rolling upgrade, old nodes
/// run on beside the first new one.
struct Step {
    number: i64,
    sql: &'static str,
    compatible: i64,
}

const STEPS: &[Step] = &[Step { number: 3, sql: include_str!("../schema/postgres_0003.sql"), compatible: 3 }];

/// Keys the lock under which schemas change: of nodes that start together, one does it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7737503621)";

/// Brings the database to the present schema; a new one gets the identity `origin`.
pub(super) fn prepare(connection: &Connection, origin: &OriginId, now_us: i64) -> Result<()> {
    connection.batch(&format!(
        "BEGIN; {LOCK}; CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL, compatible BIGINT NOT NULL)"
    ))?;
    let rows = connection.query("SELECT version, compatible FROM schema_version", &[])?;
    let number = |column| -> Result<i64> {
        Ok(rows.first().map(|row| super::int(row, column)).transpose()?.flatten().unwrap_or(0))
    };
    let (found, compatible) = (number(0)?, number(1)?);
    let known = STEPS.last().map_or(0, |step| step.number);
    if found > known && compatible > known {
        return Err(MetaError::Newer { found, known });
    }
    for step in STEPS.iter().filter(|step| step.number > found) {
        connection.batch(step.sql)?;
        connection.batch("DELETE FROM schema_version")?;
        connection.execute(
            "INSERT INTO schema_version (version, compatible) VALUES (?1, ?2)",
            &[Value::Int(step.number), Value::Int(step.compatible)],
        )?;
    }
    if found == 0 {
        found_installation(connection, origin, now_us)?;
    }
    connection.batch("COMMIT")
}

/// The first rows of a new installation.
fn found_installation(connection: &Connection, origin: &OriginId, now_us: i64) -> Result<()> {
    let origin_bytes = Value::Bytes(origin.as_bytes());
    connection.execute(
        "INSERT INTO installation (id, origin, epoch, created_at) VALUES (1, ?1, 1, ?2)",
        &[origin_bytes, Value::Int(now_us)],
    )?;
    let origin_bytes = Value::Bytes(origin.as_bytes());
    connection.execute("INSERT INTO origins (id, origin, epoch) VALUES (1, ?1, 1)", &[origin_bytes])?;
    connection.execute("INSERT INTO journal_head (id, seq, stamp) VALUES (1, 0, 0)", &[])?;
    let own = kogge_types::ResourceId::from_bytes(*origin.as_bytes()).to_string();
    let tenant = kogge_types::ResourceId::from_bytes(tenant_id(origin)).to_string();
    for (name, value) in [("subscription", &own), ("tenant", &tenant)] {
        connection.execute(
            "INSERT INTO settings (name, value) VALUES (?1, ?2)",
            &[Value::Text(name), Value::Bytes(value.as_bytes())],
        )?;
    }
    connection.execute(
        "INSERT INTO resources (resource, type, parent, name, key, created_at, created_by, created_by_kind, modified_at,
             modified_by, modified_by_kind, stamp, origin)
         VALUES (?1, 'microsoft.resources/subscriptions/resourcegroups', ?2, 'default', 'default', ?3, 'kogge',
             'Application', ?3, 'kogge', 'Application', 0, 1)",
        &[Value::Bytes(&group_id(origin)), Value::Text(&format!("/subscriptions/{own}")), Value::Int(now_us)],
    )?;
    Ok(())
}

/// The tenant's id: the installation's with its halves exchanged.
fn tenant_id(origin: &OriginId) -> [u8; 16] {
    let mut id = *origin.as_bytes();
    id.rotate_left(8);
    id
}

/// The default resource group's id: another one than the installation's, and the same for all who found it together.
fn group_id(origin: &OriginId) -> [u8; 16] {
    let mut id = *origin.as_bytes();
    id.iter_mut().for_each(|byte| *byte = !*byte);
    id
}
