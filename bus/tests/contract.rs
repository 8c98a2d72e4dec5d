//! What every bus keeps to, whichever carries the records.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod brokers;

use std::sync::Arc;

use bus::{Batch, Bus, Error, Local, Record, Topic};
use lifecycle::Lane;

use brokers::{Brokers, event, within};

const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
const BULK: Topic = Topic::Lifecycle(Lane::Bulk);

fn records(batch: &Batch) -> Vec<Record> {
    batch.records.iter().map(|received| received.record.clone()).collect()
}

/// Publishes as the relay does: again, until it is durable.
async fn until_durable(bus: Arc<dyn Bus>, topic: Topic, record: Record) {
    while let Err(error) = bus.publish(topic, vec![record.clone()]).await {
        assert!(matches!(error, Error::NotAcknowledged), "{error}");
    }
}

async fn records_arrive_as_published_and_in_order(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let mut sent: Vec<Record> = (0..50).map(|n| event(1, n)).collect();
    sent[7].trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    let publishing = tokio::spawn({
        let (bus, sent) = (bus.clone(), sent.clone());
        async move {
            for one in sent {
                bus.publish(URGENT, vec![one]).await.unwrap();
            }
        }
    });
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let batch = within(subscription.next()).await.unwrap();
        assert_eq!(batch.unreadable, []);
        got.extend(records(&batch));
        batch.acknowledge();
    }
    within(publishing).await.unwrap();
    assert_eq!(got, sent);
}

async fn each_group_gets_every_record(bus: Arc<dyn Bus>) {
    let one = event(1, 1);
    let publishing = tokio::spawn(until_durable(bus.clone(), BULK, one.clone()));
    for group in ["revoker", "audit"] {
        let mut subscription = bus.subscribe(group, BULK).await.unwrap();
        let batch = within(subscription.next()).await.unwrap();
        assert_eq!(records(&batch), std::slice::from_ref(&one), "{group}");
        batch.acknowledge();
    }
    within(publishing).await.unwrap();
}

async fn a_record_comes_again_when_its_subscriber_dies_before_its_effect(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let one = event(1, 1);
    let publishing = tokio::spawn(until_durable(bus.clone(), URGENT, one.clone()));
    let batch = within(subscription.next()).await.unwrap();
    assert_eq!(records(&batch), std::slice::from_ref(&one));
    drop(batch);
    drop(subscription);

    let mut successor = bus.subscribe("revoker", URGENT).await.unwrap();
    let batch = within(successor.next()).await.unwrap();
    assert_eq!(records(&batch), [one], "the successor gets it");
    batch.acknowledge();
    within(publishing).await.unwrap();
}

async fn a_record_that_nobody_follows_yet_waits_for_its_subscriber(bus: Arc<dyn Bus>) {
    let one = event(1, 1);
    let publishing = tokio::spawn(until_durable(bus.clone(), URGENT, one.clone()));
    tokio::task::yield_now().await;
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let batch = within(subscription.next()).await.unwrap();
    assert_eq!(records(&batch), [one]);
    batch.acknowledge();
    within(publishing).await.unwrap();
}

async fn a_full_bulk_lane_does_not_hold_up_an_urgent_record(bus: Arc<dyn Bus>) {
    let _bulk = bus.subscribe("revoker", BULK).await.unwrap();
    let mut urgent = bus.subscribe("revoker", URGENT).await.unwrap();
    let mut jam = tokio::task::JoinSet::new();
    for n in 0..100 {
        let bus = bus.clone();
        jam.spawn(async move { bus.publish(BULK, vec![event(n, 0)]).await });
    }
    let one = event(1, 1);
    let publishing = tokio::spawn(until_durable(bus.clone(), URGENT, one.clone()));
    let batch = within(urgent.next()).await.unwrap();
    assert_eq!(records(&batch), [one]);
    batch.acknowledge();
    within(publishing).await.unwrap();
}

/// In process there is nowhere to keep a record but in its subscriber.
async fn publish_returns_only_after_the_effect_is_durable(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(URGENT, vec![event(1, 1)]).await }
    });
    let batch = within(subscription.next()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!publishing.is_finished(), "nothing is durable yet");
    batch.acknowledge();
    within(publishing).await.unwrap().unwrap();
}

async fn the_publisher_hears_that_a_subscriber_died_and_keeps_the_record(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(URGENT, vec![event(1, 1)]).await }
    });
    let batch = within(subscription.next()).await.unwrap();
    drop(batch);
    drop(subscription);
    assert!(matches!(within(publishing).await.unwrap(), Err(Error::NotAcknowledged)));
}

/// The brokers keep it: what publish returned for outlives publisher and subscriber.
async fn what_publish_returned_for_is_there_for_whoever_comes_later(bus: Arc<dyn Bus>) {
    let one = event(1, 1);
    within(bus.publish(URGENT, vec![one.clone()])).await.unwrap();
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let batch = within(subscription.next()).await.unwrap();
    assert_eq!(records(&batch), [one]);
}

macro_rules! contract {
    ($name:ident, $make:expr, $($own:ident),+) => {
        mod $name {
            use super::*;

            contract!(@rows $make,
                records_arrive_as_published_and_in_order,
                a_record_comes_again_when_its_subscriber_dies_before_its_effect,
                a_record_that_nobody_follows_yet_waits_for_its_subscriber,
                a_full_bulk_lane_does_not_hold_up_an_urgent_record,
                $($own),+);

            #[tokio::test]
            async fn each_group_gets_every_record() {
                let (bus, _kept) = $make(&[("revoker", BULK), ("audit", BULK)]);
                super::each_group_gets_every_record(bus).await;
            }
        }
    };
    (@rows $make:expr, $($row:ident),+) => {
        $(#[tokio::test]
        async fn $row() {
            let (bus, _kept) = $make(&[("revoker", URGENT), ("revoker", BULK)]);
            super::$row(bus).await;
        })+
    };
}

fn in_process(durable: &[(&'static str, Topic)]) -> (Arc<dyn Bus>, ()) {
    (Arc::new(Local::new(durable.iter().copied())), ())
}

/// Brokers keep records for whichever groups come.
fn over_kafka(_: &[(&'static str, Topic)]) -> (Arc<dyn Bus>, Brokers) {
    let brokers = Brokers::new();
    (brokers.kafka("one"), brokers)
}

contract!(
    local,
    in_process,
    publish_returns_only_after_the_effect_is_durable,
    the_publisher_hears_that_a_subscriber_died_and_keeps_the_record
);
contract!(kafka, over_kafka, what_publish_returned_for_is_there_for_whoever_comes_later);
