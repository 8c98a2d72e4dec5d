//! What only Kafka has: offsets, consumer groups, topics, and other people's records.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod brokers;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::time::Duration;

use bus::kafka::Metrics;
use bus::{Batch, Bus, Error, Kafka, Record, Subscription, Topic};
use lifecycle::Lane;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use uuid::Uuid;

use brokers::{Brokers, LIMIT, event, eventually, within};

const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
const GROUP: &str = "revoker";

fn ids(batch: &Batch) -> Vec<Uuid> {
    batch.records.iter().map(|received| received.record.id).collect()
}

fn ids_of(records: &[Record]) -> Vec<Uuid> {
    records.iter().map(|record| record.id).collect()
}

/// The sentences of an error and of what it follows from.
fn told(error: &Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

/// The next records, at least so many, with the batches that they came in.
async fn take(subscription: &mut Box<dyn Subscription>, count: usize) -> (Vec<Uuid>, Vec<Batch>) {
    let (mut got, mut batches) = (Vec::new(), Vec::new());
    while got.len() < count {
        let batch = within(subscription.next()).await.unwrap();
        got.extend(ids(&batch));
        batches.push(batch);
    }
    (got, batches)
}

/// Records of enough subjects to have some in every partition.
fn everywhere() -> Vec<Record> {
    (0..300).map(|n| event(n, 0)).collect()
}

/// A bus and what it counts.
fn measured(brokers: &Brokers, instance: &str) -> (Kafka, Registry) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (Kafka::new(brokers.config(), instance).measured(metrics), registry)
}

fn count(registry: &Registry, line: &str) -> i64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_batch_acknowledged_before_an_earlier_one_does_not_count() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let (first, second) = (event(1, 1), event(1, 2));
    within(kafka.publish(URGENT, vec![first.clone()])).await.unwrap();
    let (_, mut earlier) = take(&mut subscription, 1).await;
    within(kafka.publish(URGENT, vec![second.clone()])).await.unwrap();
    let (_, later) = take(&mut subscription, 1).await;
    later.into_iter().for_each(Batch::acknowledge);
    drop(subscription);
    assert_eq!(brokers.committed(GROUP, URGENT), []);

    let mut successor = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let (got, again) = take(&mut successor, 2).await;
    assert_eq!(got, [first.id, second.id], "both come again");
    earlier.drain(..).for_each(Batch::acknowledge);
    again.into_iter().for_each(Batch::acknowledge);
    drop(successor);
    assert_eq!(brokers.committed(GROUP, URGENT).iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn what_is_acknowledged_is_committed_while_it_runs_and_does_not_come_again() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    within(kafka.publish(URGENT, vec![event(1, 1)])).await.unwrap();
    take(&mut subscription, 1).await.1.into_iter().for_each(Batch::acknowledge);
    eventually("committed", async || brokers.committed(GROUP, URGENT).iter().any(|(_, offset)| *offset == 1)).await;
    drop(subscription);

    let last = event(1, 2);
    within(kafka.publish(URGENT, vec![last.clone()])).await.unwrap();
    let mut successor = kafka.subscribe(GROUP, URGENT).await.unwrap();
    assert_eq!(take(&mut successor, 1).await.0, [last.id]);
}

#[tokio::test]
async fn a_batch_dropped_unacknowledged_comes_again_to_the_same_subscriber() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let sent: Vec<Record> = (0..3).map(|n| event(1, n)).collect();
    let mut batches = Vec::new();
    for one in &sent {
        within(kafka.publish(URGENT, vec![one.clone()])).await.unwrap();
        batches.extend(take(&mut subscription, 1).await.1);
    }
    let [first, dropped, last] = <[Batch; 3]>::try_from(batches).ok().unwrap();
    first.acknowledge();
    drop(dropped);
    last.acknowledge();
    let (got, again) = take(&mut subscription, 2).await;
    assert_eq!(got, ids_of(&sent[1..]), "in order, from the one that was dropped");
    again.into_iter().for_each(Batch::acknowledge);
    drop(subscription);
    assert_eq!(brokers.committed(GROUP, URGENT).iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [3]);
}

#[tokio::test]
async fn a_next_that_is_cancelled_again_and_again_loses_nothing() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let sent: Vec<Record> = (0..100).map(|n| event(1, n)).collect();
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let publishing = tokio::spawn({
        let sent = sent.clone();
        async move {
            for one in sent {
                kafka.publish(URGENT, vec![one]).await.unwrap();
            }
        }
    });
    let mut got = Vec::new();
    within(async {
        while got.len() < sent.len() {
            if let Ok(batch) = tokio::time::timeout(Duration::from_micros(500), subscription.next()).await {
                let batch = batch.unwrap();
                got.extend(ids(&batch));
                batch.acknowledge();
            }
        }
    })
    .await;
    assert_eq!(got, ids_of(&sent));
    within(publishing).await.unwrap();
}

#[tokio::test]
async fn two_members_share_the_partitions_and_a_late_acknowledgement_moves_nothing_of_the_other() {
    let brokers = Brokers::new();
    let (one, two) = (brokers.kafka("one"), brokers.kafka("two"));
    let mut first = one.subscribe(GROUP, URGENT).await.unwrap();
    let sent = everywhere();
    within(one.publish(URGENT, sent.clone())).await.unwrap();
    let (_, held) = take(&mut first, sent.len()).await;

    let mut second = two.subscribe(GROUP, URGENT).await.unwrap();
    let batch = within(second.next()).await.unwrap();
    held.into_iter().for_each(Batch::acknowledge);
    eventually("the first member commits what it kept", async || brokers.committed(GROUP, URGENT).len() == 6).await;
    drop(batch);
    drop(first);
    assert_eq!(brokers.committed(GROUP, URGENT).len(), 6, "the partitions of the second member were not moved");
}

#[tokio::test]
async fn a_member_that_stays_away_hands_over() {
    let brokers = Brokers::new();
    let (one, two) = (brokers.kafka("one"), brokers.kafka("two"));
    let mut first = one.subscribe(GROUP, URGENT).await.unwrap();
    let sent = everywhere();
    within(one.publish(URGENT, sent.clone())).await.unwrap();
    let (_, held) = take(&mut first, sent.len()).await;
    let mut second = two.subscribe(GROUP, URGENT).await.unwrap();
    drop(within(second.next()).await.unwrap());
    drop(first);
    drop(held);

    let mut missing: BTreeSet<Uuid> = ids_of(&sent).into_iter().collect();
    while !missing.is_empty() {
        let batch = within(second.next()).await.unwrap();
        missing.retain(|id| !ids(&batch).contains(id));
        batch.acknowledge();
    }
}

#[tokio::test]
async fn a_member_that_comes_back_takes_its_own_partitions_and_disturbs_nobody() {
    let brokers = Brokers::new();
    let one = brokers.kafka("one");
    let (two, counted) = measured(&brokers, "two");
    let mut first = one.subscribe(GROUP, URGENT).await.unwrap();
    let mut second = two.subscribe(GROUP, URGENT).await.unwrap();
    let rebalances = || count(&counted, r#"leaver_bus_rebalances_total{topic="lifecycle.urgent.v1"}"#);

    // Who has what now.
    let whose = async |first: &mut Box<dyn Subscription>, second: &mut Box<dyn Subscription>| {
        let mut whose: BTreeMap<Uuid, &str> = BTreeMap::new();
        within(one.publish(URGENT, everywhere())).await.unwrap();
        while whose.len() < 300 {
            let (batch, who) = within(async {
                tokio::select! {
                    batch = first.next() => (batch.unwrap(), "first"),
                    batch = second.next() => (batch.unwrap(), "second"),
                }
            })
            .await;
            whose.extend(batch.records.iter().map(|r| (r.record.key, who)));
            batch.acknowledge();
        }
        whose
    };
    let shared = async {
        loop {
            let whose = whose(&mut first, &mut second).await;
            if ["first", "second"].iter().all(|who| whose.values().any(|w| w == who)) {
                break;
            }
        }
    };
    within(shared).await;
    // The last rebalance may still have been under way.
    let before = whose(&mut first, &mut second).await;
    let rebalanced = rebalances();
    drop(first);
    let mut first = one.subscribe(GROUP, URGENT).await.unwrap();
    assert_eq!(whose(&mut first, &mut second).await, before);
    assert_eq!(rebalances(), rebalanced);
}

#[tokio::test]
async fn of_two_processes_of_one_name_the_first_ends_and_says_why() {
    let brokers = Brokers::new();
    let (one, same) = (brokers.kafka("host/one"), brokers.kafka("host/one"));
    let mut first = one.subscribe(GROUP, URGENT).await.unwrap();
    within(one.publish(URGENT, vec![event(1, 1)])).await.unwrap();
    take(&mut first, 1).await;
    let mut second = same.subscribe(GROUP, URGENT).await.unwrap();
    drop(within(second.next()).await.unwrap());
    let error = loop {
        match within(first.next()).await {
            Ok(batch) => drop(batch),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unusable(_)), "{error:?}");
    assert!(told(&error).contains("data_dir"), "{}", told(&error));
    assert!(matches!(first.next().await, Err(Error::Closed)));
}

#[tokio::test]
async fn what_nobody_can_read_is_told_and_passed() {
    let brokers = Brokers::new();
    let (kafka, counted) = measured(&brokers, "one");
    let good = event(1, 1);
    within(kafka.publish(URGENT, vec![good.clone()])).await.unwrap();
    let (name, key) = (brokers.name(URGENT), Uuid::from_u128(1).to_string());
    let stranger: ThreadedProducer<DefaultProducerContext> = brokers.client().create().unwrap();
    let send = |key: Option<&str>, body: Option<&[u8]>| {
        let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&name).partition(0);
        (record.key, record.payload) = (key, body);
        stranger.send(record).map_err(|(error, _)| error).unwrap();
    };
    send(None, Some(good.body.as_bytes()));
    send(Some("alice"), Some(good.body.as_bytes()));
    send(Some(&key), None);
    send(Some(&key), Some(b"\xff\xfe"));
    send(Some(&key), Some(b"{\"alice"));
    send(Some(&key), Some(b"{\"alice\":1}"));
    send(Some(&key), Some(b"{\"id\":\"alice\"}"));
    send(Some(&key), Some(good.body.as_bytes()));
    stranger.flush(LIMIT).unwrap();

    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let (mut records, mut unreadable) = (0, Vec::new());
    while records < 2 || unreadable.len() < 7 {
        let mut batch = within(subscription.next()).await.unwrap();
        records += batch.records.len();
        unreadable.append(&mut batch.unreadable);
        batch.acknowledge();
    }
    unreadable.sort_by_key(|one| one.place.clone());
    let reasons: Vec<&str> = unreadable.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it has no key",
            "its key is no UUID",
            "it has no body",
            "its body is no UTF-8",
            "its body is no JSON, from line 1 column 7 on",
            "its body is no event with an id",
            "the id of its event is no UUID"
        ]
    );
    let first = unreadable[0].place.rsplit_once('@').unwrap().1.parse::<i64>().unwrap();
    assert_eq!(unreadable[6].place, format!("{name}[0]@{}", first + 6));
    assert_eq!(count(&counted, r#"leaver_bus_unreadable_total{topic="lifecycle.urgent.v1"}"#), 7);
    drop(subscription);
    let committed: i64 = brokers.committed(GROUP, URGENT).iter().map(|(_, offset)| offset).sum();
    assert_eq!(committed, 9, "all of it is passed");
}

#[tokio::test]
async fn the_lag_is_what_nobody_has_acknowledged() {
    let brokers = Brokers::new();
    let (kafka, counted) = measured(&brokers, "one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    within(kafka.publish(URGENT, (0..5).map(|n| event(1, n)).collect())).await.unwrap();
    let (_, held) = take(&mut subscription, 5).await;
    let lag = || count(&counted, r#"leaver_bus_consumer_lag{topic="lifecycle.urgent.v1"}"#);
    eventually("five wait", async || lag() == 5).await;
    held.into_iter().for_each(Batch::acknowledge);
    eventually("none waits", async || lag() == 0).await;
}

#[tokio::test]
async fn a_record_that_no_broker_takes_is_refused_while_the_others_go() {
    let brokers = Brokers::new();
    let (kafka, counted) = measured(&brokers, "one");
    brokers.make(URGENT, 12, &[("max.message.bytes", "20000")]).await;
    let mut sent: Vec<Record> = (0..20).map(|n| event(1, n)).collect();
    // Neither of them shrinks when it is compressed.
    let noise = |bytes: usize| (0..bytes / 32).map(|_| Uuid::new_v4().simple().to_string()).collect::<String>();
    sent[5].body = format!(r#"{{"id":"{}","data":"{}"}}"#, sent[5].id, noise(100_000)).into();
    sent[9].body = format!(r#"{{"id":"{}","data":"{}"}}"#, sent[9].id, noise(3_000_000)).into();
    let Err(Error::Refused(refused)) = within(kafka.publish(URGENT, sent.clone())).await else {
        panic!("two are too large");
    };
    assert_eq!(refused.iter().map(|one| one.id).collect::<Vec<_>>(), [sent[5].id, sent[9].id]);
    assert!(refused.iter().all(|one| one.reason.contains("too large")), "{refused:?}");

    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let (got, _) = take(&mut subscription, 18).await;
    let kept = ids_of(&sent).into_iter().filter(|id| refused.iter().all(|one| one.id != *id));
    assert_eq!(got, kept.collect::<Vec<_>>());
    assert_eq!(count(&counted, r#"leaver_bus_refused_total{topic="lifecycle.urgent.v1"}"#), 2);
    assert_eq!(count(&counted, r#"leaver_bus_published_total{topic="lifecycle.urgent.v1"}"#), 18);
}

#[tokio::test]
async fn a_topic_that_is_wrong_is_unusable_until_it_is_mended_as_told() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    brokers.make(Topic::Revocations, 3, &[("cleanup.policy", "delete")]).await;
    let error = within(kafka.publish(Topic::Revocations, vec![event(1, 1)])).await.unwrap_err();
    assert!(matches!(error, Error::Unusable(_)), "{error:?}");
    let name = brokers.name(Topic::Revocations);
    let edit = format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} \
         --add-config cleanup.policy=compact",
        brokers.address
    );
    for part in [&*name, "cleanup.policy is delete, not compact", &edit] {
        assert!(told(&error).contains(part), "{}", told(&error));
    }
    let mut subscription = kafka.subscribe(GROUP, Topic::Revocations).await.unwrap();
    assert!(matches!(within(subscription.next()).await, Err(Error::Unusable(_))));
    assert!(within(kafka.probe()).await.unwrap().is_unusable());

    brokers.alter(Topic::Revocations, "cleanup.policy", "compact").await;
    within(kafka.publish(Topic::Revocations, vec![event(1, 1)])).await.unwrap();
}

#[tokio::test]
async fn a_record_on_the_wire_has_the_subject_as_key_and_says_what_it_is() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for topic in Topic::ALL {
        let sent = Record { trace: Some(trace.into()), ..event(7, 1) };
        within(kafka.publish(topic, vec![sent.clone()])).await.unwrap();
        let mut client = brokers.client();
        client.set("group.id", format!("{}.stranger", brokers.prefix)).set("auto.offset.reset", "earliest");
        let stranger: BaseConsumer = client.create().unwrap();
        stranger.subscribe(&[&brokers.name(topic)]).unwrap();
        // A poll also ends for a rebalance.
        let message = (0..20).find_map(|_| stranger.poll(LIMIT / 20)).expect("it is there").unwrap();
        assert_eq!(message.key().unwrap(), b"00000000-0000-0000-0000-000000000007");
        assert_eq!(message.payload().unwrap(), sent.body.as_bytes());
        let headers = message.headers().unwrap();
        let header = |name: &str| headers.iter().find(|h| h.key == name).map(|h| h.value.unwrap().to_vec());
        let kind = match topic {
            Topic::Revocations => "application/json",
            _ => "application/cloudevents+json; charset=UTF-8",
        };
        assert_eq!(header("content-type").unwrap(), kind.as_bytes());
        assert_eq!(header("traceparent").unwrap(), trace.as_bytes());
    }
    within(kafka.publish(URGENT, vec![event(8, 1)])).await.unwrap();
}

#[tokio::test]
async fn topics_are_made_as_they_must_be_also_by_two_at_once() {
    let brokers = Brokers::new();
    let (one, two) = (brokers.kafka("one"), brokers.kafka("two"));
    assert!(within(one.probe()).await.unwrap().topics.iter().all(|topic| !topic.present), "probing makes nothing");
    for topic in Topic::ALL {
        let (a, b) = within(async {
            tokio::join!(one.publish(topic, vec![event(1, 1)]), two.publish(topic, vec![event(2, 1)]))
        })
        .await;
        a.unwrap();
        b.unwrap();
    }
    let wanted = [
        (URGENT, "cleanup.policy", "delete"),
        (URGENT, "retention.ms", "604800000"),
        (URGENT, "message.timestamp.type", "LogAppendTime"),
        (Topic::Receipts, "retention.ms", "2592000000"),
        (Topic::Revocations, "cleanup.policy", "compact"),
        (Topic::Revocations, "min.cleanable.dirty.ratio", "0.1"),
        (Topic::Revocations, "segment.ms", "3600000"),
        (Topic::Revocations, "max.compaction.lag.ms", "14400000"),
    ];
    for (topic, setting, value) in wanted {
        assert_eq!(brokers.setting(topic, setting).await.as_deref(), Some(value), "{topic:?} {setting}");
    }
    let probe = within(two.probe()).await.unwrap();
    assert!(probe.topics.iter().all(|topic| topic.present && topic.wrong.is_empty()), "{probe:?}");
    assert_eq!(probe.brokers.len(), 1);
}

#[tokio::test]
async fn a_topic_that_was_deleted_is_made_again_and_followed_on() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let before: Vec<Record> = (0..5).map(|n| event(1, n)).collect();
    within(kafka.publish(URGENT, before)).await.unwrap();
    take(&mut subscription, 5).await.1.into_iter().for_each(Batch::acknowledge);
    brokers.delete(URGENT).await;

    let after = event(1, 5);
    let publishing = tokio::spawn(async move {
        while let Err(error) = kafka.publish(URGENT, vec![after.clone()]).await {
            assert!(matches!(error, Error::Unavailable(_)), "{error}");
        }
        after.id
    });
    let (got, _) = take(&mut subscription, 1).await;
    assert_eq!(within(publishing).await.unwrap(), got[0]);
    assert_eq!(brokers.setting(URGENT, "message.timestamp.type").await.as_deref(), Some("LogAppendTime"));
}

#[tokio::test]
async fn a_slow_subscriber_gets_everything_in_order() {
    let brokers = Brokers::new();
    let kafka = brokers.kafka("one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let sent: Vec<Record> = (0..12_000).map(|n| event(n as u128 % 40, n)).collect();
    let mut got: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    let mut left = sent.len();
    // It follows from the first on, and takes nothing while the others come: more than is read ahead.
    let (first, others) = sent.split_at(1);
    within(kafka.publish(URGENT, first.to_vec())).await.unwrap();
    let mut batch = within(subscription.next()).await.unwrap();
    for some in others.chunks(1_000) {
        within(kafka.publish(URGENT, some.to_vec())).await.unwrap();
    }
    loop {
        assert!(batch.records.len() <= 500);
        left -= batch.records.len();
        batch.records.iter().for_each(|r| got.entry(r.record.key).or_default().push(r.record.id));
        batch.acknowledge();
        if left == 0 {
            break;
        }
        batch = within(subscription.next()).await.unwrap();
    }
    for (key, ids) in got {
        assert_eq!(ids, ids_of(&sent.iter().filter(|r| r.key == key).cloned().collect::<Vec<_>>()));
    }
}

#[tokio::test]
async fn nothing_is_contacted_before_it_is_used_and_an_outage_is_no_end() {
    let mut config = Brokers::new().config();
    // A port that nobody can listen on.
    config.brokers = "127.0.0.1:1".to_owned().try_into().unwrap();
    let kafka = Kafka::new(config, "one");
    let mut subscription = kafka.subscribe(GROUP, URGENT).await.unwrap();
    let error = within(kafka.publish(URGENT, vec![event(1, 1)])).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(told(&error).contains("Connection refused"), "{}", told(&error));
    let waiting = tokio::time::timeout(Duration::from_secs(1), subscription.next()).await;
    assert!(waiting.is_err(), "a subscription waits for the brokers");
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_unusable() {
    let brokers = Brokers::new();
    let mut config = brokers.config();
    config.tls = Some(bus::kafka::Tls { ca: Some("/nowhere/ca.pem".into()), ..Default::default() });
    let error = within(Kafka::new(config, "one").probe()).await.unwrap_err();
    assert!(matches!(error, Error::Unusable(_)), "{error:?}");
}
