//! One writer per upload: what a superseded writer still has in flight ends before its successor begins.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kogge_types::UploadId;

use crate::error::{Result, StoreError};

/// The uploads that have a writer or work in flight.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    gates: Mutex<HashMap<UploadId, Weak<Gate>>>,
}

/// What all writers of one upload share.
#[derive(Debug)]
struct Gate {
    leases: Arc<Leases>,
    id: UploadId,
    /// Number of the newest lease: the only one that may touch the upload.
    newest: AtomicU64,
    /// Held by whoever touches the upload at the moment.
    passage: Mutex<()>,
}

/// The right to touch an upload, until a newer one is taken out.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    gate: Arc<Gate>,
    number: u64,
}

impl Leases {
    /// Takes `id` from whoever has it. Never blocks.
    pub(crate) fn take(self: &Arc<Self>, id: UploadId) -> Lease {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates.get(&id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let gate = Gate { leases: Arc::clone(self), id, newest: AtomicU64::new(0), passage: Mutex::new(()) };
                let gate = Arc::new(gate);
                gates.insert(id, Arc::downgrade(&gate));
                gate
            })
        };
        let number = gate.newest.fetch_add(1, Ordering::AcqRel) + 1;
        Lease { gate, number }
    }
}

impl Lease {
    /// Waits until nobody touches the upload and keeps it so while the guard lives. Blocks the thread for the
    /// time of one disk operation at most.
    pub(crate) fn hold(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = self.gate.passage.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gate.newest.load(Ordering::Acquire) == self.number { Ok(guard) } else { Err(StoreError::Superseded) }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut gates = self.leases.gates.lock().unwrap_or_else(PoisonError::into_inner);
        // A successor may have put its own gate there after this one lost its last holder.
        if gates.get(&self.id).is_some_and(|gate| gate.strong_count() == 0) {
            gates.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lease_alone_may_pass() {
        let leases = Arc::new(Leases::default());
        let id = UploadId::from_bytes([1; 16]);
        let first = leases.take(id);
        assert!(first.hold().is_ok());
        let second = leases.take(id);
        assert!(matches!(first.hold(), Err(StoreError::Superseded)));
        drop(first);
        assert!(second.hold().is_ok());
        drop(second);
        assert!(leases.gates.lock().unwrap().is_empty());
    }

    #[test]
    fn a_successor_waits_for_what_is_in_flight() {
        let leases = Arc::new(Leases::default());
        let id = UploadId::from_bytes([2; 16]);
        let old = leases.take(id);
        let held = old.hold().unwrap();
        let new = leases.take(id);
        assert!(new.gate.passage.try_lock().is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| new.hold().is_ok());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
