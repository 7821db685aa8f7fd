//! Requests that came over a rate limit, by category.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::rate_limit::Category;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CategoryLabel {
    category: &'static str,
}

/// Requests that came over a rate limit. Clones count into the same place.
#[derive(Debug, Clone, Default)]
pub struct RateLimitMetrics {
    waits: Family<CategoryLabel, Counter>,
    refusals: Family<CategoryLabel, Counter>,
    pub(crate) waiting: Gauge,
}

impl RateLimitMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for category in Category::NAMES {
            drop(self.waits.get_or_create(&CategoryLabel { category }));
            drop(self.refusals.get_or_create(&CategoryLabel { category }));
        }
        registry.register("rate_limit_waits", "Requests that waited for their turn", self.waits.clone());
        registry.register("rate_limit_refusals", "Requests refused over a limit", self.refusals.clone());
        registry.register("rate_limit_waiting", "Requests that wait for their turn", self.waiting.clone());
    }

    pub(crate) fn waited(&self, category: Category) {
        self.waits.get_or_create(&label(category)).inc();
    }

    pub(crate) fn refused(&self, category: Category) {
        self.refusals.get_or_create(&label(category)).inc();
    }
}

fn label(category: Category) -> CategoryLabel {
    CategoryLabel { category: Category::NAMES[category as usize] }
}
