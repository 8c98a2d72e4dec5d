//! A company with an HR system, an identity provider, a badge system and a partner, as tests speak of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use directory::{
    AccountRow, Applied, Burst, Cause, Directory, Fence, From, GroupAttribute, GroupBrake, IdentityRow, LIST_WITHIN,
    ListQuery, Missing, Page, PlanVerdict, Resolved, Role, Roll, RunEnd, SourceRules, Sources, Wake,
};
use lifecycle::account::Profile;
use lifecycle::brake::{Counts, Limits};
use lifecycle::{AccountFacts, Class, Standing};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::Database;

/// A burst that no test reaches.
pub const PLENTY: Burst = Burst { count: 1_000_000, window: Duration::from_secs(3_600) };

/// A brake that no test reaches.
pub const FREE: GroupBrake = GroupBrake { limits: Limits { max_disable: 1.0, min: 1_000_000 }, burst: 1_000_000 };

/// One migrated database with a pool for each part of Leaver.
pub struct World {
    pub sync: Directory,
    pub revoker: Directory,
    pub relay: Directory,
    pub console: Directory,
    pub owner: PgPool,
    /// Last, so that the pools go first.
    _database: Database,
}

/// `hr` rules over lifecycle, `okta` pushes, `badge` has no say in it, `partner` links to nobody.
pub fn sources() -> Arc<Sources> {
    let source = |correlate: &[&str], authority: &[&str], ignores_lifecycle| SourceRules {
        kind: "csv".to_owned(),
        correlate: correlate.iter().map(|s| (*s).to_owned()).collect(),
        authority: authority.iter().map(|s| (*s).to_owned()).collect(),
        ignores_lifecycle,
    };
    let by_number_or_name = ["employeeNumber", "userName"];
    let rules = BTreeMap::from([
        ("hr".to_owned(), source(&by_number_or_name, &["lifecycle"], false)),
        ("okta".to_owned(), source(&by_number_or_name, &[], false)),
        ("badge".to_owned(), source(&by_number_or_name, &[], true)),
        ("partner".to_owned(), source(&[], &[], false)),
    ]);
    let tier = |name: &str| GroupAttribute { name: name.to_owned(), values: vec!["0".to_owned()] };
    let sources = Sources::new(rules, &["admins".to_owned(), "prod-*".to_owned()]).unwrap();
    Arc::new(sources.privileged_by(vec![tier("tier"), tier("urn:example:corp:2.0:Group:tier")]))
}

impl World {
    pub async fn new() -> Self {
        let database = Database::migrated().await;
        let (sources, wake) = (sources(), Wake::default());
        let world = Self {
            sync: database.open(Role::Sync, &sources, &wake).await,
            revoker: database.open(Role::Revoker, &sources, &wake).await,
            relay: database.open(Role::Relay, &sources, &wake).await,
            console: database.open(Role::Console, &sources, &wake).await,
            owner: database.owner().await,
            _database: database,
        };
        world.sync.register_sources().await.unwrap();
        world
    }

    /// Pushes a new user by SCIM.
    pub async fn create(&self, source: &str, facts: AccountFacts) -> AccountRow {
        let facts = AccountFacts { native_id: directory::new_id(), ..facts };
        self.sync.create_user(&cause(source), PLENTY, &facts).await.unwrap().account
    }

    /// How many users of a source a SCIM filter finds.
    pub async fn found(&self, source: &str, filter: &str) -> i64 {
        let filter = scim::Filter::parse(scim::ResourceType::User, filter).unwrap();
        let (filter, from, within) = (Some(&filter), From::Offset(0), LIST_WITHIN);
        let query = ListQuery { source, filter, sort: None, from, count: 10, location: "", within };
        self.sync.users(&query).await.unwrap().unwrap().total
    }

    /// Pushes a change by SCIM.
    pub async fn change(
        &self,
        source: &str,
        id: &str,
        change: impl Fn(&mut AccountFacts) + Send + Sync + 'static,
    ) -> AccountRow {
        let apply = move |row: &AccountRow| {
            let mut facts = facts_of(row);
            change(&mut facts);
            Ok::<_, Infallible>(facts)
        };
        self.sync
            .change_user(&cause(source), PLENTY, id, apply)
            .await
            .unwrap()
            .expect("the account is there")
            .unwrap()
            .account
    }

    pub async fn set(&self, source: &str, id: &str, standing: Standing) -> AccountRow {
        self.change(source, id, move |facts| facts.standing = standing).await
    }

    /// Deletes a user by SCIM, if it is there.
    pub async fn delete(&self, source: &str, burst: Burst, id: &str) -> bool {
        let any = |_: &AccountRow| Ok::<_, Infallible>(());
        self.sync.delete_user(&cause(source), burst, id, any).await.unwrap().is_some()
    }

    /// A complete run of a pulled source whose plan is let through.
    pub async fn pull(&self, source: &str, everybody: &[AccountFacts]) -> Applied {
        let run = self.begin(source).await;
        let applied = run.read(self, everybody).await;
        self.sync.release_all(&run.cause, &run.fence).await.unwrap();
        run.finish(self, true).await;
        applied
    }

    /// A complete run of a pulled source whose plan is held.
    pub async fn pull_and_hold(&self, source: &str, everybody: &[AccountFacts]) -> Uuid {
        let run = self.begin(source).await;
        run.read(self, everybody).await;
        let counts = self.sync.waiting_counts(source).await.unwrap();
        let held = self.sync.hold(&run.cause, Some(&run.fence), &counts, &[], run.rows(everybody), "f").await.unwrap();
        run.finish(self, false).await;
        held.plan
    }

    /// One person approves a plan, which is enough. Returns how many rows were applied and skipped.
    pub async fn approve(&self, plan: Uuid) -> (usize, usize) {
        match self.sync.approve(plan, "ciso", None).await.unwrap() {
            PlanVerdict::Applied { applied, skipped } => (applied, skipped),
            waiting @ PlanVerdict::Waiting { .. } => panic!("{waiting:?}"),
        }
    }

    pub async fn begin(&self, source: &str) -> Run {
        let (fence, _) = self.sync.fence(source).await.unwrap();
        let id = Uuid::now_v7();
        self.sync.start_run(id, source).await.unwrap();
        let baseline = self.sync.source(source).await.unwrap().unwrap().baselined_at.is_none();
        Run { id, fence, cause: cause(source), baseline }
    }

    pub async fn waiting(&self, source: &str) -> Counts {
        self.sync.waiting_counts(source).await.unwrap()
    }

    /// Who goes by this name, address, number's id or `source:native id`.
    pub async fn who(&self, who: &str) -> IdentityRow {
        match self.console.resolve(who, false).await.unwrap() {
            Resolved::One(id) => self.identity(id).await,
            other => panic!("{who} is {other:?}"),
        }
    }

    pub async fn identity(&self, id: Uuid) -> IdentityRow {
        self.console.identities_by_id(&[id]).await.unwrap().pop().expect("the identity is there")
    }

    /// All events, oldest first.
    pub async fn told(&self) -> Vec<Told> {
        sqlx::query_as(
            "SELECT event_id, subject_id AS subject, type AS what, version, prev, lane, class, body::jsonb AS body
             FROM ledger.events ORDER BY id",
        )
        .fetch_all(&self.owner)
        .await
        .unwrap()
    }

    pub async fn told_of(&self, subject: Uuid) -> Vec<Told> {
        self.told().await.into_iter().filter(|t| t.subject == subject).collect()
    }

    /// The types of a subject's events, oldest first.
    pub async fn history(&self, subject: Uuid) -> Vec<String> {
        self.told_of(subject).await.into_iter().map(|t| t.what).collect()
    }

    /// One number or text out of the database.
    pub async fn ask<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        sqlx::query_scalar(sql).fetch_one(&self.owner).await.unwrap()
    }

    pub async fn assert_clean_ledger(&self) {
        let findings = self.console.check_ledger(10).await.unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }
}

/// An event as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Told {
    pub event_id: Uuid,
    pub subject: Uuid,
    pub what: String,
    pub version: i64,
    pub prev: i64,
    pub lane: i16,
    pub class: i16,
    pub body: Value,
}

impl Told {
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }
}

/// A run of a pulled source that has begun.
pub struct Run {
    pub id: Uuid,
    pub fence: Fence,
    pub cause: Cause,
    pub baseline: bool,
}

impl Run {
    pub fn page<'a>(&'a self, accounts: &'a [AccountFacts]) -> Page<'a> {
        Page { fence: &self.fence, accounts, baseline: self.baseline }
    }

    /// Everything up to the plan: the page, who is missing, dates that passed.
    pub async fn read(&self, world: &World, everybody: &[AccountFacts]) -> Applied {
        let (mut roll, mut changed) = (self.roll(world).await, everybody.to_vec());
        let unchanged = roll.call(&mut changed, Utc::now());
        let applied = world.sync.apply_page(&self.cause, &self.page(&changed)).await.unwrap();
        world.sync.mark_absent(&self.fence, Missing::Silent(&roll), Standing::Inactive).await.unwrap();
        world.sync.pass_dates(&self.cause, &self.fence, Utc::now()).await.unwrap();
        Applied { unchanged: applied.unchanged + unchanged, ..applied }
    }

    pub async fn roll(&self, world: &World) -> Roll {
        world.sync.roll(&self.fence.source).await.unwrap()
    }

    pub fn rows(&self, everybody: &[AccountFacts]) -> i64 {
        i64::try_from(everybody.len()).unwrap()
    }

    pub fn end<'a>(&self, next: &'a Value, applied: bool) -> RunEnd<'a> {
        RunEnd { next, rows: 1, fingerprint: "f", applied }
    }

    pub async fn finish(&self, world: &World, applied: bool) {
        world.sync.finish_complete(&self.cause, &self.fence, &self.end(&json!("next"), applied)).await.unwrap();
        world.sync.end_run(self.id, "complete", None, &Value::Null, None).await.unwrap();
    }
}

pub fn cause(source: &str) -> Cause {
    Cause {
        source: Some(source.to_owned()),
        class: Class::Prompt,
        effective_at: None,
        received_at: None,
        trace: None,
        via: "test",
    }
}

/// An active user of this userName, which is also its native id.
pub fn person(name: &str) -> AccountFacts {
    AccountFacts {
        native_id: name.to_owned(),
        external_id: None,
        profile: Profile { user_name: Some(name.to_owned()), ..Profile::default() },
        standing: Standing::Active,
        starts_at: None,
        ends_at: None,
        kind: None,
        attributes: json!({}),
        groups: None,
    }
}

pub fn number(number: &str, facts: AccountFacts) -> AccountFacts {
    AccountFacts { profile: Profile { employee_number: Some(number.to_owned()), ..facts.profile }, ..facts }
}

pub fn standing(standing: Standing, facts: AccountFacts) -> AccountFacts {
    AccountFacts { standing, ..facts }
}

pub fn in_groups(groups: &[&str], facts: AccountFacts) -> AccountFacts {
    AccountFacts { groups: Some(groups.iter().map(|g| (*g).to_owned()).collect()), ..facts }
}

fn facts_of(row: &AccountRow) -> AccountFacts {
    AccountFacts {
        native_id: row.native_id.clone(),
        external_id: row.external_id.clone(),
        profile: row.profile.clone(),
        standing: row.fact,
        attributes: row.attributes.clone(),
        ..person("")
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
