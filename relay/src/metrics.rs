//! What the relay counts, by topic.

use bus::Topic;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

pub const PUBLISHED: &str = "leaver_relay_published";
pub const READ: &str = "leaver_relay_read";
pub const PARKED: &str = "leaver_relay_parked";
pub const FAILURES: &str = "leaver_relay_failures";

type ByTopic = Family<[(&'static str, &'static str); 1], Counter>;

/// Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    published: ByTopic,
    read: ByTopic,
    parked: ByTopic,
    failures: ByTopic,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // From 0, so that the first of everything is an increase.
        for topic in Topic::ALL {
            for family in [&metrics.published, &metrics.read, &metrics.parked, &metrics.failures] {
                add(family, topic, 0);
            }
        }
        registry.register(PUBLISHED, "Records that the bus acknowledged", metrics.published.clone());
        registry.register(
            READ,
            "Pending rows that were read; far more than published means reading again",
            metrics.read.clone(),
        );
        registry.register(
            PARKED,
            "Records that the bus will never take; they are in `ledger.parked`",
            metrics.parked.clone(),
        );
        registry.register(
            FAILURES,
            "Publishes and reads that failed; all of it stays pending",
            metrics.failures.clone(),
        );
        metrics
    }

    pub(crate) fn published(&self, topic: Topic, count: usize) {
        add(&self.published, topic, count);
    }

    pub(crate) fn read(&self, topic: Topic, count: usize) {
        add(&self.read, topic, count);
    }

    pub(crate) fn parked(&self, topic: Topic, count: usize) {
        add(&self.parked, topic, count);
    }

    pub(crate) fn failed(&self, topic: Topic) {
        add(&self.failures, topic, 1);
    }
}

fn add(family: &ByTopic, topic: Topic, count: usize) {
    family.get_or_create(&[("topic", topic.as_str())]).inc_by(count as u64);
}
