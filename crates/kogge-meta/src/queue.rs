//! Writes that wait for their turn: an engine takes them in batches, runs each, and answers all when their fate is known.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kogge_types::limits;
use tokio::sync::{mpsc, oneshot};

use crate::change::{Change, Commit, Touched};
use crate::error::{MetaError, Result};
use crate::sql::Tx;

/// What a batch has done.
pub(crate) struct Committed {
    /// What became stale.
    pub(crate) touched: Vec<Touched>,
    /// The sequences of its entries in the journal.
    pub(crate) written: Range<i64>,
}

/// Told of each batch after its commit and before its writers are answered.
pub(crate) type AfterCommit = Box<dyn Fn(&Committed) + Send>;

/// One waiting write, its types erased.
pub(crate) trait Job: Send {
    /// Runs the write. `None`: it refused, and what it wrote must go.
    fn run(&mut self, tx: &mut Tx<'_>) -> Option<Vec<Change>>;
    /// Answers whoever waits, once the fate of the transaction is known.
    fn answer(self: Box<Self>, committed: Result<()>);
}

/// Where writes wait. The writer at its other end stops when this is dropped and all that waits is done.
#[derive(Debug)]
pub(crate) struct Queue(mpsc::Sender<Box<dyn Job>>);

pub(crate) type Waiting = mpsc::Receiver<Box<dyn Job>>;

impl Queue {
    pub(crate) fn new() -> (Self, Waiting) {
        let (queue, waiting) = mpsc::channel(limits::WRITE_QUEUE_MAX);
        (Self(queue), waiting)
    }

    /// Runs `write` within the next transaction, and answers when that is durable.
    pub(crate) async fn write<T, E, F>(&self, write: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send + 'static,
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Write { write: Some(write), outcome: None, answer });
        self.0.send(job).await.map_err(|_| MetaError::Stopped)?;
        answered.await.map_err(|_| MetaError::Stopped)?
    }
}

/// Hands batches of what waits to `commit` until nobody can write any more, and answers each write.
pub(crate) fn serve(
    mut waiting: Waiting,
    after_commit: &AfterCommit,
    mut commit: impl FnMut(&mut [Box<dyn Job>]) -> Result<Committed>,
) {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, limits::WRITE_BATCH_MAX) > 0 {
        let outcome = commit(&mut batch);
        if let Ok(committed) = &outcome {
            after_commit(committed);
        }
        let outcome = outcome.map(|_| ());
        for job in batch.drain(..) {
            job.answer(outcome.clone());
        }
    }
}

struct Write<T, E, F> {
    write: Option<F>,
    outcome: Option<std::result::Result<T, E>>,
    answer: oneshot::Sender<std::result::Result<T, E>>,
}

impl<T, E, F> Job for Write<T, E, F>
where
    F: FnOnce(&mut Tx<'_>) -> std::result::Result<Commit<T>, E> + Send,
    T: Send,
    E: From<MetaError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Option<Vec<Change>> {
        let write = self.write.take()?;
        // A write that panics must not take the writer of everybody with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| write(tx))).unwrap_or_else(|_| Err(MetaError::Stopped.into()));
        match outcome {
            Ok(Commit { value, changes }) => {
                self.outcome = Some(Ok(value));
                Some(changes)
            }
            Err(refusal) => {
                self.outcome = Some(Err(refusal));
                None
            }
        }
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let outcome = match (committed, self.outcome) {
            // What was refused is refused, whatever became of the others.
            (_, Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(MetaError::Stopped.into()),
        };
        // Nobody waits any more when the client left. The write stands all the same.
        let _ = self.answer.send(outcome);
    }
}
