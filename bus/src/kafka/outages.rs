//! Publishing while brokers fail: librdkafka's own brokers, which fail when they are told to. They cannot be asked how a topic
//! is set, so it is trusted here; and they take requests in any order, so nothing is said here about retries.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::Lane;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Request, RDKafkaRespErr as Failure};
use serde_json::json;
use uuid::Uuid;

use super::{Config, Kafka};
use crate::{Bus, Error, Record, Topic};

const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
const SUBJECTS: usize = 5;

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it comes within the limit")
}

fn event(key: u128, n: usize) -> Record {
    let id = Uuid::now_v7();
    Record { key: Uuid::from_u128(key), id, body: json!({"id": id, "n": n}).to_string().into(), trace: None }
}

fn cluster() -> (MockCluster<'static, DefaultProducerContext>, Arc<Kafka>) {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("leaver.lifecycle.urgent.v1", 12, 3).unwrap();
    let kafka = Kafka::new(Config::new(&cluster.bootstrap_servers()).unwrap(), "one");
    kafka.topics.trust(URGENT);
    (cluster, Arc::new(kafka))
}

/// So many records of each subject, in turn.
fn sent(each: usize) -> Vec<Record> {
    (0..each * SUBJECTS).map(|n| event((n % SUBJECTS) as u128, n)).collect()
}

/// Reads the topic from its start: each record of a subject is there, and first came first.
async fn nothing_is_missing_and_nothing_is_overtaken(kafka: &Kafka, sent: &[Record]) {
    let mut wanted: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    sent.iter().for_each(|record| wanted.entry(record.key).or_default().push(record.id));
    let mut got: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    let mut subscription = kafka.subscribe("revoker", URGENT).await.unwrap();
    while got.values().map(Vec::len).sum::<usize>() < sent.len() {
        let batch = within(subscription.next()).await.unwrap();
        for received in &batch.records {
            let of_subject = got.entry(received.record.key).or_default();
            if !of_subject.contains(&received.record.id) {
                of_subject.push(received.record.id);
            }
        }
        batch.acknowledge();
    }
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn what_an_outage_interrupted_is_published_again_in_order() {
    let (cluster, kafka) = cluster();
    let sent = sent(200);
    let (before, during) = sent.split_at(500);
    within(kafka.publish(URGENT, before.to_vec())).await.unwrap();
    for broker in 1..=3 {
        cluster.broker_down(broker).unwrap();
    }
    let error = within(kafka.publish(URGENT, during.to_vec())).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    for broker in 1..=3 {
        cluster.broker_up(broker).unwrap();
    }
    kafka.topics.trust(URGENT);
    within(kafka.publish(URGENT, during.to_vec())).await.unwrap();
    nothing_is_missing_and_nothing_is_overtaken(&kafka, &sent).await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_an_outage_until_it_is_granted() {
    let (cluster, kafka) = cluster();
    cluster.request_errors(Request::Produce, &[Failure::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let sent = vec![event(1, 1)];
    let error = within(kafka.publish(URGENT, sent.clone())).await.unwrap_err();
    let Error::Unavailable(reason) = &error else { panic!("{error:?}") };
    assert!(reason.to_string().contains("grant Write"), "{reason}");
    kafka.topics.trust(URGENT);
    within(kafka.publish(URGENT, sent.clone())).await.unwrap();
    nothing_is_missing_and_nothing_is_overtaken(&kafka, &sent).await;
}
