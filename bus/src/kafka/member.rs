//! A member of a consumer group: what librdkafka tells it, all of it on the consumer's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, Statistics, TopicPartitionList};

use super::consumer::Shared;
use super::health::Health;
use crate::Topic;

/// Who follows a topic, and how far.
pub(crate) struct Member {
    pub topic: Topic,
    pub name: String,
    pub health: Health,
    pub shared: Arc<Shared>,
    /// Whether it lost its partitions, for the brokers were away for a session.
    pub cut: AtomicBool,
}

/// What is acknowledged without a gap is committed with the next automatic commit.
pub(crate) fn settle<C: ConsumerContext>(consumer: &BaseConsumer<C>, name: &str, shared: &Shared) {
    let settled = shared.progress().take_settled();
    if settled.is_empty() {
        return;
    }
    let mut offsets = TopicPartitionList::with_capacity(settled.len());
    let added =
        settled.iter().try_for_each(|(p, offset)| offsets.add_partition_offset(name, *p, Offset::Offset(*offset)));
    if let Err(error) = added.and_then(|()| consumer.store_offsets(&offsets)) {
        // The partition is being taken away; whoever gets it reads these records again.
        tracing::debug!(%error, topic = name, "acknowledged too late to be committed");
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.health.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.health.well();
        }
        let followed = statistics.topics.get(&self.name);
        let partitions = followed.into_iter().flat_map(|topic| topic.partitions.values());
        let lag = partitions.filter(|partition| partition.desired && partition.partition >= 0).map(|partition| {
            // Minus one, or -1001: nothing was acknowledged by us, or by anybody, yet.
            match (partition.consumer_lag_stored, partition.consumer_lag) {
                (stored, _) if partition.stored_offset >= 0 && stored >= 0 => stored,
                (_, committed) if committed >= 0 => committed,
                _ => (partition.hi_offset - partition.lo_offset.max(0)).max(0),
            }
        });
        self.health.metrics.lag(self.topic, lag.sum());
    }
}

impl ConsumerContext for Member {
    /// Runs on the consumer's thread, before partitions come or go.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let of = |list: &TopicPartitionList| -> Vec<i32> { list.elements().iter().map(|e| e.partition()).collect() };
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = of(list);
                self.rebalanced("taken", &partitions);
                self.shared.progress().assign(partitions);
            }
            Rebalance::Revoke(list) => {
                let partitions = of(list);
                self.rebalanced("given up", &partitions);
                // Committed as they go, unless others have them already.
                if consumer.assignment_lost() {
                    self.cut.store(true, Ordering::Release);
                } else {
                    settle(consumer, &self.name, &self.shared);
                }
                self.shared.progress().revoke(partitions);
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, topic = self.name, "a rebalance failed; it is tried again")
            }
        }
    }
}

impl Member {
    fn rebalanced(&self, what: &str, partitions: &[i32]) {
        if !partitions.is_empty() {
            self.health.metrics.rebalanced(self.topic);
            tracing::info!(topic = self.name, partitions = partitions.len(), "Kafka partitions {what}");
        }
    }
}
