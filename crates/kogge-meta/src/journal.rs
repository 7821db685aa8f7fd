//! The journal: every change that a user can observe, in commit order, and the cursors of those who follow it.

use std::ops::Range;

use kogge_types::Stamp;

use crate::change::{Change, Event};
use crate::error::{MetaError, Result};
use crate::sql::{OWN_ORIGIN, Snapshot, Tx, values};

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last sequence number given; 0 before the first.
    pub seq: i64,
    /// The greatest stamp given or taken in.
    pub stamp: Stamp,
}

/// One row of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The local sequence, without gaps, in commit order.
    pub seq: i64,
    pub stamp: Stamp,
    /// When it was committed here, in microseconds since the Unix epoch.
    pub at_us: i64,
    pub event: Event,
}

pub(crate) fn head(snapshot: &Snapshot<'_>) -> Result<Head> {
    let head = snapshot.query_first("SELECT seq, stamp FROM journal_head WHERE id = 1", &[], |row| {
        Ok(Head { seq: row.int(0)?, stamp: Stamp(row.int(1)?) })
    })?;
    head.ok_or(MetaError::Corrupt { what: "journal head" })
}

/// The last statements of a write: takes as many sequence numbers as there are changes, and writes their rows.
/// The lock on the head's row makes the order of sequences that of commits, on any engine. Returns the sequences taken.
pub(crate) fn append(tx: &Tx<'_>, changes: &[Change]) -> Result<Range<i64>> {
    let count = changes.len() as i64;
    let last = tx.query_first(
        "UPDATE journal_head SET seq = seq + ?1, stamp = CASE WHEN stamp < ?2 THEN ?2 ELSE stamp END WHERE id = 1 RETURNING seq",
        values![count, tx.stamp()],
        |row| row.int(0),
    )?;
    let first = last.ok_or(MetaError::Corrupt { what: "journal head" })? - count + 1;
    for (seq, Change { stamp, event }) in (first..).zip(changes) {
        let event = serde_json::to_string(event).map_err(MetaError::corrupt("event"))?;
        tx.execute(
            "INSERT INTO journal (seq, origin, origin_seq, stamp, at, event) VALUES (?1, ?2, ?1, ?3, ?4, ?5)",
            values![seq, OWN_ORIGIN, *stamp, tx.now_us(), event.as_str()],
        )?;
    }
    Ok(first..first + count)
}

impl Snapshot<'_> {
    /// Where the journal ends.
    pub fn journal_head(&self) -> Result<Head> {
        head(self)
    }

    /// At most `limit` entries after the sequence `after`, in order.
    pub fn journal_after(&self, after: i64, limit: usize) -> Result<Vec<Entry>> {
        self.query(
            "SELECT seq, stamp, at, event FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            values![after, limit],
            |row| {
                Ok(Entry {
                    seq: row.int(0)?,
                    stamp: Stamp(row.int(1)?),
                    at_us: row.int(2)?,
                    event: serde_json::from_str(&row.text(3)?).map_err(MetaError::corrupt("event"))?,
                })
            },
        )
    }

    /// The last sequence that `consumer` has dealt with; 0 for one that never did.
    pub fn cursor(&self, consumer: &str) -> Result<i64> {
        let seq =
            self.query_first("SELECT seq FROM cursors WHERE consumer = ?1", values![consumer], |row| row.int(0))?;
        Ok(seq.unwrap_or(0))
    }
}

impl Tx<'_> {
    /// Notes that `consumer` has dealt with everything up to `seq`. In the transaction of the reaction itself, a
    /// crash repeats neither.
    pub fn set_cursor(&mut self, consumer: &str, seq: i64) -> Result<()> {
        self.execute(
            "INSERT INTO cursors (consumer, seq) VALUES (?1, ?2) ON CONFLICT (consumer) DO UPDATE SET seq = excluded.seq",
            values![consumer, seq],
        )?;
        Ok(())
    }

    /// Removes at most `limit` tombstones of each kind, and as many removed registers, that are older than
    /// `before_us`, and says how many were most. Nobody else needs them while the installation stands alone.
    pub fn prune_tombstones(&mut self, before_us: i64, limit: usize) -> Result<usize> {
        let of_content = self.execute(
            "DELETE FROM tombstones WHERE (registry_id, repository, item) IN
                 (SELECT registry_id, repository, item FROM tombstones WHERE at < ?1 LIMIT ?2)",
            values![before_us, limit],
        )?;
        let of_resources = self.execute(
            "DELETE FROM resource_tombstones WHERE id IN
                 (SELECT id FROM resource_tombstones WHERE at < ?1 LIMIT ?2)",
            values![before_us, limit],
        )?;
        // A stamp is never earlier than the time at which it was given.
        let registers = self.execute(
            "DELETE FROM resource_properties WHERE value IS NULL AND (resource_id, name) IN
                 (SELECT resource_id, name FROM resource_properties WHERE value IS NULL AND stamp < ?1 LIMIT ?2)",
            values![before_us, limit],
        )?;
        Ok(of_content.max(of_resources).max(registers))
    }

    /// Removes at most `limit` entries that every consumer has passed and that are older than `before_us`.
    pub fn prune_journal(&mut self, before_us: i64, limit: usize) -> Result<usize> {
        self.execute(
            "DELETE FROM journal WHERE seq IN (
                SELECT seq FROM journal
                WHERE at < ?1 AND seq <= (SELECT coalesce(min(seq), 0) FROM cursors)
                ORDER BY seq LIMIT ?2)",
            values![before_us, limit],
        )
    }
}
