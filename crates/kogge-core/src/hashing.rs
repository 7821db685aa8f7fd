//! Hashing beside the reading: a large body is hashed on another thread while its next bytes come in.

use bytes::Bytes;
use kogge_types::{Code, Hasher, limits};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Hashes chunks in order. With a permit in batches on a thread that may block, one in flight while the next gathers;
/// without one at once.
#[derive(Debug)]
pub(crate) struct Hashing<'a> {
    stage: Stage,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    permit: Option<SemaphorePermit<'a>>,
}

#[derive(Debug)]
enum Stage {
    Idle(Box<Hasher>),
    Running(JoinHandle<Box<Hasher>>),
    /// A batch did not come back.
    Lost,
}

impl<'a> Hashing<'a> {
    pub(crate) fn new(hasher: Hasher, permit: Option<SemaphorePermit<'a>>) -> Self {
        Self { stage: Stage::Idle(Box::new(hasher)), waiting: Vec::new(), waiting_bytes: 0, permit }
    }

    pub(crate) async fn push(&mut self, chunk: &Bytes) -> Result<()> {
        if let (None, Stage::Idle(hasher)) = (&self.permit, &mut self.stage) {
            hasher.update(chunk);
            return Ok(());
        }
        self.waiting_bytes += chunk.len();
        self.waiting.push(chunk.clone());
        if self.waiting_bytes < limits::HASH_BATCH_BYTES {
            return Ok(());
        }
        let mut hasher = self.hasher().await?;
        let batch = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.stage = Stage::Running(tokio::task::spawn_blocking(move || {
            batch.iter().for_each(|chunk| hasher.update(chunk));
            hasher
        }));
        Ok(())
    }

    /// The hash of all that was pushed.
    pub(crate) async fn finish(mut self) -> Result<Hasher> {
        let mut hasher = self.hasher().await?;
        self.waiting.iter().for_each(|chunk| hasher.update(chunk));
        Ok(*hasher)
    }

    async fn hasher(&mut self) -> Result<Box<Hasher>> {
        if let Stage::Running(batch) = &mut self.stage {
            let hasher = batch.await;
            self.stage = Stage::Lost;
            return hasher.map_err(Error::internal);
        }
        match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Idle(hasher) => Ok(hasher),
            Stage::Running(_) | Stage::Lost => {
                Err(Error::new(Code::Internal, "an earlier batch of the upload's hash was lost"))
            }
        }
    }
}
