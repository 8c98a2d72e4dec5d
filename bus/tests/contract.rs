//! What every bus keeps to, whichever carries the records.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;
use std::time::Duration;

use bus::{Batch, Bus, Error, Local, Record, Topic};
use lifecycle::Lane;
use uuid::Uuid;

const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
const BULK: Topic = Topic::Lifecycle(Lane::Bulk);
const LIMIT: Duration = Duration::from_secs(20);

fn record(key: u128, body: &str) -> Record {
    Record { key: Uuid::from_u128(key), id: Uuid::now_v7(), body: body.into(), trace: None }
}

fn bodies(batch: &Batch) -> Vec<Record> {
    batch.records.iter().map(|received| received.record.clone()).collect()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("the bus answers within the limit")
}

async fn records_arrive_as_published_and_in_order(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let sent: Vec<Record> = (0..50).map(|n| record(1, &format!("{{\"n\":{n}}}"))).collect();
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
        got.extend(bodies(&batch));
        batch.acknowledge();
    }
    within(publishing).await.unwrap();
    assert_eq!(got, sent);
}

async fn publish_returns_only_after_the_record_is_durable(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(URGENT, vec![record(1, "{}")]).await }
    });
    let batch = within(subscription.next()).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!publishing.is_finished(), "nothing is durable yet");
    batch.acknowledge();
    within(publishing).await.unwrap().unwrap();
}

async fn the_subscriber_dies_before_its_effect_and_the_event_stays_pending(bus: Arc<dyn Bus>) {
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let one = record(1, "{}");
    let publishing = tokio::spawn({
        let (bus, one) = (bus.clone(), one.clone());
        async move { bus.publish(URGENT, vec![one]).await }
    });
    let batch = within(subscription.next()).await.unwrap();
    drop(batch);
    drop(subscription);
    assert!(
        matches!(within(publishing).await.unwrap(), Err(Error::NotAcknowledged)),
        "the publisher must keep the event"
    );

    let mut successor = bus.subscribe("revoker", URGENT).await.unwrap();
    let again = tokio::spawn({
        let (bus, one) = (bus.clone(), one.clone());
        async move { bus.publish(URGENT, vec![one]).await }
    });
    let batch = within(successor.next()).await.unwrap();
    assert_eq!(bodies(&batch), [one], "the successor gets it");
    batch.acknowledge();
    within(again).await.unwrap().unwrap();
}

async fn publishing_waits_for_a_subscriber_that_is_not_there_yet(bus: Arc<dyn Bus>) {
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(URGENT, vec![record(1, "early")]).await }
    });
    tokio::task::yield_now().await;
    assert!(!publishing.is_finished());
    let mut subscription = bus.subscribe("revoker", URGENT).await.unwrap();
    let batch = within(subscription.next()).await.unwrap();
    assert_eq!(&*batch.records[0].record.body, "early");
    batch.acknowledge();
    within(publishing).await.unwrap().unwrap();
}

async fn a_full_bulk_lane_does_not_hold_up_an_urgent_record(bus: Arc<dyn Bus>) {
    let _bulk = bus.subscribe("revoker", BULK).await.unwrap();
    let mut urgent = bus.subscribe("revoker", URGENT).await.unwrap();
    let mut jam = tokio::task::JoinSet::new();
    for n in 0..100 {
        let bus = bus.clone();
        jam.spawn(async move { bus.publish(BULK, vec![record(n, "bulk")]).await });
    }
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(URGENT, vec![record(1, "urgent")]).await }
    });
    let batch = within(urgent.next()).await.unwrap();
    assert_eq!(&*batch.records[0].record.body, "urgent");
    batch.acknowledge();
    within(publishing).await.unwrap().unwrap();
}

macro_rules! contract {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;

            contract!(@rows $make,
                records_arrive_as_published_and_in_order,
                publish_returns_only_after_the_record_is_durable,
                the_subscriber_dies_before_its_effect_and_the_event_stays_pending,
                publishing_waits_for_a_subscriber_that_is_not_there_yet,
                a_full_bulk_lane_does_not_hold_up_an_urgent_record);
        }
    };
    (@rows $make:expr, $($row:ident),+) => {
        $(#[tokio::test]
        async fn $row() {
            super::$row(Arc::new($make)).await;
        })+
    };
}

contract!(local, Local::new([("revoker", URGENT), ("revoker", BULK)]));
