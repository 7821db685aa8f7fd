//! Brings what the rules have counted into the metrics, when they are asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use kogge_core::Core;
use prometheus_client::metrics::counter::Counter;

use crate::metrics::RegistryMetrics;

impl RegistryMetrics {
    /// Takes over the present state of `core`. What cannot be read stays as it was: metrics never fail.
    pub(crate) async fn observe(&self, core: &Core) {
        let counters = core.counters();
        raise(&self.gc_blobs_deleted, &counters.copies_removed);
        raise(&self.gc_bytes_freed, &counters.bytes_removed);
        raise(&self.gc_runs, &counters.gc_runs);
        raise(&self.uploads_expired, &counters.uploads_expired);
        raise(&self.upload_rereads, &counters.upload_rereads);
        raise(&self.scrub_bytes, &counters.bytes_scrubbed);
        raise(&self.scrub_blobs_corrupt, &counters.blobs_corrupt);
        if let Some(counters) = core.audit().counters() {
            raise(&self.audit.events, &counters.recorded);
            raise(&self.audit.dropped, &counters.dropped);
            raise(&self.audit.folded, &counters.folded);
            raise(&self.audit.write_failures, &counters.write_failures);
        }
        if let Ok(garbage) = core.count_garbage().await {
            let candidates = garbage.links_due + garbage.links_waiting + garbage.condemned;
            self.gc_candidates.set(i64::try_from(candidates).unwrap_or(i64::MAX));
        }
        if let Ok((seq, lag)) = core.journal_state().await {
            self.journal_sequence.set(seq);
            self.journal_lag("gc").set(lag);
        }
    }
}

/// Raises `metric` to what was counted.
fn raise(metric: &Counter, counted: &AtomicU64) {
    let counted = counted.load(Ordering::Relaxed);
    metric.inc_by(counted.saturating_sub(metric.get()));
}
