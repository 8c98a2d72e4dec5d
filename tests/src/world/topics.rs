//! A world's topics, read as a stranger would: each time from the beginning, and as a member of no group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::eventually;

/// For what a broker answers in milliseconds.
const WAIT: Duration = Duration::from_secs(30);

const LIFECYCLE: [&str; 2] = ["lifecycle.urgent.v1", "lifecycle.bulk.v1"];

/// The topics of one world.
#[derive(Debug, Clone)]
pub struct Topics {
    brokers: String,
    prefix: String,
}

/// A record as it lies on a topic.
#[derive(Debug, Clone)]
pub struct Message {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    /// The broker's own timestamp, in milliseconds since 1970.
    pub at: i64,
    /// `null` for a tombstone.
    pub body: Value,
}

impl Topics {
    pub(super) fn new(brokers: &str, prefix: &str) -> Self {
        Self { brokers: brokers.to_owned(), prefix: prefix.to_owned() }
    }

    /// All records of a topic, named without its prefix, in the order of each partition. None where there is no such topic.
    pub async fn read(&self, topic: &str) -> Vec<Message> {
        let (brokers, topic) = (self.brokers.clone(), format!("{}.{topic}", self.prefix));
        tokio::task::spawn_blocking(move || read(&brokers, &topic)).await.expect("a topic can be read")
    }

    /// The events of both lanes.
    pub async fn events(&self) -> Vec<Message> {
        let [mut urgent, bulk] = [self.read(LIFECYCLE[0]).await, self.read(LIFECYCLE[1]).await];
        urgent.extend(bulk);
        urgent
    }

    /// The latest record of each subject on `revocations.v1`, as a reader keeps them: of two, the higher revision.
    pub async fn revocations(&self) -> BTreeMap<String, Value> {
        let mut latest: BTreeMap<String, Value> = BTreeMap::new();
        for message in self.read("revocations.v1").await {
            let held = latest.get(&message.key).map_or(-1, |held| held["revision"].as_i64().expect("a revision"));
            if message.body["revision"].as_i64().expect("a revision") > held {
                latest.insert(message.key, message.body);
            }
        }
        latest
    }

    /// The names of all its topics, without their prefix.
    pub async fn names(&self) -> Vec<String> {
        let topics = self.clone();
        tokio::task::spawn_blocking(move || topics.present()).await.expect("topics can be listed")
    }

    fn present(&self) -> Vec<String> {
        let all = consumer(&self.brokers).fetch_metadata(None, WAIT).expect("the broker lists its topics");
        let ours = all.topics().iter().filter_map(|topic| topic.name().strip_prefix(&format!("{}.", self.prefix)));
        ours.map(str::to_owned).collect()
    }

    /// Deletes all of them.
    pub(super) async fn delete(self) {
        let present = self.present();
        self.delete_these(&present).await;
    }

    /// Deletes a topic, named without its prefix, and waits until the broker knows nothing of it.
    pub async fn delete_one(&self, name: &str) {
        self.delete_these(&[name.to_owned()]).await;
        let gone = async || !self.names().await.iter().any(|present| present == name);
        eventually(WAIT, "the topic is gone", gone).await;
    }

    async fn delete_these(&self, names: &[String]) {
        let names: Vec<String> = names.iter().map(|name| format!("{}.{name}", self.prefix)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let admin: AdminClient<DefaultClientContext> = config(&self.brokers).create().expect("a client of Kafka");
        if !names.is_empty() {
            admin.delete_topics(&names, &AdminOptions::new()).await.expect("the broker deletes topics");
        }
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn consumer(brokers: &str) -> BaseConsumer {
    // It wants the name of a group even where it joins none.
    config(brokers)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a client of Kafka")
}

fn read(brokers: &str, topic: &str) -> Vec<Message> {
    let consumer = consumer(brokers);
    let metadata = consumer.fetch_metadata(None, WAIT).expect("the broker lists its topics");
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Vec::new() };
    let mut assignment = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in found.partitions().iter().map(|partition| partition.id()) {
        let (low, high) = watermarks(&consumer, topic, partition);
        if low < high {
            assignment.add_partition_offset(topic, partition, Offset::Offset(low)).expect("an offset");
            ends.insert(partition, high);
        }
    }
    consumer.assign(&assignment).expect("partitions can be read");
    let mut messages = Vec::new();
    while !ends.is_empty() {
        match consumer.poll(WAIT).expect("what is there can be read") {
            Ok(message) => messages.push(own(&message)),
            Err(error) => eprintln!("reading {topic}: {error}"),
        }
        let positions = consumer.position().expect("a reader has a position");
        ends.retain(|partition, end| {
            let read = positions.find_partition(topic, *partition).map(|position| position.offset());
            !matches!(read, Some(Offset::Offset(offset)) if offset >= *end)
        });
    }
    messages.sort_by_key(|message| (message.partition, message.offset));
    messages
}

/// The beginning and the end of a partition. One that has just been made has no leader for a moment.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let end = Instant::now() + WAIT;
    loop {
        match consumer.fetch_watermarks(topic, partition, WAIT) {
            Ok(found) => return found,
            Err(error) => assert!(Instant::now() < end, "partition {partition} of {topic}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn own(message: &BorrowedMessage<'_>) -> Message {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("records are UTF-8");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let body = message.payload().map_or(Value::Null, |body| serde_json::from_slice(body).expect("bodies are JSON"));
    Message {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        at: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(text).unwrap_or_default(),
        headers: headers.map(|h| (h.key.to_owned(), h.value.map(text).unwrap_or_default())).collect(),
        body,
    }
}
