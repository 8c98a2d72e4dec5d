//! What the bus measures over Kafka. The only label is the topic, without its prefix.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::Topic;

pub const PUBLISHED: &str = "leaver_bus_published";
pub const REFUSED: &str = "leaver_bus_refused";
pub const UNREADABLE: &str = "leaver_bus_unreadable";
pub const BROKER_ERRORS: &str = "leaver_bus_broker_errors";
pub const REBALANCES: &str = "leaver_bus_rebalances";
/// Records that nobody of the consumer group has acknowledged yet, in the partitions of this process.
pub const LAG: &str = "leaver_bus_consumer_lag";

type ByTopic = [(&'static str, &'static str); 1];

/// Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    published: Family<ByTopic, Counter>,
    refused: Family<ByTopic, Counter>,
    unreadable: Family<ByTopic, Counter>,
    rebalances: Family<ByTopic, Counter>,
    lag: Family<ByTopic, Gauge>,
    /// Of the connection as a whole: librdkafka does not say for which topic.
    pub(crate) broker_errors: Counter,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // From 0, so that the first of everything is an increase.
        for topic in Topic::ALL {
            metrics.published(topic, 0);
            metrics.refused(topic, 0);
        }
        registry.register(
            PUBLISHED,
            "Records that the brokers acknowledged; like all of `leaver_bus`, with Kafka only",
            metrics.published.clone(),
        );
        registry.register(REFUSED, "Records that the brokers will never take", metrics.refused.clone());
        registry.register(UNREADABLE, "Records that nobody can understand", metrics.unreadable.clone());
        registry.register(BROKER_ERRORS, "Errors of brokers and of the way to them", metrics.broker_errors.clone());
        registry.register(REBALANCES, "Changes of who follows which partitions", metrics.rebalances.clone());
        registry.register(
            LAG,
            "Records not yet acknowledged in the partitions that this process follows",
            metrics.lag.clone(),
        );
        metrics
    }

    /// A consumer of this topic begins: what it counts does so from 0.
    pub(crate) fn follows(&self, topic: Topic) {
        for family in [&self.unreadable, &self.rebalances] {
            drop(family.get_or_create(&label(topic)));
        }
    }

    pub(crate) fn published(&self, topic: Topic, count: usize) {
        self.published.get_or_create(&label(topic)).inc_by(count as u64);
    }

    pub(crate) fn refused(&self, topic: Topic, count: usize) {
        self.refused.get_or_create(&label(topic)).inc_by(count as u64);
    }

    pub(crate) fn unreadable(&self, topic: Topic) {
        self.unreadable.get_or_create(&label(topic)).inc();
    }

    pub(crate) fn rebalanced(&self, topic: Topic) {
        self.rebalances.get_or_create(&label(topic)).inc();
    }

    pub(crate) fn lag(&self, topic: Topic, records: i64) {
        self.lag.get_or_create(&label(topic)).set(records);
    }
}

fn label(topic: Topic) -> ByTopic {
    [("topic", topic.as_str())]
}
