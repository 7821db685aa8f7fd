//! What the audit recorded and could not.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What the audit recorded and could not. Clones count into the same place.
#[derive(Debug, Clone, Default)]
pub struct AuditMetrics {
    pub(crate) events: Counter,
    pub(crate) dropped: Counter,
    pub(crate) folded: Counter,
    pub(crate) write_failures: Counter,
}

impl AuditMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("audit_events", "Events taken by the audit", self.events.clone());
        registry.register("audit_dropped", "Pulls that the audit had no room for", self.dropped.clone());
        registry.register(
            "audit_folded",
            "Events that the audit folded into others of their kind",
            self.folded.clone(),
        );
        registry.register("audit_write_failures", "Writes of the audit that failed", self.write_failures.clone());
    }
}
