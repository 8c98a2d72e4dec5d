//! A directory whose events a relay brings to a bus of its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Batch, Bus, Local, Subscription, Topic};
use directory::{AccountRow, Burst, Cause, Directory, Role, SourceRules, Sources, Wake};
use lifecycle::account::Profile;
use lifecycle::{AccountFacts, Class, Lane, Standing};
use relay::Relay;
use relay::metrics::Metrics;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::Database;

pub const URGENT: Topic = Topic::Lifecycle(Lane::Urgent);
pub const BULK: Topic = Topic::Lifecycle(Lane::Bulk);
const PLENTY: Burst = Burst { count: 1_000_000, window: Duration::from_secs(3_600) };
const LIMIT: Duration = Duration::from_secs(20);

pub struct World {
    sync: Directory,
    pub owner: PgPool,
    sources: Arc<Sources>,
    wake: Wake,
    database: Database,
}

/// A relay of both lanes and of cutoffs, with a bus of its own.
pub struct Running {
    bus: Local,
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

    pub async fn relay(&self, holder: &str) -> Running {
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

    pub async fn person(&self, name: &str) -> AccountRow {
        let facts = facts(&directory::new_id(), name, Standing::Active);
        self.sync.create_user(&cause(), PLENTY, &facts).await.unwrap()
    }

    pub async fn set(&self, account: &AccountRow, standing: Standing) {
        let name = account.profile.user_name.clone().unwrap();
        let change = |row: &AccountRow| Ok::<_, Infallible>(facts(&row.native_id, &name, standing));
        self.sync.change_user(&cause(), PLENTY, &account.native_id, change).await.unwrap().unwrap().unwrap();
    }

    pub async fn pending(&self) -> i64 {
        self.count("SELECT count(*) FROM ledger.pending").await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    /// Waits until the leases of both lanes and of cutoffs are in these hands.
    pub async fn until_held_by(&self, holder: &str) {
        let held = || async {
            let holders: Vec<String> =
                sqlx::query_scalar("SELECT holder FROM working.leases").fetch_all(&self.owner).await.unwrap();
            holders == [holder; 3]
        };
        eventually(&format!("{holder} has every lease"), held).await;
    }
}

impl Running {
    pub async fn listen(&self, topic: Topic) -> Box<dyn Subscription> {
        self.bus.subscribe("test", topic).await.unwrap()
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
