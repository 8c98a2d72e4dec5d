//! The relay between a real directory and the bus: nothing lost, nothing out of order, one relay at a time.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../../directory/tests/sql/database.rs"]
#[allow(dead_code, reason = "shared with the tests of the directory, which use all of it")]
mod database;
mod outages;
mod recorder;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use bus::{Batch, Topic};
use lifecycle::Standing;
use serde_json::{Value, json};
use uuid::Uuid;

use world::{BULK, URGENT, World, cutoff, eventually, next};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_pending_until_its_effect_is_durable() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut bulk = relay.listen(BULK).await;
    let ana = world.person("ana").await;
    let batch = next(&mut bulk).await;
    assert_eq!(batch.records.iter().map(|r| r.record.key).collect::<Vec<_>>(), [ana.identity_id]);
    assert_eq!(world.pending().await, 1, "it is published, but nobody has acknowledged it");
    batch.acknowledge();
    eventually("it is no longer pending", || async { world.pending().await == 0 }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_in_vain_is_published_again() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut bulk = relay.listen(BULK).await;
    world.person("ana").await;
    let first = next(&mut bulk).await;
    let lost: Vec<Uuid> = first.records.iter().map(|r| r.record.id).collect();
    drop(first);
    assert_eq!(world.pending().await, 1);
    let second = next(&mut bulk).await;
    assert_eq!(second.records.iter().map(|r| r.record.id).collect::<Vec<_>>(), lost);
    second.acknowledge();
    eventually("it is no longer pending", || async { world.pending().await == 0 }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_waits_for_a_subscriber_stops_when_it_is_asked_to() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    world.person("ana").await;
    world.until_held_by("a").await;
    relay.stop().await;
    assert_eq!(world.pending().await, 1);
    assert_eq!(world.count("SELECT count(*) FROM working.leases").await, 0, "and gave its leases back");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_person_arrive_in_the_order_of_their_history() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut urgent = relay.listen(URGENT).await;
    let (ana, bob) = (world.person("ana").await, world.person("bob").await);
    let changing = async {
        for _ in 0..15 {
            for (person, standing) in
                [(&ana, Standing::Inactive), (&bob, Standing::Gone), (&ana, Standing::Active), (&bob, Standing::Active)]
            {
                world.set(person, standing).await;
            }
        }
    };
    let reading = async {
        let mut last: BTreeMap<Uuid, i64> = BTreeMap::new();
        let mut count = 0;
        while count < 60 {
            let batch = next(&mut urgent).await;
            for record in batch.records.iter().map(|r| &r.record) {
                let body: Value = serde_json::from_str(&record.body).unwrap();
                let before = last.insert(record.key, body["version"].as_i64().unwrap()).unwrap_or(0);
                assert_eq!(body["prev"], before, "each event follows the one before it in its lane");
                count += 1;
            }
            batch.acknowledge();
        }
    };
    tokio::join!(changing, reading);
    eventually("only the two creations are left", || async { world.pending().await == 2 }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_event_is_under_way_waits_and_nobody_else_does() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut urgent = relay.listen(URGENT).await;
    let (ana, bob) = (world.person("ana").await, world.person("bob").await);
    world.set(&ana, Standing::Inactive).await;
    let under_way = next(&mut urgent).await;
    world.set(&ana, Standing::Active).await;
    world.set(&bob, Standing::Inactive).await;
    let other = next(&mut urgent).await;
    assert_eq!(other.records.iter().map(|r| r.record.key).collect::<Vec<_>>(), [bob.identity_id], "and nothing of ana");
    other.acknowledge();
    under_way.acknowledge();
    let later = next(&mut urgent).await;
    assert_eq!(later.records.iter().map(|r| r.record.key).collect::<Vec<_>>(), [ana.identity_id]);
    later.acknowledge();
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_after_later_ones_is_found() {
    let world = World::new().await;
    let mut open = world.owner.begin().await.unwrap();
    let late: Uuid = sqlx::query_scalar(
        "WITH e AS (
             INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
             VALUES (gen_random_uuid(), 'group', gen_random_uuid(), 'group.updated', 1, 0, 1, 1, now(), '{}')
             RETURNING id, event_id
         ), p AS (INSERT INTO ledger.pending (shard, lane, id) SELECT 0, 1, id FROM e)
         SELECT event_id FROM e",
    )
    .fetch_one(&mut *open)
    .await
    .unwrap();
    let relay = world.relay("a").await;
    let mut bulk = relay.listen(BULK).await;
    world.person("ana").await;
    let batch = next(&mut bulk).await;
    assert!(batch.records.iter().all(|r| r.record.id != late));
    batch.acknowledge();
    eventually("ana's event is done", || async { world.pending().await == 0 }).await;
    open.commit().await.unwrap();
    let batch = next(&mut bulk).await;
    assert_eq!(batch.records.iter().map(|r| r.record.id).collect::<Vec<_>>(), [late], "though its number is lower");
    batch.acknowledge();
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_relays_one_works_and_the_other_takes_over_when_it_stops() {
    let world = World::new().await;
    let one = world.relay("one").await;
    world.until_held_by("one").await;
    let two = world.relay("two").await;
    let (mut from_one, mut from_two) = (one.listen(BULK).await, two.listen(BULK).await);
    let mut expected = BTreeSet::new();
    for n in 0..10 {
        expected.insert(world.person(&format!("p{n}")).await.identity_id);
    }
    let mut told = Vec::new();
    while told.len() < 10 {
        let batch = next(&mut from_one).await;
        told.extend(batch.records.iter().map(|r| r.record.key));
        batch.acknowledge();
    }
    eventually("nothing is pending", || async { world.pending().await == 0 }).await;
    assert_eq!(BTreeSet::from_iter(told), expected, "each once");
    world.until_held_by("one").await;

    one.stop().await;
    let late = world.person("late").await;
    let batch = next(&mut from_two).await;
    let keys: Vec<Uuid> = batch.records.iter().map(|r| r.record.key).collect();
    assert_eq!(keys, [late.identity_id], "the first that two tells: while one worked, it published nothing");
    batch.acknowledge();
    world.until_held_by("two").await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_crashed_is_replaced_when_its_lease_has_run_out() {
    let world = World::new().await;
    let one = world.relay("one").await;
    world.until_held_by("one").await;
    one.crash().await;
    lasts_for_an_hour(&world).await;
    let two = world.relay("two").await;
    let mut from_two = two.listen(BULK).await;
    let ana = world.person("ana").await;
    world.until_held_by("one").await;
    sqlx::query("UPDATE working.leases SET until = now() - interval '1 s'").execute(&world.owner).await.unwrap();
    let batch = next(&mut from_two).await;
    assert_eq!(batch.records[0].record.key, ana.identity_id);
    batch.acknowledge();
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_back_takes_its_own_leases_at_once() {
    let world = World::new().await;
    let before = world.relay("one").await;
    world.until_held_by("one").await;
    before.crash().await;
    lasts_for_an_hour(&world).await;
    let after = world.relay("one").await;
    let mut bulk = after.listen(BULK).await;
    world.person("ana").await;
    next(&mut bulk).await.acknowledge();
    after.stop().await;
}

/// Nobody waits so long for a lease that a crash has left.
async fn lasts_for_an_hour(world: &World) {
    let longer = "UPDATE working.leases SET until = clock_timestamp() + interval '1 hour'";
    sqlx::query(longer).execute(&world.owner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cutoffs_are_told_as_they_are_now_and_again_when_they_changed_meanwhile() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut revocations = relay.listen(Topic::Revocations).await;
    // Nobody takes the bulk lane, which must not keep revocations back.
    world.person("ana").await;
    let subject = Uuid::new_v4();
    cutoff(&world, subject, 1).await;
    let first = next(&mut revocations).await;
    assert_eq!(told(&first), (subject, json!(1), json!(1)));

    cutoff(&world, subject, 2).await;
    first.acknowledge();
    let second = next(&mut revocations).await;
    assert_eq!(told(&second), (subject, json!(2), json!(2)));
    second.acknowledge();
    let done = || async { world.count("SELECT count(*) FROM ledger.pending_cutoffs").await == 0 };
    eventually("nothing is left to tell", done).await;
    assert_eq!(world.pending().await, 1, "the bulk lane still waits");
    relay.stop().await;
}

/// Subject, revision and generation in force of the one record.
fn told(batch: &Batch) -> (Uuid, Value, Value) {
    let body: Value = serde_json::from_str(&batch.records[0].record.body).unwrap();
    (batch.records[0].record.key, body["revision"].clone(), body["scopes"]["*"]["generation"].clone())
}
