//! Upload sessions. One without bytes needs no row: most live from a POST to the PUT that follows it. It is kept in the
//! process, and forgotten with it; the client of such a session has lost nothing and begins again. Where several nodes
//! share the metadata, each session has a row from its beginning, so that any of them can take the next chunk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_meta::{Commit, Meta, UploadRecord};
use kogge_types::UploadId;

use crate::error::Result;
use crate::turn::Turns;

/// Sessions without bytes that the process keeps; further ones get a row.
const KEPT_MAX: usize = 10_000;

/// The upload sessions of a node.
#[derive(Debug)]
pub(crate) struct Sessions {
    meta: Arc<Meta>,
    fresh: Mutex<HashMap<UploadId, UploadRecord>>,
    /// Sessions that a request is writing to, and how many requests think so.
    busy: Mutex<HashMap<UploadId, u32>>,
    turns: Turns,
}

/// A request that writes to a session, until it is dropped: the session is not idle.
#[derive(Debug)]
pub(crate) struct Busy {
    sessions: Arc<Sessions>,
    id: UploadId,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.sessions.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = busy.get_mut(&self.id) {
            *requests -= 1;
            if *requests == 0 {
                busy.remove(&self.id);
            }
        }
    }
}

impl Sessions {
    pub(crate) fn new(meta: Arc<Meta>) -> Self {
        Self { meta, fresh: Mutex::default(), busy: Mutex::default(), turns: Turns::new() }
    }

    fn fresh(&self) -> MutexGuard<'_, HashMap<UploadId, UploadRecord>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request writes to the session.
    pub(crate) fn occupy(self: &Arc<Self>, id: UploadId) -> Busy {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
        Busy { sessions: Arc::clone(self), id }
    }

    fn is_busy(&self, id: &UploadId) -> bool {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Waits until nobody else takes or keeps the session.
    pub(crate) async fn turn(&self, id: UploadId) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.wait(id).await
    }

    /// Begins a session, which has no bytes.
    pub(crate) async fn begin(&self, record: UploadRecord) -> Result<()> {
        if !self.meta.is_shared() {
            let mut fresh = self.fresh();
            if fresh.len() < KEPT_MAX {
                fresh.insert(record.id, record);
                return Ok(());
            }
        }
        Ok(self.meta.write_sessions(move |tx| tx.insert_upload(&record).map(Commit::quiet)).await?)
    }

    pub(crate) async fn find(&self, id: UploadId) -> Result<Option<UploadRecord>> {
        let fresh = self.fresh().get(&id).cloned();
        match fresh {
            Some(record) => Ok(Some(record)),
            None => Ok(self.meta.read_sessions(move |snapshot| snapshot.upload(&id)).await?),
        }
    }

    /// Takes the session for writing: whoever had it before can no longer keep it. The caller has the turn.
    pub(crate) async fn take(&self, id: UploadId, now_us: i64) -> Result<Option<UploadRecord>> {
        if let Some(record) = self.fresh().get_mut(&id) {
            record.epoch += 1;
            record.updated_at_us = now_us;
            return Ok(Some(record.clone()));
        }
        Ok(self.meta.write_sessions(move |tx| tx.take_upload(&id).map(Commit::quiet)).await?)
    }

    /// Notes how far the session has come. False when another request has taken it, or it has ended.
    pub(crate) async fn keep(&self, record: UploadRecord) -> Result<bool> {
        let _turn = self.turn(record.id).await;
        let fresh = self.fresh().get(&record.id).map(|fresh| fresh.epoch);
        match fresh {
            None => Ok(self.meta.write_sessions(move |tx| tx.advance_upload(&record).map(Commit::quiet)).await?),
            Some(epoch) if epoch != record.epoch => Ok(false),
            Some(_) => {
                let id = record.id;
                self.meta.write_sessions(move |tx| tx.insert_upload(&record).map(Commit::quiet)).await?;
                let ended = self.fresh().remove(&id).is_none();
                if ended {
                    self.meta.write_sessions(move |tx| tx.delete_upload(&id).map(Commit::quiet)).await?;
                }
                Ok(!ended)
            }
        }
    }

    /// Ends the session, if there is one.
    pub(crate) async fn end(&self, id: UploadId) -> Result<()> {
        if self.fresh().remove(&id).is_none() {
            self.meta.write_sessions(move |tx| tx.delete_upload(&id).map(|_| Commit::quiet(()))).await?;
        }
        Ok(())
    }

    /// At most `limit` sessions after `after` that nobody has written to since `before_us`, in the order of their ids.
    pub(crate) async fn idle(&self, before_us: i64, after: Option<UploadId>, limit: usize) -> Result<Vec<UploadId>> {
        let idle =
            |record: &&UploadRecord| record.updated_at_us <= before_us && after.is_none_or(|after| record.id > after);
        let mut ids: Vec<UploadId> = self.fresh().values().filter(idle).map(|record| record.id).collect();
        let rows =
            self.meta.read_sessions(move |snapshot| snapshot.idle_uploads(before_us, after.as_ref(), limit)).await?;
        ids.extend(rows.iter().map(|record| record.id));
        ids.sort_unstable();
        ids.truncate(limit);
        ids.retain(|id| !self.is_busy(id));
        Ok(ids)
    }
}
