//! Work on threads that may block.

use std::io;

use tokio::task::{JoinError, JoinHandle};

use crate::error::{Result, StoreError};

/// Runs `work` where it may block.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    landed(&mut tokio::task::spawn_blocking(work)).await
}

/// Waits for blocking work that was started before.
pub(crate) async fn landed<T>(work: &mut JoinHandle<Result<T>>) -> Result<T> {
    work.await.unwrap_or_else(|error| Err(lost(error)))
}

/// The task panicked, or the runtime is going down.
pub(crate) fn lost(error: JoinError) -> StoreError {
    StoreError::Io { action: "finish work on the disk", source: io::Error::other(error) }
}
