//! Property: in whatever order, how often and in what batches a person's events arrive, the same is in force in the end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lifecycle::Cutoff;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use crate::decided::{SHOP, WEB, decide_all, delivery, departed, lost, reinstated, suspended};
use crate::world::{World, person};

#[derive(Debug, Clone, Copy)]
enum Step {
    Suspend,
    Reinstate,
    Depart,
    LosePrivilege,
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![Just(Step::Suspend), Just(Step::Reinstate), Just(Step::Depart), Just(Step::LosePrivilege)];
    prop::collection::vec(step, 1..7)
}

/// Lets a new person live through `steps`. Returns her identity and the events.
async fn live(world: &World, steps: &[Step]) -> (Uuid, Vec<Uuid>) {
    let account = world.create("okta", person(&Uuid::new_v4().to_string())).await;
    for step in steps {
        match step {
            Step::Suspend => suspended(world, &account).await,
            Step::Reinstate => reinstated(world, &account).await,
            Step::Depart => departed(world, &account).await,
            Step::LosePrivilege => lost(world, &account).await,
        };
    }
    let events = world.told_of(account.identity_id).await.into_iter().map(|t| t.event_id).collect();
    (account.identity_id, events)
}

/// What is in force, with each instant told as the version of the event that set it, so that two people can be compared.
async fn in_force(world: &World, person: Uuid) -> BTreeMap<String, Value> {
    let instants: Vec<(i64, DateTime<Utc>)> =
        sqlx::query_as("SELECT version, recorded_at FROM ledger.events WHERE subject_id = $1")
            .bind(person)
            .fetch_all(&world.owner)
            .await
            .unwrap();
    let version = |at: Option<DateTime<Utc>>| at.map(|at| instants.iter().find(|(_, i)| *i == at).unwrap().0);
    let told = |c: &Cutoff| {
        serde_json::json!({
            "sessions": version(c.sessions_before),
            "refresh": version(c.refresh_before),
            "state": c.state,
            "generation": c.generation,
        })
    };
    let mut all: BTreeMap<String, Value> =
        world.revoker.cutoffs(person).await.unwrap().iter().map(|(scope, c)| (scope.clone(), told(c))).collect();
    for downstream in [WEB, SHOP] {
        let wanted = delivery(world, person, downstream).await["wanted"].take();
        if !wanted.is_null() {
            let wanted: Cutoff = serde_json::from_value(wanted).unwrap();
            all.insert(format!("wanted at {downstream}"), told(&wanted));
        }
    }
    all
}

#[test]
fn any_order_duplication_and_replay_of_a_persons_events_ends_in_the_same_cutoffs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let arrivals = prop::collection::vec(any::<Index>(), 0..10);
    let property = |(steps, arrivals): (Vec<Step>, Vec<Index>)| {
        let (expected, got) = runtime.block_on(async {
            let (one, in_order) = live(&world, &steps).await;
            decide_all(&world, &in_order).await;
            let (other, events) = live(&world, &steps).await;
            let mut shuffled: Vec<Uuid> = arrivals.iter().map(|i| events[i.index(events.len())]).collect();
            shuffled.extend(events.iter().rev());
            decide_all(&world, &shuffled).await;
            (in_force(&world, one).await, in_force(&world, other).await)
        });
        prop_assert_eq!(expected, got);
        Ok(())
    };
    let result = runner.run(&(history(), arrivals), property);
    // The pools have to be closed on the runtime that they were opened on.
    runtime.block_on(async { drop(world) });
    result.unwrap();
}
