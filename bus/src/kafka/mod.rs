//! The bus over Kafka: records are durable once the brokers say so, and are read by consumer groups.
//!
//! A topic is named `{prefix}.{topic}`, a consumer group `{group}.{who}.{topic}`, such as
//! `leaver.revoker.lifecycle.urgent.v1`: each topic has groups of its own, so that the lanes are followed apart. Members are
//! static (KIP-345): a process that comes back takes its own partitions again and disturbs nobody. One that stays away holds
//! them up for six seconds, then others take them.

mod config;
mod consumer;
mod error;
mod health;
mod layout;
mod line;
mod member;
mod metrics;
#[cfg(test)]
mod outages;
mod probe;
mod progress;
mod publisher;
mod settings;
mod subscription;
mod topics;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;

pub use config::{Brokers, Config, Mechanism, Name, Replication, Sasl, Tls};
pub use layout::Difference;
pub use metrics::{BROKER_ERRORS, LAG, Metrics, PUBLISHED, REBALANCES, REFUSED, UNREADABLE};
pub use probe::{Probe, Probed};

use crate::{Bus, Error, Record, Topic};
use consumer::Consumer;
use health::Health;
use publisher::Publisher;
use subscription::Subscription;
use topics::Topics;

/// See the module.
pub struct Kafka {
    config: Arc<Config>,
    instance: String,
    health: Health,
    topics: Topics,
    publisher: Publisher,
}

impl Kafka {
    /// Contacts nobody. `instance` names this process among all that share the brokers, and is the same after a restart.
    pub fn new(config: Config, instance: &str) -> Self {
        Self::open(Arc::new(config), legal(instance), Metrics::default())
    }

    /// Counts in `metrics` from now on.
    pub fn measured(self, metrics: Metrics) -> Self {
        Self::open(self.config, self.instance, metrics)
    }

    fn open(config: Arc<Config>, instance: String, metrics: Metrics) -> Self {
        let health = Health::new(metrics);
        let topics = Topics::new(config.clone(), &instance, health.clone());
        let producer = settings::producer(&config, &instance);
        let publisher = Publisher::new(producer, topics.clone(), health.clone());
        Self { config, instance, health, topics, publisher }
    }

    /// Looks at the brokers and the topics, and changes nothing.
    ///
    /// Errors: [`Error::Unavailable`] if no broker answers, [`Error::Unusable`] for settings that cannot be right.
    pub async fn probe(&self) -> Result<Probe, Error> {
        let brokers = self.config.brokers.as_str().to_owned();
        self.topics.ask(move |topics, inquiry| probe::probe(topics, inquiry, &brokers)).await
    }
}

/// Brokers take the letters of a topic's name here, and no more than those of a topic's name.
fn legal(instance: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    instance.chars().map(letter).take(200).collect()
}

#[async_trait]
impl Bus for Kafka {
    async fn publish(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error> {
        self.publisher.publish(topic, &records).await
    }

    async fn is_empty(&self, topic: Topic) -> Result<bool, Error> {
        self.topics.ensure(topic).await?;
        self.topics.ask(move |topics, inquiry| inquiry.is_empty(&topics.name(topic))).await
    }

    /// Contacts nobody; the first [`next`](crate::Subscription::next) does, and waits while no broker answers.
    async fn subscribe(&self, group: &'static str, topic: Topic) -> Result<Box<dyn crate::Subscription>, Error> {
        let group = format!("{}.{group}.{}", self.config.group.as_str(), topic.as_str());
        let consumer = Consumer {
            client: settings::consumer(&self.config, &self.instance, &group),
            topic,
            name: self.topics.name(topic),
            group,
            instance: self.instance.clone(),
            health: self.health.clone(),
        };
        Ok(Box::new(Subscription::new(topic, self.topics.clone(), consumer)))
    }
}
