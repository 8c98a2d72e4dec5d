//! Deliveries: leased once, answered by turn, owed until answered, and never answered by whoever lost the lease.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{AccountRow, Answer, EVERYWHERE, Leased, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{SHOP, WEB, by_hand, decide_all, delivery, lost, reinstated, suspended};
use crate::world::{PLENTY, World, cause, person};

const HOLD: Duration = Duration::from_secs(60);
const ALL: i16 = 2;

async fn lease(world: &World) -> Vec<Leased> {
    world.revoker.lease_deliveries(WEB, ALL, 10, HOLD).await.unwrap()
}

/// What a quiet pass over this lease would say.
pub fn answer(leased: &Leased, outcome: Outcome) -> Answer {
    let now = Utc::now();
    Answer {
        subject: leased.subject,
        lease: leased.lease,
        turn: leased.turn,
        outcome,
        revocations: if leased.waiting.is_empty() { leased.answered.clone() } else { leased.waiting.clone() },
        first: !leased.waiting.is_empty(),
        found: 2,
        ended: 2,
        resurrected: 0,
        collateral: 0,
        hashes: vec![b"hash".to_vec()],
        delivered: leased.wanted,
        applied_at: now,
        verified_at: (outcome != Outcome::Applied).then_some(now),
        sweeps_done: leased.sweeps_done,
        due_at: Some(now + chrono::Duration::hours(1)),
        note: None,
    }
}

async fn suspended_ana(world: &World) -> (AccountRow, Uuid) {
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(world, &ana).await;
    decide_all(world, &[event]).await;
    (ana, event)
}

async fn receipt(world: &World, revocation: Uuid) -> Value {
    let row = world.console.revocation(revocation).await.unwrap().unwrap();
    row.receipts.into_iter().find(|r| r["downstream"] == WEB).unwrap()
}

async fn due(world: &World, subject: Uuid) -> DateTime<Utc> {
    serde_json::from_value(delivery(world, subject, WEB).await["due_at"].take()).unwrap()
}

#[tokio::test]
async fn a_decision_owes_at_each_of_its_downstreams_until_that_one_answered() {
    let world = World::new().await;
    let (ana, event) = suspended_ana(&world).await;
    assert_eq!(
        world.revoker.owed().await.unwrap(),
        BTreeMap::from([(SHOP.to_owned(), (1, 0)), (WEB.to_owned(), (1, 0))])
    );
    let leased = lease(&world).await;
    assert_eq!((leased.len(), leased[0].subject, leased[0].turn), (1, ana.identity_id, 1));
    assert_eq!((leased[0].waiting.as_slice(), leased[0].class), ([event].as_slice(), 1));
    assert!(leased[0].wanted.disabled());
    assert_eq!(leased[0].identity.as_ref().unwrap().profile.user_name.as_deref(), Some("ana"));
    assert!(lease(&world).await.is_empty(), "one worker at a time");
    assert!(world.revoker.next_due(WEB, ALL).await.unwrap().unwrap() > Duration::from_secs(50));

    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    assert_eq!(world.revoker.owed().await.unwrap(), BTreeMap::from([(SHOP.to_owned(), (1, 0))]));
    let receipt = receipt(&world, event).await;
    assert_eq!((&receipt["state"], &receipt["found"], &receipt["ended"]), (&json!("verified"), &json!(2), &json!(2)));
    let revocation = world.console.revocation(event).await.unwrap().unwrap();
    assert_eq!(revocation.state, "owed", "the worst of its downstreams");
    let row = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!((&row["waiting"], &row["answered"], &row["lease"]), (&json!([]), &json!([event]), &Value::Null));
}

#[tokio::test]
async fn what_came_during_a_pass_stays_due_and_is_not_receipted_by_it() {
    let world = World::new().await;
    let (ana, first) = suspended_ana(&world).await;
    let leased = lease(&world).await;
    let second = lost(&world, &ana).await;
    decide_all(&world, &[second]).await;
    assert!(lease(&world).await.is_empty(), "a new turn takes the lease from nobody");

    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    assert_eq!(receipt(&world, first).await["state"], "verified");
    assert_eq!(receipt(&world, second).await["state"], "owed");
    let again = lease(&world).await;
    assert_eq!((again[0].turn, again[0].waiting.as_slice()), (2, [second].as_slice()), "due at once");
    assert_ne!(again[0].delivered, again[0].wanted);
    assert!(again[0].ended.contains(b"hash".as_slice()), "and knows what was ended before");
    world.revoker.answer(WEB, &[answer(&again[0], Outcome::Verified)]).await.unwrap();
    assert_eq!(receipt(&world, second).await["state"], "verified");
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["answered"], json!([first, second]), "one series for both");
}

#[tokio::test]
async fn the_most_urgent_of_what_waits_sets_the_class() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let mass = directory::Cause { class: lifecycle::Class::Mass, ..cause("okta") };
    let any = |_: &directory::AccountRow| Ok::<_, std::convert::Infallible>(());
    world.sync.delete_user(&mass, PLENTY, &ana.native_id, any).await.unwrap().unwrap().unwrap();
    let event = world.told_of(ana.identity_id).await.pop().unwrap().event_id;
    decide_all(&world, &[event]).await;
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["class"], 2);
    assert!(world.revoker.lease_deliveries(WEB, 1, 10, HOLD).await.unwrap().is_empty(), "reserved workers leave it");
    assert_eq!(world.revoker.next_due(WEB, 1).await.unwrap(), None);

    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["class"], 0);
    let leased = world.revoker.lease_deliveries(WEB, 0, 10, HOLD).await.unwrap();
    assert_eq!(leased[0].waiting.len(), 2);
}

#[tokio::test]
async fn whoever_lost_the_lease_writes_nothing() {
    let world = World::new().await;
    let (ana, event) = suspended_ana(&world).await;
    let late = world.revoker.lease_deliveries(WEB, ALL, 10, Duration::ZERO).await.unwrap();
    let held = lease(&world).await;
    assert_eq!(held.len(), 1, "the first lease ran out at once");
    let before = delivery(&world, ana.identity_id, WEB).await;

    world.revoker.answer(WEB, &[answer(&late[0], Outcome::Settled)]).await.unwrap();
    world.revoker.defer(WEB, &late, &[Utc::now()], "too late", true).await.unwrap();
    world.revoker.unlease(&late).await.unwrap();
    assert_eq!(delivery(&world, ana.identity_id, WEB).await, before);
    assert_eq!(receipt(&world, event).await["state"], "owed", "neither settled nor stuck");
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM working.ended").await, 0);

    world.revoker.answer(WEB, &[answer(&held[0], Outcome::Verified)]).await.unwrap();
    world.revoker.defer(WEB, &late, &[Utc::now()], "too late", true).await.unwrap();
    assert_eq!(receipt(&world, event).await["state"], "verified");
}

#[tokio::test]
async fn a_failed_pass_stays_owed_and_one_that_needs_help_is_shown_as_stuck_until_it_works() {
    let world = World::new().await;
    let (ana, event) = suspended_ana(&world).await;
    let leased = lease(&world).await;
    let later = Utc::now() + chrono::Duration::hours(1);
    world.revoker.defer(WEB, &leased, &[later], "no answer", false).await.unwrap();
    assert_eq!(world.revoker.owed().await.unwrap()[WEB], (1, 0));
    assert_eq!(receipt(&world, event).await["state"], "owed");
    assert!(lease(&world).await.is_empty(), "not before its time");
    let row = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!((&row["attempts"], &row["last_error"]), (&json!(1), &json!("no answer")));

    // A new order does not wait for the old one's pause.
    let second = lost(&world, &ana).await;
    decide_all(&world, &[second]).await;
    let leased = lease(&world).await;
    world.revoker.defer(WEB, &leased, &[Utc::now()], "no such column", true).await.unwrap();
    assert_eq!(world.revoker.owed().await.unwrap()[WEB], (1, 1));
    for revocation in [event, second] {
        let receipt = receipt(&world, revocation).await;
        assert_eq!((&receipt["state"], &receipt["note"]), (&json!("stuck"), &json!("no such column")));
    }

    let leased = lease(&world).await;
    assert_eq!(leased[0].waiting, [event, second]);
    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    assert!(!world.revoker.owed().await.unwrap().contains_key(WEB));
    let receipt = receipt(&world, event).await;
    assert_eq!((&receipt["state"], &receipt["at"]["stuck"]), (&json!("verified"), &Value::Null));
}

#[tokio::test]
async fn a_sweep_that_is_refused_owes_nothing_and_is_shown_as_stuck() {
    let world = World::new().await;
    suspended_ana(&world).await;
    let leased = lease(&world).await;
    let due_now = Answer { due_at: Some(Utc::now()), ..answer(&leased[0], Outcome::Verified) };
    world.revoker.answer(WEB, &[due_now]).await.unwrap();
    assert!(!world.revoker.owed().await.unwrap().contains_key(WEB));
    let sweep = lease(&world).await;
    assert!(sweep[0].waiting.is_empty());
    world.revoker.defer(WEB, &sweep, &[Utc::now()], "permission denied", true).await.unwrap();
    assert_eq!(world.revoker.owed().await.unwrap()[WEB], (0, 1));
    let again = lease(&world).await;
    world.revoker.answer(WEB, &[answer(&again[0], Outcome::Verified)]).await.unwrap();
    assert!(!world.revoker.owed().await.unwrap().contains_key(WEB), "until it works");
}

#[tokio::test]
async fn a_session_that_came_back_takes_a_settled_receipt_back() {
    let world = World::new().await;
    let (ana, event) = suspended_ana(&world).await;
    for outcome in [Outcome::Verified, Outcome::Settled] {
        let leased = lease(&world).await;
        let due_now = Answer { due_at: Some(Utc::now()), ..answer(&leased[0], outcome) };
        world.revoker.answer(WEB, &[due_now]).await.unwrap();
    }
    assert_eq!(receipt(&world, event).await["state"], "settled");

    let leased = lease(&world).await;
    assert!(leased[0].settled && leased[0].waiting.is_empty());
    let came_back = Answer { resurrected: 1, ended: 1, found: 1, ..answer(&leased[0], Outcome::Verified) };
    world.revoker.answer(WEB, &[came_back]).await.unwrap();
    let receipt = receipt(&world, event).await;
    assert_eq!(
        (&receipt["state"], &receipt["resurrected"], &receipt["at"]["settled"]),
        (&json!("verified"), &json!(1), &Value::Null)
    );
    assert!(!delivery(&world, ana.identity_id, WEB).await["settled"].as_bool().unwrap());
}

#[tokio::test]
async fn a_reinstatement_makes_existing_deliveries_due_without_a_pass_of_its_own() {
    let world = World::new().await;
    let (ana, event) = suspended_ana(&world).await;
    let leased = lease(&world).await;
    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    let back = reinstated(&world, &ana).await;
    decide_all(&world, &[back]).await;
    assert!(due(&world, ana.identity_id).await <= Utc::now());
    let leased = lease(&world).await;
    assert_eq!((leased[0].waiting.len(), leased[0].answered.as_slice()), (0, [event].as_slice()));
    assert!(!leased[0].wanted.disabled() && leased[0].delivered.disabled());
    let wanted = world.revoker.wanted_now(WEB, &[ana.identity_id]).await.unwrap();
    assert_eq!(wanted[&ana.identity_id], leased[0].wanted);
}

#[tokio::test]
async fn a_cutoff_of_one_downstream_is_no_work_for_another() {
    let world = World::new().await;
    let (ana, _) = suspended_ana(&world).await;
    let leased = world.revoker.lease_deliveries(SHOP, ALL, 10, HOLD).await.unwrap();
    world.revoker.answer(SHOP, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    let before = delivery(&world, ana.identity_id, SHOP).await;
    by_hand(&world, ana.identity_id, WEB, &[WEB]).await;
    let after = delivery(&world, ana.identity_id, SHOP).await;
    assert_eq!((&after["turn"], &after["due_at"]), (&before["turn"], &before["due_at"]));
    assert_eq!(after["revision"], 2, "and it is known to be up to date");
}
