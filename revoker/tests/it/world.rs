//! One revoker with its directory, relay and bus in one process, over the stores that a test gives it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Local, Topic};
use directory::{
    AccountRow, Burst, Cause, Directory, GroupBrake, MemberChange, RequestKind, Role, SourceRules, Sources, Wake,
};
use lifecycle::account::Profile;
use lifecycle::brake::Limits;
use lifecycle::{AccountFacts, Class, GroupFacts, Lane, Standing};
use policy::{Judge, Names, Policy, SubjectExpression};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use relay::Relay;
use revoker::{GROUP, Hops, Metrics, Revoker, Target};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::Database;
use crate::store::Store;
use crate::wire::Wire;

const PLENTY: Burst = Burst { count: 1_000_000, window: Duration::from_secs(3_600) };

/// What a test starts from.
pub struct Setup {
    pub stores: Vec<(&'static str, Arc<Store>)>,
    pub policy: Policy,
    /// A draft beside it.
    pub shadow: Option<Policy>,
    pub break_glass: Vec<String>,
    pub subject: &'static str,
    pub sweeps: Vec<Duration>,
    /// `None`: as with the embedded bus, where nobody reads cutoffs and receipts.
    pub names: Option<Arc<Names>>,
    /// Of orders by hand; more take two people.
    pub mass: Option<u64>,
}

impl Setup {
    /// The built-in policy; people go by their userName.
    pub fn of<const N: usize>(stores: [(&'static str, &Arc<Store>); N]) -> Self {
        Self {
            stores: stores.map(|(name, store)| (name, store.clone())).to_vec(),
            policy: Policy::builtin(),
            shadow: None,
            break_glass: Vec::new(),
            subject: "identity.userName",
            sweeps: [30, 60, 90].map(Duration::from_millis).to_vec(),
            names: None,
            mass: None,
        }
    }

    /// Everything but the deliveries and the relays.
    pub async fn idle(self) -> World {
        let database = Database::migrated().await;
        let rules = SourceRules { kind: "scim".to_owned(), ..SourceRules::default() };
        let sources = BTreeMap::from([("okta".to_owned(), rules)]);
        let (sources, wake) = (Arc::new(Sources::new(sources, &["admins".to_owned()]).unwrap()), Wake::default());
        let target = |name: &str, store: &Arc<Store>| Target {
            name: name.to_owned(),
            adapter: store.clone(),
            subject: SubjectExpression::parse(self.subject).unwrap(),
            sweeps: self.sweeps.clone(),
            max_session_life: Duration::from_secs(86_400),
            skew: chrono::Duration::seconds(1),
            workers: 2,
            breaker: revoker::Breaker::default(),
            watch: revoker::Watch::default(),
        };
        let targets: BTreeMap<String, Arc<Target>> =
            self.stores.iter().map(|(name, store)| ((*name).to_owned(), Arc::new(target(name, store)))).collect();
        let mut registry = Registry::default();
        let directory = database.open(Role::Revoker, &sources, &wake).await;
        let directory = match self.names {
            Some(names) => directory.publishing(revoker::publishing(names, &targets)),
            None => directory,
        };
        let judge = Judge::new(Arc::new(self.policy), revoker::abilities(&targets), &self.break_glass);
        let revoker = Revoker {
            directory,
            judge: judge.clone(),
            shadow: self.shadow.map(|draft| judge.under(Arc::new(draft))),
            targets,
            mass: self.mass,
            metrics: Metrics::register(&mut registry, Hops::new_with_constructor(|| Histogram::new([]))),
        };
        let wire = Wire::over(Local::new(Lane::ALL.map(|lane| (GROUP, Topic::Lifecycle(lane)))));
        let relay = Relay {
            directory: database.open(Role::Relay, &sources, &wake).await,
            bus: Arc::new(wire.clone()),
            holder: "test".to_owned(),
            metrics: relay::metrics::Metrics::default(),
        };
        let world = World {
            sync: database.open(Role::Sync, &sources, &wake).await,
            console: database.open(Role::Console, &sources, &wake).await,
            owner: database.owner().await,
            revoker: Arc::new(revoker),
            relay: Arc::new(relay),
            wire,
            registry,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
            _database: database,
        };
        world.sync.register_sources().await.unwrap();
        world
    }

    pub async fn start(self) -> World {
        let mut world = self.idle().await;
        world.follow();
        world.deliver();
        world
    }
}

pub struct World {
    pub sync: Directory,
    pub console: Directory,
    pub owner: PgPool,
    pub revoker: Arc<Revoker>,
    relay: Arc<Relay>,
    pub wire: Wire,
    registry: Registry,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _database: Database,
}

impl World {
    /// Starts the relays and the decisions on what they bring, and requests by hand.
    pub fn follow(&mut self) {
        for lane in Lane::ALL {
            let (relay, stop) = (self.relay.clone(), self.stop.clone());
            self.tasks.spawn(async move { relay.run(lane, stop).await });
            let (revoker, bus, stop) = (self.revoker.clone(), self.wire.clone(), self.stop.clone());
            self.tasks.spawn(async move { revoker.consume(&bus, lane, stop).await.unwrap() });
        }
        let (relay, stop) = (self.relay.clone(), self.stop.clone());
        self.tasks.spawn(async move { relay.run_cutoffs(stop).await });
        let (relay, stop) = (self.relay.clone(), self.stop.clone());
        self.tasks.spawn(async move { relay.run_receipts(stop).await });
        let (revoker, stop) = (self.revoker.clone(), self.stop.clone());
        self.tasks.spawn(async move { revoker.serve_requests(stop).await });
        let (revoker, stop) = (self.revoker.clone(), self.stop.clone());
        self.tasks.spawn(async move { revoker.serve_looks(stop).await });
        let (revoker, stop) = (self.revoker.clone(), self.stop.clone());
        self.tasks.spawn(async move { revoker.carry_out_holds(stop).await });
        let (revoker, stop) = (self.revoker.clone(), self.stop.clone());
        self.tasks.spawn(async move { revoker.shorten(stop).await });
    }

    /// Starts the workers of every downstream.
    pub fn deliver(&mut self) {
        for target in self.revoker.targets.values() {
            for worker in 0..target.workers() {
                let (revoker, target, stop) = (self.revoker.clone(), target.clone(), self.stop.clone());
                self.tasks.spawn(async move { revoker.deliver(target, worker, stop).await });
            }
            let (revoker, target, stop) = (self.revoker.clone(), target.clone(), self.stop.clone());
            self.tasks.spawn(async move { revoker.follow(&target, stop).await });
        }
    }

    /// Ends every loop in the middle of what it does.
    pub async fn kill(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Asks every loop to stop and waits until each has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some_and(|ended| ended.is_ok()) {} };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("every loop stops when it is asked to");
        assert!(self.tasks.is_empty(), "a loop panicked");
    }

    pub async fn person(&self, name: &str) -> AccountRow {
        let facts = AccountFacts { native_id: directory::new_id(), ..facts(name, Standing::Active) };
        self.sync.create_user(&cause(), PLENTY, &facts).await.unwrap().account
    }

    /// The source says this of her now; returns the event.
    pub async fn set(&self, account: &AccountRow, standing: Standing) -> Uuid {
        self.set_by(&cause(), account, standing).await
    }

    /// The same as part of a plan too large for the urgent lane.
    pub async fn set_in_bulk(&self, account: &AccountRow, standing: Standing) -> Uuid {
        self.set_by(&Cause { class: Class::Mass, ..cause() }, account, standing).await
    }

    async fn set_by(&self, cause: &Cause, account: &AccountRow, standing: Standing) -> Uuid {
        let name = account.profile.user_name.clone().unwrap();
        let change = move |row: &AccountRow| {
            let native_id = row.native_id.clone();
            Ok::<_, std::convert::Infallible>(AccountFacts { native_id, ..facts(&name, standing) })
        };
        self.sync.change_user(cause, PLENTY, &account.native_id, change).await.unwrap().unwrap().unwrap();
        self.latest(account).await
    }

    /// The source gives her another userName.
    pub async fn rename(&self, account: &AccountRow, name: &str) {
        let name = name.to_owned();
        let change = move |row: &AccountRow| {
            let native_id = row.native_id.clone();
            Ok::<_, std::convert::Infallible>(AccountFacts { native_id, ..facts(&name, row.fact) })
        };
        self.sync.change_user(&cause(), PLENTY, &account.native_id, change).await.unwrap().unwrap().unwrap();
    }

    /// The same revoker as one whose subscribers know people by these names.
    pub fn revoker_for(&self, names: Arc<Names>) -> Revoker {
        let Revoker { directory, judge, shadow, targets, mass, metrics } = &*self.revoker;
        Revoker {
            directory: directory.clone().publishing(revoker::publishing(names, targets)),
            judge: judge.clone(),
            shadow: shadow.clone(),
            targets: targets.clone(),
            mass: *mass,
            metrics: metrics.clone(),
        }
    }

    /// What a counter stands at.
    pub fn counted(&self, name: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        count.unwrap().parse().unwrap()
    }

    /// She loses a privileged group; returns the event.
    pub async fn loses_privilege(&self, account: &AccountRow) -> Uuid {
        let facts = GroupFacts {
            native_id: directory::new_id(),
            external_id: None,
            display_name: "admins".to_owned(),
            attributes: json!({}),
        };
        let (cause, member) = (cause(), [(account.native_id.clone(), false)]);
        let group = self.sync.create_group(&cause, &facts, &member).await.unwrap();
        let same = move |_: &directory::GroupRow| Ok::<_, Infallible>(facts.clone());
        let brake = GroupBrake { limits: Limits::default(), burst: 50 };
        let all = [MemberChange::RemoveAll];
        self.sync.change_group(&cause, brake, &group.native_id, same, &all).await.unwrap().unwrap().unwrap();
        self.latest(account).await
    }

    /// Somebody asks by hand; returns the revocation.
    pub async fn revoke(&self, account: &AccountRow) -> Uuid {
        let payload = json!({"subject": account.identity_id, "reason": "laptop stolen"});
        self.console.ask(RequestKind::Revoke, &payload, "ciso").await.unwrap()
    }

    async fn latest(&self, account: &AccountRow) -> Uuid {
        sqlx::query_scalar("SELECT event_id FROM ledger.events WHERE subject_id = $1 ORDER BY version DESC LIMIT 1")
            .bind(account.identity_id)
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }

    /// The receipt of a revocation at a downstream; `null` before there is a revocation.
    pub async fn receipt(&self, revocation: Uuid, downstream: &str) -> Value {
        let receipts = self.console.revocation(revocation).await.unwrap().map(|r| r.receipts).unwrap_or_default();
        receipts.into_iter().find(|r| r["downstream"] == downstream).unwrap_or_default()
    }

    /// Waits until a revocation is in this state at a downstream; what is settled is verified too.
    pub async fn until(&self, revocation: Uuid, downstream: &str, state: &str) -> Value {
        let reached = || async {
            let now = self.receipt(revocation, downstream).await;
            now["state"] == state || (state == "verified" && now["state"] == "settled")
        };
        eventually(&format!("{revocation} is {state} at {downstream}"), reached).await;
        self.receipt(revocation, downstream).await
    }

    /// The decision on an event, once there is one: its rules and its note.
    pub async fn decision(&self, event: Uuid) -> (Vec<String>, String) {
        let read = async || -> Option<(Vec<String>, String)> {
            sqlx::query_as(
                "SELECT rules, coalesce(note, '') FROM ledger.decisions JOIN ledger.events e ON e.id = event WHERE event_id = $1",
            )
            .bind(event)
            .fetch_optional(&self.owner)
            .await
            .unwrap()
        };
        eventually("the event is decided", || async { read().await.is_some() }).await;
        read().await.unwrap()
    }

    /// The delivery row as JSON; `null` where there is none.
    pub async fn delivery(&self, account: &AccountRow, downstream: &str) -> Value {
        sqlx::query_scalar("SELECT to_jsonb(d) FROM working.deliveries d WHERE subject_id = $1 AND downstream = $2")
            .bind(account.identity_id)
            .bind(downstream)
            .fetch_optional(&self.owner)
            .await
            .unwrap()
            .unwrap_or_default()
    }

    /// Makes every delivery due, also one that is being worked on: later sweeps are minutes away, and a test does not wait.
    pub async fn look_again(&self) {
        let sql = "UPDATE working.deliveries SET due_at = now(), turn = turn + 1";
        sqlx::query(sql).execute(&self.owner).await.unwrap();
        self.revoker.directory.wake.deliveries.ring();
    }

    /// Waits until the downstream has been looked at under the newest cutoff and no sweep is left.
    pub async fn quiet(&self, account: &AccountRow, downstream: &str) {
        let quiet = || async {
            let row = self.delivery(account, downstream).await;
            row["wanted"] == row["delivered"] && row["due_at"].is_null() && row["lease"].is_null() && row.is_object()
        };
        eventually("the last sweep has run", quiet).await;
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
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

fn facts(name: &str, standing: Standing) -> AccountFacts {
    AccountFacts {
        native_id: String::new(),
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

/// Waits until `true`, at most 60 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
