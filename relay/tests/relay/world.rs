//! A directory whose events a relay brings to a bus of its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Batch, Bus, Local, Subscription, Topic};
use directory::{AccountRow, Burst, Cause, Directory, Role, SourceRules, Sources, Wake};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Class, Lane, Standing};
use prometheus_client::registry::Registry;
use relay::Relay;
use relay::metrics::Metrics;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::Database;
use crate::recorder::Recorder;

pub const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
pub const BULK: Topic = Topic::Lifecycle(Lane::Bulk);
const PLENTY: Burst = Burst { count: 1_000_000, window: Duration::from_secs(3_600) };
const LIMIT: Duration = Duration::from_secs(60);

pub struct World {
    sync: Directory,
    pub owner: PgPool,
    sources: Arc<Sources>,
    wake: Wake,
    database: Database,
}

/// A relay of both lanes, of cutoffs and of receipts.
pub struct Running {
    bus: Local,
    registry: Registry,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl World {
    pub async fn new() -> Self {
        let database = Database::migrated().await;
        let rules = SourceRules { kind: "scim".to_owned(), ..SourceRules::default() };
        let sources = Arc::new(Sources::new(BTreeMap::from([("okta".to_owned(), rules)]), &[]).unwrap());
        let wake = Wake::default();
        let sync = database.open(Role::Sync, &sources, &wake).await;
        sync.register_sources().await.unwrap();
        Self { sync, owner: database.owner().await, sources, wake, database }
    }

    /// Over a local bus of its own, on which nothing is taken before a test subscribes.
    pub async fn relay(&self, holder: &str) -> Running {
        let bus = Local::new([URGENT, BULK, Topic::Revocations, Topic::Receipts].map(|topic| ("test", topic)));
        Running { bus: bus.clone(), ..self.start(holder, Arc::new(bus)).await }
    }

    pub async fn relay_over(&self, holder: &str, bus: &Recorder) -> Running {
        self.start(holder, Arc::new(bus.clone())).await
    }

    async fn start(&self, holder: &str, bus: Arc<dyn Bus>) -> Running {
        let mut registry = Registry::default();
        let relay = Arc::new(Relay {
            directory: self.database.open(Role::Relay, &self.sources, &self.wake).await,
            bus,
            holder: holder.to_owned(),
            metrics: Metrics::register(&mut registry),
        });
        let stop = CancellationToken::new();
        let run = |lane| {
            let (relay, stop) = (relay.clone(), stop.clone());
            tokio::spawn(async move { relay.run(lane, stop).await })
        };
        let mut loops: Vec<JoinHandle<()>> = Lane::ALL.map(run).into();
        let (receipts, stopped) = (relay.clone(), stop.clone());
        loops.push(tokio::spawn(async move { receipts.run_receipts(stopped).await }));
        let stopped = stop.clone();
        loops.push(tokio::spawn(async move { relay.run_cutoffs(stopped).await }));
        Running { bus: Local::new([]), registry, stop, loops }
    }

    pub async fn person(&self, name: &str) -> AccountRow {
        let facts = facts(&directory::new_id(), name, Standing::Active);
        self.sync.create_user(&cause(), PLENTY, &facts).await.unwrap().account
    }

    pub async fn set(&self, account: &AccountRow, standing: Standing) {
        let name = account.profile.user_name.clone().unwrap();
        let change = move |row: &AccountRow| Ok::<_, Infallible>(facts(&row.native_id, &name, standing));
        self.sync.change_user(&cause(), PLENTY, &account.native_id, change).await.unwrap().unwrap().unwrap();
    }

    pub async fn pending(&self) -> i64 {
        self.count("SELECT count(*) FROM ledger.pending").await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    pub async fn nothing_pending(&self) -> bool {
        let all = "SELECT (SELECT count(*) FROM ledger.pending) + (SELECT count(*) FROM ledger.pending_cutoffs)
                          + (SELECT count(*) FROM ledger.pending_receipts)";
        self.count(all).await == 0
    }

    /// So many pending events, spread over so many subjects.
    pub async fn backlog(&self, events: i64, subjects: i64) {
        sqlx::query(
            "WITH e AS (
                 INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
                 SELECT gen_random_uuid(), 'group', md5((n % $2)::text)::uuid, 'group.updated', n / $2 + 1, n / $2, 1, 1, now(),
                        json_build_object('version', n / $2 + 1)
                 FROM generate_series(0, $1 - 1) AS n ORDER BY n RETURNING id
             )
             INSERT INTO ledger.pending (shard, lane, id) SELECT 0, 1, id FROM e",
        )
        .bind(events)
        .bind(subjects)
        .execute(&self.owner)
        .await
        .unwrap();
    }

    /// Waits until the leases of both lanes, of cutoffs and of receipts are in these hands.
    pub async fn until_held_by(&self, holder: &str) {
        let held = || async {
            let holders: Vec<String> =
                sqlx::query_scalar("SELECT holder FROM working.leases").fetch_all(&self.owner).await.unwrap();
            holders == [holder; 4]
        };
        eventually(&format!("{holder} has every lease"), held).await;
    }
}

impl Running {
    pub async fn listen(&self, topic: Topic) -> Box<dyn Subscription> {
        self.bus.subscribe("test", topic).await.unwrap()
    }

    /// What a counter stands at, by topic.
    pub fn counted(&self, name: &str, topic: Topic) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = format!("{name}{{topic=\"{}\"}} ", topic.as_str());
        text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    /// Asks its loops to stop and waits until they have.
    pub async fn stop(self) {
        self.stop.cancel();
        for one in self.loops {
            within(one).await.unwrap();
        }
    }

    /// Ends it as a crash does: at once, with its leases still held.
    pub async fn crash(self) {
        for one in self.loops {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
    }
}
/// Writes a cutoff of this revision the way that a decision does.
pub async fn cutoff(world: &World, subject: Uuid, revision: i64) {
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

/// Writes a record of a receipt the way that an answer does; returns its id.
pub async fn receipt(world: &World, subject: Uuid, body: &str) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO ledger.pending_receipts (shard, record_id, subject_id, body) VALUES (0, $1, $2, $3)")
        .bind(id)
        .bind(subject)
        .bind(body)
        .execute(&world.owner)
        .await
        .unwrap();
    world.wake.progress.ring();
    id
}

pub async fn next(subscription: &mut Box<dyn Subscription>) -> Batch {
    within(subscription.next()).await.unwrap()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("an answer within the limit")
}

pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn cause() -> Cause {
    Cause {
        source: Some("okta".to_owned()),
        class: Class::Prompt,
        effective_at: None,
        received_at: None,
        trace: None,
        via: "test",
    }
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
