//! A bus that is away, misconfigured or refuses single records: nothing is lost, and nothing waits behind what never goes.

use std::collections::BTreeMap;

use bus::Topic;
use lifecycle::Standing;
use uuid::Uuid;

use crate::recorder::{Mood, Recorder};
use crate::world::{BULK, URGENT, World, cutoff, eventually, receipt};

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_read_once_and_goes_in_order() {
    const EVENTS: i64 = 20_000;
    let world = World::new().await;
    world.backlog(EVENTS, 3_000).await;
    let bus = Recorder::new(Mood::Well);
    let relay = world.relay_over("a", &bus).await;
    eventually("everything is told", || async { world.pending().await == 0 }).await;
    let told = bus.told(BULK);
    assert_eq!(told.len(), 20_000, "and each once");
    let mut last: BTreeMap<Uuid, u64> = BTreeMap::new();
    for record in told {
        let body: serde_json::Value = serde_json::from_str(&record.body).unwrap();
        let version = body["version"].as_u64().unwrap();
        assert_eq!(last.insert(record.key, version).unwrap_or_default() + 1, version, "of one subject none overtakes");
    }
    let read = relay.counted("leaver_relay_read_total", BULK);
    assert!(
        read < 30_000,
        "{read} rows were read for 20,000 events: what is under way may be seen again, a backlog not"
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bus_did_not_take_is_told_once_it_answers_again() {
    let world = World::new().await;
    let bus = Recorder::new(Mood::Away);
    let relay = world.relay_over("a", &bus).await;
    let ana = world.person("ana").await;
    world.set(&ana, Standing::Inactive).await;
    cutoff(&world, ana.identity_id, 1).await;
    receipt(&world, ana.identity_id, "{}").await;
    let topics = [URGENT, BULK, Topic::Revocations, Topic::Receipts];
    eventually("each was tried more than once", || async { topics.iter().all(|t| bus.asked(*t) > 1) }).await;
    assert_eq!((world.pending().await, world.count("SELECT count(*) FROM ledger.pending_cutoffs").await), (2, 1));
    bus.becomes(Mood::Well);
    eventually("everything is told", || async { world.nothing_pending().await }).await;
    for topic in topics {
        assert_eq!(bus.told(topic).iter().map(|r| r.key).collect::<Vec<_>>(), [ana.identity_id], "{topic:?}");
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_a_person_has_to_mend_is_not_asked_over_and_over() {
    let world = World::new().await;
    let bus = Recorder::new(Mood::Misconfigured);
    let relay = world.relay_over("a", &bus).await;
    let ana = world.person("ana").await;
    cutoff(&world, ana.identity_id, 1).await;
    let failed = |topic| relay.counted("leaver_relay_failures_total", topic) > 0;
    eventually("both were tried", || async { failed(BULK) && failed(Topic::Revocations) }).await;
    // More work, and many wake-ups, do not make it ask again.
    for n in 0..50 {
        world.person(&format!("p{n}")).await;
    }
    assert_eq!((bus.asked(BULK), bus.asked(Topic::Revocations)), (1, 1));
    assert_eq!(world.pending().await, 51, "all of it is kept");
    assert_eq!(relay.counted("leaver_relay_failures_total", BULK), 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_bus_never_takes_is_parked_and_nothing_waits_behind_it() {
    let world = World::new().await;
    let bus = Recorder::new(Mood::Refuses("identity.suspended"));
    let (ana, bob) = (world.person("ana").await, world.person("bob").await);
    world.set(&ana, Standing::Inactive).await;
    world.set(&ana, Standing::Active).await;
    let relay = world.relay_over("a", &bus).await;
    eventually("nothing is left to tell", || async { world.nothing_pending().await }).await;
    let types: Vec<_> = bus.bodies(URGENT).iter().map(|body| body["type"].clone()).collect();
    assert_eq!(types, ["identity.reinstated"]);
    assert_eq!(bus.told(BULK).len(), 2);
    let (place, reason): (String, String) =
        sqlx::query_as("SELECT place, reason FROM ledger.parked WHERE source = 'bus'")
            .fetch_one(&world.owner)
            .await
            .unwrap();
    let event: Uuid = sqlx::query_scalar("SELECT event_id FROM ledger.events WHERE type = 'identity.suspended'")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(place, format!("lifecycle.urgent.v1/{event}"));
    assert_eq!(reason, "the record is larger than 1 MiB");
    assert_eq!(relay.counted("leaver_relay_parked_total", URGENT), 1);

    bus.becomes(Mood::Refuses(r#""revision":1,"#));
    cutoff(&world, bob.identity_id, 1).await;
    cutoff(&world, ana.identity_id, 2).await;
    receipt(&world, ana.identity_id, r#"{"revision":1,"of":"a receipt"}"#).await;
    let parked =
        || async { world.nothing_pending().await && world.count("SELECT count(*) FROM ledger.parked").await == 3 };
    eventually("they are parked", parked).await;
    assert_eq!(bus.told(Topic::Revocations).iter().map(|r| r.key).collect::<Vec<_>>(), [ana.identity_id]);
    cutoff(&world, bob.identity_id, 2).await;
    eventually("a later revision is tried again", || async { bus.told(Topic::Revocations).len() == 2 }).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_receipts_go_in_their_order_under_the_id_of_the_record() {
    let world = World::new().await;
    let bus = Recorder::new(Mood::Well);
    let subject = Uuid::new_v4();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(receipt(&world, subject, &format!(r#"{{"n":{n}}}"#)).await);
    }
    let relay = world.relay_over("a", &bus).await;
    eventually("everything is told", || async { world.nothing_pending().await }).await;
    assert_eq!(
        bus.told(Topic::Receipts).iter().map(|r| (r.key, r.id)).collect::<Vec<_>>(),
        ids.iter().map(|id| (subject, *id)).collect::<Vec<_>>()
    );
    assert_eq!(
        bus.bodies(Topic::Receipts).iter().map(|b| b["n"].as_i64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cutoffs_that_changed_lately_are_told_again_when_somebody_else_takes_over() {
    let world = World::new().await;
    let (lately, long_ago) = (Uuid::new_v4(), Uuid::new_v4());
    let first = Recorder::new(Mood::Well);
    let one = world.relay_over("one", &first).await;
    cutoff(&world, lately, 3).await;
    cutoff(&world, long_ago, 7).await;
    eventually("both are told", || async { world.nothing_pending().await }).await;
    let aged = "UPDATE ledger.cutoff_subjects SET changed_at = now() - interval '1 hour' WHERE revision = 7";
    sqlx::query(aged).execute(&world.owner).await.unwrap();
    one.crash().await;
    sqlx::query("UPDATE working.leases SET until = now() - interval '1 s'").execute(&world.owner).await.unwrap();

    let second = Recorder::new(Mood::Well);
    let two = world.relay_over("two", &second).await;
    eventually("it is told again", || async { !second.told(Topic::Revocations).is_empty() }).await;
    eventually("and forgotten", || async { world.nothing_pending().await }).await;
    assert_eq!(second.bodies(Topic::Revocations).iter().map(|b| b["revision"].clone()).collect::<Vec<_>>(), [3]);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cutoffs_that_changed_lately_are_told_again_after_a_publish_of_which_nobody_knows() {
    let world = World::new().await;
    let bus = Recorder::new(Mood::Well);
    let relay = world.relay_over("one", &bus).await;
    let (known, unknown) = (Uuid::new_v4(), Uuid::new_v4());
    cutoff(&world, known, 1).await;
    eventually("it is told", || async { world.nothing_pending().await }).await;
    bus.becomes(Mood::Away);
    cutoff(&world, unknown, 1).await;
    let asked = bus.asked(Topic::Revocations);
    eventually("it was tried", || async { bus.asked(Topic::Revocations) > asked }).await;
    bus.becomes(Mood::Well);
    eventually("everything is told", || async { world.nothing_pending().await }).await;
    let told: Vec<Uuid> = bus.told(Topic::Revocations).iter().map(|r| r.key).collect();
    assert_eq!(told.iter().filter(|key| **key == known).count(), 2, "before and after");
    assert_eq!(told.iter().filter(|key| **key == unknown).count(), 1);
    relay.stop().await;
}
