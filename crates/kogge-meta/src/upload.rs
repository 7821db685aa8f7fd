//! Upload sessions. They live beside the state: not journalled, not synced.

use kogge_types::{Algorithm, RepositoryName, UploadId};

use crate::error::Result;
use crate::repository::RegistryKey;
use crate::sql::{Row, Snapshot, Tx, values};

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    pub id: UploadId,
    pub registry: RegistryKey,
    pub repository: RepositoryName,
    /// Bytes taken so far.
    pub bytes: u64,
    /// The algorithm that the hash is computed under.
    pub algorithm: Algorithm,
    /// The state of the hash after `bytes`.
    pub hash_state: Vec<u8>,
    /// What the blob store needs to go on.
    pub store_state: Vec<u8>,
    /// Raised by each request that writes.
    pub epoch: i64,
    pub updated_at_us: i64,
}

const COLUMNS: &str = "id, registry_id, repository, bytes, algorithm, hash_state, store_state, epoch, updated_at";

fn read_upload(row: &Row<'_>) -> Result<UploadRecord> {
    Ok(UploadRecord {
        id: row.id(0, "upload id")?,
        registry: RegistryKey(row.int(1)?),
        repository: row.parsed(2, "repository name")?,
        bytes: row.size(3)?,
        algorithm: row.parsed(4, "algorithm")?,
        hash_state: row.bytes(5)?,
        store_state: row.bytes(6)?,
        epoch: row.int(7)?,
        updated_at_us: row.int(8)?,
    })
}

impl Snapshot<'_> {
    pub fn upload(&self, id: &UploadId) -> Result<Option<UploadRecord>> {
        self.query_first(&format!("SELECT {COLUMNS} FROM uploads WHERE id = ?1"), values![id], read_upload)
    }

    /// At most `limit` uploads after `after` that nobody has written to since `before_us`, in the order of their ids.
    pub fn idle_uploads(&self, before_us: i64, after: Option<&UploadId>, limit: usize) -> Result<Vec<UploadRecord>> {
        self.query(
            &format!(
                "SELECT {COLUMNS} FROM uploads WHERE updated_at <= ?1 AND (id > ?2 OR ?2 IS NULL) ORDER BY id LIMIT ?3"
            ),
            values![before_us, after, limit],
            read_upload,
        )
    }
}

impl Tx<'_> {
    pub fn insert_upload(&mut self, upload: &UploadRecord) -> Result<()> {
        self.execute(
            "INSERT INTO uploads (id, registry_id, repository, bytes, algorithm, hash_state, store_state, epoch,
                 created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
            values![
                &upload.id,
                upload.registry.0,
                upload.repository.as_str(),
                upload.bytes,
                upload.algorithm.as_str(),
                &upload.hash_state[..],
                &upload.store_state[..],
                upload.epoch,
                self.now_us(),
            ],
        )?;
        Ok(())
    }

    /// Takes the upload for writing: whoever held it before can no longer advance it.
    pub fn take_upload(&mut self, id: &UploadId) -> Result<Option<UploadRecord>> {
        self.query_first(
            &format!("UPDATE uploads SET epoch = epoch + 1, updated_at = ?2 WHERE id = ?1 RETURNING {COLUMNS}"),
            values![id, self.now_us()],
            read_upload,
        )
    }

    /// Records how far the upload has come. False when another writer has taken it meanwhile.
    pub fn advance_upload(&mut self, upload: &UploadRecord) -> Result<bool> {
        let advanced = self.execute(
            "UPDATE uploads SET bytes = ?3, algorithm = ?7, hash_state = ?4, store_state = ?5, updated_at = ?6
             WHERE id = ?1 AND epoch = ?2",
            values![
                &upload.id,
                upload.epoch,
                upload.bytes,
                &upload.hash_state[..],
                &upload.store_state[..],
                self.now_us(),
                upload.algorithm.as_str(),
            ],
        )?;
        Ok(advanced > 0)
    }

    /// Ends an upload. False when it is not there.
    pub fn delete_upload(&mut self, id: &UploadId) -> Result<bool> {
        Ok(self.execute("DELETE FROM uploads WHERE id = ?1", values![id])? > 0)
    }
}
