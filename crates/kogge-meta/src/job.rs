//! Jobs: work that takes time, one row a kind, leased by whoever runs it.

use crate::error::Result;
use crate::sql::{Row, Snapshot, Tx, values};

/// A leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub kind: String,
    /// Where the last run left off, in the kind's own form.
    pub payload: String,
    /// When it was leased: by this the lease is told from any later one.
    pub leased_at_us: i64,
    /// Failed runs in a row before this one.
    pub attempts: i64,
}

/// A job as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    pub kind: String,
    pub not_before_us: i64,
    pub running: bool,
    pub attempts: i64,
    pub started_at_us: Option<i64>,
    pub finished_at_us: Option<i64>,
    /// Why the last run failed, unless it succeeded.
    pub error: Option<String>,
}

impl Snapshot<'_> {
    pub fn jobs(&self) -> Result<Vec<JobRecord>> {
        self.query(
            "SELECT kind, not_before, lease_until, attempts, started_at, finished_at, error FROM jobs ORDER BY kind",
            &[],
            |row| {
                Ok(JobRecord {
                    kind: row.text(0)?,
                    not_before_us: row.int(1)?,
                    running: row.opt_int(2)?.is_some(),
                    attempts: row.int(3)?,
                    started_at_us: row.opt_int(4)?,
                    finished_at_us: row.opt_int(5)?,
                    error: row.opt_text(6)?,
                })
            },
        )
    }
}

impl Tx<'_> {
    /// Makes sure that there is a job of this kind, due at once when it is new.
    pub fn ensure_job(&mut self, kind: &str) -> Result<()> {
        self.execute(
            "INSERT INTO jobs (kind, payload, not_before, attempts) VALUES (?1, '', ?2, 0) ON CONFLICT DO NOTHING",
            values![kind, self.now_us()],
        )?;
        Ok(())
    }

    /// Makes a job due now.
    pub fn hasten_job(&mut self, kind: &str) -> Result<()> {
        self.execute("UPDATE jobs SET not_before = ?2 WHERE kind = ?1", values![kind, self.now_us()])?;
        Ok(())
    }

    /// Leases the job until `lease_until_us`, when it is due and nobody holds it.
    pub fn lease_job(&mut self, kind: &str, lease_until_us: i64) -> Result<Option<Job>> {
        self.query_first(
            "UPDATE jobs SET lease_until = ?3, started_at = ?2
             WHERE kind = ?1 AND not_before <= ?2 AND (lease_until IS NULL OR lease_until <= ?2)
             RETURNING kind, payload, started_at, attempts",
            values![kind, self.now_us(), lease_until_us],
            read_job,
        )
    }

    /// Leases a job for longer. False when the lease has ended: somebody else may have the job.
    pub fn renew_lease(&mut self, job: &Job, lease_until_us: i64) -> Result<bool> {
        let renewed = self.execute(
            "UPDATE jobs SET lease_until = ?3 WHERE kind = ?1 AND started_at = ?2 AND lease_until IS NOT NULL",
            values![job.kind.as_str(), job.leased_at_us, lease_until_us],
        )?;
        Ok(renewed > 0)
    }

    /// Ends a run: what the next one starts from, when it is due, and why this one failed, if it did. Nothing changes
    /// when somebody else has leased the job meanwhile.
    pub fn finish_job(&mut self, job: &Job, payload: &str, not_before_us: i64, error: Option<&str>) -> Result<()> {
        self.execute(
            "UPDATE jobs SET payload = ?2, not_before = ?3, error = ?4, finished_at = ?5, lease_until = NULL,
                 attempts = CASE WHEN CAST(?4 AS TEXT) IS NULL THEN 0 ELSE attempts + 1 END
             WHERE kind = ?1 AND started_at = ?6",
            values![job.kind.as_str(), payload, not_before_us, error, self.now_us(), job.leased_at_us],
        )?;
        Ok(())
    }

    /// Ends every lease: where the process that starts is the only one, what an earlier one held is free.
    pub fn free_leases(&mut self) -> Result<()> {
        self.execute("UPDATE jobs SET lease_until = NULL", &[])?;
        Ok(())
    }
}

fn read_job(row: &Row<'_>) -> Result<Job> {
    Ok(Job { kind: row.text(0)?, payload: row.text(1)?, leased_at_us: row.int(2)?, attempts: row.int(3)? })
}
