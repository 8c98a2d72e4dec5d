//! Errands: owed once per decision, run by one worker at a time, owed until answered, and never answered by whoever lost the lease.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{AccountRow, Errand, Made, Ordered, Publishing, Reply, RequestKind};
use lifecycle::{Action, SubjectKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{lost, made, suspended};
use crate::world::{World, person};

const HOLD: Duration = Duration::from_secs(60);
const ALL: i16 = 2;
const HOOK: &str = "hook";
const KEYS: &str = "keys";

/// Nothing but a signal to the hook, and credentials that go.
fn errands() -> Ordered {
    let errands = [(HOOK, Action::Notify), (KEYS, Action::RevokeCredentials)];
    let errands = errands.map(|(downstream, action)| (downstream.to_owned(), action)).to_vec();
    Ordered { errands, ..Ordered::default() }
}

/// The decision about an event, to be written.
async fn ordering(world: &World, event: Uuid) -> Made {
    let event = world.revoker.undecided(&[event]).await.unwrap().pop().unwrap();
    Made { ordered: Some(errands()), ..made(event) }
}

/// Somebody was suspended, and it was decided what is owed of it. Returns the event.
async fn owed(world: &World, name: &str) -> (AccountRow, Uuid) {
    let who = world.create("okta", person(name)).await;
    let event = suspended(world, &who).await;
    assert_eq!(world.revoker.decide(&[ordering(world, event).await]).await.unwrap(), 1);
    (who, event)
}

async fn lease(world: &World) -> Option<Errand> {
    world.revoker.lease_errand(HOOK, ALL, HOLD).await.unwrap()
}

async fn row(world: &World, decision: Uuid, downstream: &str) -> Value {
    sqlx::query_scalar("SELECT to_jsonb(e) FROM ledger.errands e WHERE decision = $1 AND downstream = $2")
        .bind(decision)
        .bind(downstream)
        .fetch_one(&world.owner)
        .await
        .unwrap()
}

async fn count(world: &World) -> i64 {
    world.ask("SELECT count(*) FROM ledger.errands").await
}

async fn receipts(world: &World, revocation: Uuid) -> Vec<Value> {
    world.console.revocation(revocation).await.unwrap().unwrap().receipts
}

async fn receipt(world: &World, revocation: Uuid, downstream: &str) -> Value {
    receipts(world, revocation).await.into_iter().find(|r| r["downstream"] == downstream).unwrap()
}

fn handed_over() -> Reply {
    Reply::HandedOver { at: Utc::now() }
}

#[tokio::test]
async fn a_decision_owes_each_of_its_errands_once_however_often_it_is_made() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    // Two revokers have read the event before either has decided.
    let (one, other) = (ordering(&world, event).await, ordering(&world, event).await);
    assert_eq!(world.revoker.decide(&[one]).await.unwrap(), 1);
    assert_eq!(world.revoker.decide(std::slice::from_ref(&other)).await.unwrap(), 0);
    assert_eq!(count(&world).await, 2);
    assert_eq!(world.revoker.owed().await.unwrap(), [(HOOK.to_owned(), (1, 0)), (KEYS.to_owned(), (1, 0))].into());

    let errand = lease(&world).await.unwrap();
    assert_eq!((errand.decision, errand.action, errand.subject), (event, Action::Notify, ana.identity_id));
    assert!(errand.event.as_deref().is_some_and(|body| body.contains("identity.suspended")), "in its own words");
    assert_eq!(errand.identity.as_ref().unwrap().profile.user_name.as_deref(), Some("ana"));
    world.revoker.answer_errand(HOOK, &errand, &handed_over()).await.unwrap();
    assert_eq!(world.revoker.decide(&[other]).await.unwrap(), 0);
    assert!(lease(&world).await.is_none(), "done, it is not owed again by the same decision");
    assert_eq!(receipt(&world, event, KEYS).await["state"], "owed", "and keeps no other back");
}

#[tokio::test]
async fn another_decision_about_the_same_person_has_errands_of_its_own() {
    let world = World::new().await;
    let (ana, first) = owed(&world, "ana").await;
    let second = lost(&world, &ana).await;
    world.revoker.decide(&[ordering(&world, second).await]).await.unwrap();
    let leased = [lease(&world).await.unwrap().decision, lease(&world).await.unwrap().decision];
    assert_eq!(leased, [first, second], "nothing is coalesced, and the older goes first");
}

#[tokio::test]
async fn an_order_by_hand_owes_under_the_id_of_its_request_once() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let payload = json!({"subject": ana.identity_id, "reason": "laptop stolen"});
    let id = world.console.ask(RequestKind::Revoke, &payload, "ciso").await.unwrap();
    let request = world.revoker.request(id).await.unwrap();
    let who = (ana.identity_id, SubjectKind::Identity);
    for _ in 0..2 {
        // Whoever dies after the order carries out the request again.
        world.revoker.revoke_by_hand(&request, who, &errands(), "laptop stolen").await.unwrap();
    }
    assert_eq!(count(&world).await, 2);
    let errand = lease(&world).await.unwrap();
    assert_eq!((errand.decision, errand.event), (id, None));
}

#[tokio::test]
async fn what_failed_waits_and_is_taken_again_with_how_often_it_failed() {
    let world = World::new().await;
    let (_, event) = owed(&world, "ana").await;
    let errand = lease(&world).await.unwrap();
    world.revoker.defer_errand(HOOK, &errand, Utc::now(), "no answer", false).await.unwrap();
    let again = lease(&world).await.unwrap();
    assert_eq!((again.decision, again.attempts), (event, 1));
    let later = Utc::now() + chrono::Duration::hours(1);
    world.revoker.defer_errand(HOOK, &again, later, "no answer", false).await.unwrap();
    assert!(lease(&world).await.is_none(), "not before its time");
    assert!(world.revoker.next_due(HOOK, ALL).await.unwrap().unwrap() > Duration::from_secs(3_000));
    let row = row(&world, event, HOOK).await;
    assert_eq!((&row["attempts"], &row["last_error"], &row["state"]), (&json!(2), &json!("no answer"), &json!("owed")));

    assert_eq!(world.revoker.bring_forward(HOOK).await.unwrap(), 1, "the hook answers again");
    let errand = lease(&world).await.unwrap();
    world.revoker.answer_errand(HOOK, &errand, &handed_over()).await.unwrap();
    assert_eq!(receipt(&world, event, HOOK).await["state"], "handed_over");
    assert!(!world.revoker.owed().await.unwrap().contains_key(HOOK));
}

#[tokio::test]
async fn what_needs_a_persons_help_is_listed_as_stuck_until_it_works() {
    let world = World::new().await;
    let (ana, event) = owed(&world, "ana").await;
    let errand = lease(&world).await.unwrap();
    world.revoker.defer_errand(HOOK, &errand, Utc::now(), "410 Gone", true).await.unwrap();
    assert_eq!(world.revoker.owed().await.unwrap()[HOOK], (1, 1));
    let listed = world.console.owed_rows(true, None, 10).await.unwrap();
    let [stuck] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((stuck.subject, stuck.downstream.as_str()), (ana.identity_id, HOOK));
    assert_eq!((stuck.action.as_deref(), stuck.state.as_str(), stuck.attempts), (Some("notify"), "stuck", 1));
    assert_eq!(stuck.since, errand.at, "since what was decided came to be");
    assert_eq!(world.console.owed_row(stuck.id).await.unwrap().unwrap().action.as_deref(), Some("notify"));
    let told = receipt(&world, event, HOOK).await;
    assert_eq!((&told["state"], &told["note"]), (&json!("stuck"), &json!("410 Gone")));

    let again = lease(&world).await.unwrap();
    world.revoker.answer_errand(HOOK, &again, &handed_over()).await.unwrap();
    assert!(world.console.owed_rows(true, None, 10).await.unwrap().is_empty());
    assert_eq!(receipt(&world, event, HOOK).await["note"], Value::Null);
}

#[tokio::test]
async fn an_answer_is_one_receipt_and_is_told_of_once() {
    let mut world = World::new().await;
    world.revoker = world.revoker.publishing(Publishing { names: None, life: Duration::from_secs(86_400) });
    let (ana, event) = owed(&world, "ana").await;
    let errand = lease(&world).await.unwrap();
    let at = DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap();
    for _ in 0..2 {
        // Whoever was not heard says it again.
        world.revoker.answer_errand(HOOK, &errand, &Reply::HandedOver { at }).await.unwrap();
    }
    let all = receipts(&world, event).await;
    let told: Vec<&Value> = all.iter().filter(|r| r["downstream"] == HOOK).collect();
    let [one] = told[..] else { panic!("{all:?}") };
    assert_eq!((&one["action"], &one["state"]), (&json!("notify"), &json!("handed_over")));
    let row = row(&world, event, HOOK).await;
    assert_eq!((&row["due_at"], &row["lease"], &row["verified_at"]), (&Value::Null, &Value::Null, &Value::Null));

    let records = world.relay.pending_receipts(0, 0, 100).await.unwrap();
    let bodies: Vec<Value> = records.iter().map(|r| serde_json::from_str(&r.body).unwrap()).collect();
    let steps: Vec<&Value> = bodies.iter().filter(|body| body["data"]["downstream"] == HOOK).collect();
    let [step] = steps[..] else { panic!("{bodies:?}") };
    assert_eq!(step["data"]["state"], "handed_over");
    assert!(records.iter().all(|record| record.subject == ana.identity_id));
}

#[tokio::test]
async fn credentials_that_were_found_are_looked_for_again_until_none_is_left() {
    let world = World::new().await;
    let (_, event) = owed(&world, "ana").await;
    let lease = async || world.revoker.lease_errand(KEYS, ALL, HOLD).await.unwrap();
    let errand = lease().await.unwrap();
    assert_eq!((errand.action, errand.applied_at), (Action::RevokeCredentials, None));
    let (first, now) = (errand.clock.now(), Utc::now());
    let applied = Reply::Applied { found: 2, ended: 2, applied_at: first, again_at: now };
    world.revoker.answer_errand(KEYS, &errand, &applied).await.unwrap();
    assert_eq!(receipt(&world, event, KEYS).await["state"], "applied");
    assert_eq!(world.revoker.owed().await.unwrap()[KEYS], (1, 0), "it is not done");

    let again = lease().await.unwrap();
    assert_eq!(again.applied_at.map(|at| at.timestamp_micros()), Some(first.timestamp_micros()));
    let verified = Reply::Verified { found: 1, ended: 1, applied_at: now, verified_at: now, note: None };
    world.revoker.answer_errand(KEYS, &again, &verified).await.unwrap();
    let receipt = receipt(&world, event, KEYS).await;
    let sums = (&receipt["state"], &receipt["found"], &receipt["ended"]);
    assert_eq!(sums, (&json!("verified"), &json!(3), &json!(3)), "of both looks");
    let applied_at: DateTime<Utc> =
        serde_json::from_value(row(&world, event, KEYS).await["applied_at"].take()).unwrap();
    assert_eq!(applied_at.timestamp_micros(), first.timestamp_micros(), "the first time that it was run");
    assert!(lease().await.is_none());
}

#[tokio::test]
async fn workers_at_the_same_time_never_take_the_same_errand() {
    let world = World::new().await;
    for n in 0..12 {
        owed(&world, &format!("p{n}")).await;
    }
    let work = async || {
        let mut taken = Vec::new();
        while let Some(errand) = lease(&world).await.filter(|_| taken.len() < 12) {
            taken.push(errand.decision);
            tokio::task::yield_now().await;
        }
        taken
    };
    let (one, other, third) = tokio::join!(work(), work(), work());
    let mut by: BTreeMap<Uuid, usize> = BTreeMap::new();
    [one, other, third].concat().into_iter().for_each(|decision| *by.entry(decision).or_default() += 1);
    assert_eq!((by.len(), by.values().max()), (12, Some(&1)), "each by one of them: {by:?}");
}

#[tokio::test]
async fn a_dead_workers_errand_is_taken_once_its_lease_has_run_out_and_a_late_word_counts_for_nothing() {
    let world = World::new().await;
    let (_, event) = owed(&world, "ana").await;
    let late = world.revoker.lease_errand(HOOK, ALL, Duration::ZERO).await.unwrap().unwrap();
    let held = lease(&world).await.expect("it ran out at once");
    assert_eq!((late.decision, held.decision), (event, event));
    assert!(lease(&world).await.is_none(), "while it is held, nobody else has it");
    let before = row(&world, event, HOOK).await;

    world.revoker.renew_errand(HOOK, &late, Duration::from_secs(3_600)).await.unwrap();
    world.revoker.answer_errand(HOOK, &late, &handed_over()).await.unwrap();
    world.revoker.defer_errand(HOOK, &late, Utc::now(), "too late", true).await.unwrap();
    world.revoker.unlease_errand(HOOK, &late).await.unwrap();
    assert_eq!(row(&world, event, HOOK).await, before);

    world.revoker.answer_errand(HOOK, &held, &handed_over()).await.unwrap();
    world.revoker.defer_errand(HOOK, &late, Utc::now(), "too late", true).await.unwrap();
    assert_eq!(receipt(&world, event, HOOK).await["state"], "handed_over");
}

#[tokio::test]
async fn a_lease_that_is_given_back_or_taken_back_keeps_nobody_waiting() {
    let world = World::new().await;
    owed(&world, "ana").await;
    let errand = lease(&world).await.unwrap();
    world.revoker.unlease_errand(HOOK, &errand).await.unwrap();
    let again = lease(&world).await.expect("it was given back");
    assert_eq!(again.attempts, 0, "which is no failure");
    assert_eq!(world.revoker.take_back_leases().await.unwrap(), 1, "the same holder, killed and started again");
    assert!(lease(&world).await.is_some());
}
