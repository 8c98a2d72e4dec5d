//! The brokers of the tests: topics and groups of each test's own, removed at its end.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::sync::Arc;
use std::time::Duration;

use bus::{Kafka, Record, Topic, kafka};
use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use uuid::Uuid;

pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits for what must come, and fails when it does not.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("it comes within the limit")
}

/// Waits until `condition` holds, and fails when it does not.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// An event of subject `key`.
pub fn event(key: u128, n: usize) -> Record {
    let id = Uuid::now_v7();
    Record { key: Uuid::from_u128(key), id, body: json!({"id": id, "n": n}).to_string().into(), trace: None }
}

/// One test's part of the brokers.
pub struct Brokers {
    pub address: String,
    pub prefix: String,
}

impl Brokers {
    pub fn new() -> Self {
        let address = std::env::var("LEAVER_TEST_KAFKA_BROKERS")
            .expect("LEAVER_TEST_KAFKA_BROKERS names no Kafka: run `make services` and read target/services.env");
        Self { address, prefix: format!("test-{}", Uuid::now_v7().simple()) }
    }

    pub fn config(&self) -> kafka::Config {
        let mut config = kafka::Config::new(&self.address).expect("the address is HOST:PORT");
        config.prefix = kafka::Name::try_from(self.prefix.clone()).expect("the prefix is legal");
        config.group = config.prefix.clone();
        config
    }

    pub fn kafka(&self, instance: &str) -> Arc<Kafka> {
        Arc::new(Kafka::new(self.config(), instance))
    }

    pub fn name(&self, topic: Topic) -> String {
        format!("{}.{}", self.prefix, topic.as_str())
    }

    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.address);
        client
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client is made without the brokers")
    }

    /// Makes a topic as somebody else would.
    pub async fn make(&self, topic: Topic, partitions: i32, settings: &[(&str, &str)]) {
        let name = self.name(topic);
        let new =
            settings.iter().fold(NewTopic::new(&name, partitions, TopicReplication::Fixed(1)), |new, (key, value)| {
                new.set(key, value)
            });
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let made = self.admin().create_topics([&new], &options).await.expect("the brokers answer");
        made.into_iter().for_each(|one| drop(one.expect("the topic is made")));
    }

    /// Changes one setting of a topic; the others go back to what is default.
    pub async fn alter(&self, topic: Topic, setting: &str, value: &str) {
        let name = self.name(topic);
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(setting, value);
        let changed = self.admin().alter_configs([&change], &AdminOptions::new()).await.expect("the brokers answer");
        changed.into_iter().for_each(|one| drop(one.expect("the setting is changed")));
    }

    pub async fn setting(&self, topic: Topic, setting: &str) -> Option<String> {
        let name = self.name(topic);
        let topic = ResourceSpecifier::Topic(&name);
        let found = self.admin().describe_configs([&topic], &AdminOptions::new()).await.expect("the brokers answer");
        found.into_iter().find_map(|one| one.expect("the topic is there").get(setting)?.value.clone())
    }

    pub async fn delete(&self, topic: Topic) {
        let name = self.name(topic);
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let gone = self.admin().delete_topics(&[&name], &options).await.expect("the brokers answer");
        gone.into_iter().for_each(|one| drop(one.expect("the topic is deleted")));
    }

    /// What a group has committed, by partition; only partitions of which something is.
    pub fn committed(&self, group: &str, topic: Topic) -> Vec<(i32, i64)> {
        let mut client = self.client();
        client.set("group.id", format!("{}.{group}.{}", self.prefix, topic.as_str()));
        let reader: BaseConsumer = client.create().expect("a consumer is made without the brokers");
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&self.name(topic), 0, 11);
        let committed = reader.committed_offsets(partitions, LIMIT).expect("the brokers answer");
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        committed.elements().iter().filter_map(|e| Some((e.partition(), offset(e.offset())?))).collect()
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let names = Topic::ALL.map(|topic| self.name(topic));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Err(error) = block_on(self.admin().delete_topics(&names, &AdminOptions::new())) {
            eprintln!("the topics of this test stay: {error}");
        }
    }
}
