//! The relay between a real directory and the bus: nothing lost, nothing out of order, one relay at a time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../directory/tests/sql/database.rs"]
mod database;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Batch, Bus, Local, Subscription, Topic};
use database::Database;
use directory::{AccountRow, Burst, Cause, Directory, Role, SourceRules, Sources, Wake};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Class, Lane, Standing};
use relay::Relay;
use relay::metrics::Metrics;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
const BULK: Topic = Topic::Lifecycle(Lane::Bulk);
const PLENTY: Burst = Burst { count: 1_000_000, window: Duration::from_secs(3_600) };
const LIMIT: Duration = Duration::from_secs(20);

struct World {
    sync: Directory,
    owner: PgPool,
    sources: Arc<Sources>,
    wake: Wake,
    database: Database,
}

/// A relay of both lanes and of cutoffs, with a bus of its own.
struct Running {
    bus: Local,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl World {
    async fn new() -> Self {
        let database = Database::migrated().await;
        let rules = SourceRules { kind: "scim".to_owned(), ..SourceRules::default() };
        let sources = Arc::new(Sources::new(BTreeMap::from([("okta".to_owned(), rules)]), &[]).unwrap());
        let wake = Wake::default();
        let sync = database.open(Role::Sync, &sources, &wake).await;
        sync.register_sources().await.unwrap();
        Self { sync, owner: database.owner().await, sources, wake, database }
    }

    async fn relay(&self, holder: &str) -> Running {
        let bus = Local::new([URGENT, BULK, Topic::Revocations].map(|topic| ("test", topic)));
        let relay = Arc::new(Relay {
            directory: self.database.open(Role::Relay, &self.sources, &self.wake).await,
            bus: Arc::new(bus.clone()),
            holder: holder.to_owned(),
            metrics: Metrics::default(),
        });
        let stop = CancellationToken::new();
        let run = |lane| {
            let (relay, stop) = (relay.clone(), stop.clone());
            tokio::spawn(async move { relay.run(lane, stop).await })
        };
        let mut loops: Vec<JoinHandle<()>> = Lane::ALL.map(run).into();
        let cutoffs = stop.clone();
        loops.push(tokio::spawn(async move { relay.run_cutoffs(cutoffs).await }));
        Running { bus, stop, loops }
    }

    async fn person(&self, name: &str) -> AccountRow {
        let facts = facts(&directory::new_id(), name, Standing::Active);
        self.sync.create_user(&cause(), PLENTY, &facts).await.unwrap()
    }

    async fn set(&self, account: &AccountRow, standing: Standing) {
        let name = account.profile.user_name.clone().unwrap();
        let change = |row: &AccountRow| Ok::<_, Infallible>(facts(&row.native_id, &name, standing));
        self.sync.change_user(&cause(), PLENTY, &account.native_id, change).await.unwrap().unwrap().unwrap();
    }

    async fn pending(&self) -> i64 {
        self.count("SELECT count(*) FROM ledger.pending").await
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    /// Waits until the leases of both lanes and of cutoffs are in these hands.
    async fn until_held_by(&self, holder: &str) {
        let held = || async {
            let holders: Vec<String> =
                sqlx::query_scalar("SELECT holder FROM working.leases").fetch_all(&self.owner).await.unwrap();
            holders == [holder; 3]
        };
        eventually(&format!("{holder} has every lease"), held).await;
    }
}

impl Running {
    async fn listen(&self, topic: Topic) -> Box<dyn Subscription> {
        self.bus.subscribe("test", topic).await.unwrap()
    }

    /// Asks its loops to stop and waits until they have.
    async fn stop(self) {
        self.stop.cancel();
        for one in self.loops {
            within(one).await.unwrap();
        }
    }

    /// Ends it as a crash does: at once, with its leases still held.
    async fn crash(self) {
        for one in self.loops {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_pending_until_its_effect_is_durable() {
    let world = World::new().await;
    let relay = world.relay("a").await;
    let mut bulk = relay.listen(BULK).await;
    let ana = world.person("ana").await;
    let batch = next(&mut bulk).await;
    assert_eq!(batch.records.iter().map(|r| r.key).collect::<Vec<_>>(), [ana.identity_id]);
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
    let lost: Vec<Uuid> = first.records.iter().map(|r| r.id).collect();
    drop(first);
    assert_eq!(world.pending().await, 1);
    let second = next(&mut bulk).await;
    assert_eq!(second.records.iter().map(|r| r.id).collect::<Vec<_>>(), lost);
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
            for record in &batch.records {
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
    assert_eq!(other.records.iter().map(|r| r.key).collect::<Vec<_>>(), [bob.identity_id], "and nothing of ana");
    other.acknowledge();
    under_way.acknowledge();
    let later = next(&mut urgent).await;
    assert_eq!(later.records.iter().map(|r| r.key).collect::<Vec<_>>(), [ana.identity_id]);
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
    assert!(batch.records.iter().all(|r| r.id != late));
    batch.acknowledge();
    eventually("ana's event is done", || async { world.pending().await == 0 }).await;
    open.commit().await.unwrap();
    let batch = next(&mut bulk).await;
    assert_eq!(batch.records.iter().map(|r| r.id).collect::<Vec<_>>(), [late], "though its number is lower");
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
        told.extend(batch.records.iter().map(|r| r.key));
        batch.acknowledge();
    }
    eventually("nothing is pending", || async { world.pending().await == 0 }).await;
    assert_eq!(BTreeSet::from_iter(told), expected, "each once");
    world.until_held_by("one").await;

    one.stop().await;
    let late = world.person("late").await;
    let batch = next(&mut from_two).await;
    let keys: Vec<Uuid> = batch.records.iter().map(|r| r.key).collect();
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
    let two = world.relay("two").await;
    let mut from_two = two.listen(BULK).await;
    let ana = world.person("ana").await;
    world.until_held_by("one").await;
    sqlx::query("UPDATE working.leases SET until = now() - interval '1 s'").execute(&world.owner).await.unwrap();
    let batch = next(&mut from_two).await;
    assert_eq!(batch.records[0].key, ana.identity_id);
    batch.acknowledge();
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_back_takes_its_own_leases_at_once() {
    let world = World::new().await;
    let before = world.relay("one").await;
    world.until_held_by("one").await;
    before.crash().await;
    let began = Instant::now();
    let after = world.relay("one").await;
    let mut bulk = after.listen(BULK).await;
    world.person("ana").await;
    next(&mut bulk).await.acknowledge();
    assert!(began.elapsed() < directory::TTL, "it did not wait for them to run out");
    after.stop().await;
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
    let body: Value = serde_json::from_str(&batch.records[0].body).unwrap();
    (batch.records[0].key, body["revision"].clone(), body["scopes"]["*"]["generation"].clone())
}

/// Writes a cutoff of this revision the way that a decision does.
async fn cutoff(world: &World, subject: Uuid, revision: i64) {
    let mut tx = world.owner.begin().await.unwrap();
    for statement in [
        "INSERT INTO ledger.cutoff_subjects (subject_id, kind, revision) VALUES ($1, 'identity', $2)
         ON CONFLICT (subject_id) DO UPDATE SET revision = $2",
        "INSERT INTO ledger.cutoffs (subject_id, scope, cutoff) VALUES ($1, '*', jsonb_build_object('generation', $2::int8))
         ON CONFLICT (subject_id, scope) DO UPDATE SET cutoff = excluded.cutoff",
        "INSERT INTO ledger.pending_cutoffs (shard, subject_id, revision) VALUES (0, $1, $2)
         ON CONFLICT (shard, subject_id) DO UPDATE SET revision = $2",
    ] {
        sqlx::query(statement).bind(subject).bind(revision).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    world.wake.pending.ring();
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Batch {
    within(subscription.next()).await.unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("an answer within the limit")
}

async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn cause() -> Cause {
    Cause { source: Some("okta".to_owned()), class: Class::Prompt, effective_at: None, received_at: None, via: "test" }
}

fn facts(native_id: &str, name: &str, standing: Standing) -> AccountFacts {
    AccountFacts {
        native_id: native_id.to_owned(),
        external_id: None,
        profile: Profile { user_name: Some(name.to_owned()), ..Profile::default() },
        standing,
        starts_at: None,
        ends_at: None,
        kind: None,
        attributes: json!({}),
        groups: None,
    }
}
