//! What the relay counts.

use lifecycle::Lane;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

pub const PUBLISHED: &str = "leaver_relay_published";
pub const FAILURES: &str = "leaver_relay_failures";

/// Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    published: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) failures: Counter,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(PUBLISHED, "Events that the bus acknowledged, by lane", metrics.published.clone());
        registry.register(FAILURES, "Passes over the pending set that failed", metrics.failures.clone());
        metrics
    }

    pub(crate) fn published(&self, lane: Lane, count: usize) {
        self.published.get_or_create(&[("lane", lane.as_str())]).inc_by(count as u64);
    }
}
