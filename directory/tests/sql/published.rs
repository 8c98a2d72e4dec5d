//! What subscribers are told: under every name that may still stand in a session, at every step of a receipt, and nothing at
//! all where nobody reads it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use directory::{Answer, EVERYWHERE, Leased, Naming, Outcome, PendingCutoff, Publishing};
use lifecycle::{IdentityView, Published, Standing};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{SHOP, WEB, by_hand, decide_all, delivery, lost, suspended};
use crate::world::{World, number, person};

const DAY: Duration = Duration::from_secs(86_400);

/// `login` is the userName, `okta` the account's id there.
fn naming() -> Naming {
    Arc::new(|identity: &IdentityView| {
        let account = identity.accounts.get("okta").map(|account| account.id.clone());
        [("login", identity.profile.user_name.clone()), ("okta", account)]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), vec![value?])))
            .collect()
    })
}

/// A world whose revoker writes for subscribers.
async fn published(names: Option<Naming>) -> World {
    let mut world = World::new().await;
    world.revoker = world.revoker.publishing(Publishing { names, life: DAY });
    world
}

async fn pending(world: &World) -> Vec<PendingCutoff> {
    world.relay.pending_cutoffs(0, Uuid::nil(), 100).await.unwrap()
}

/// Everything has been told; what comes after is new.
async fn told(world: &World) {
    let rows: Vec<(Uuid, i64)> = pending(world).await.iter().map(|c| (c.subject, c.revision)).collect();
    world.relay.acknowledge_cutoffs(0, &rows).await.unwrap();
}

async fn names(world: &World, subject: Uuid) -> Published {
    let names: Value = sqlx::query_scalar("SELECT published FROM ledger.cutoff_subjects WHERE subject_id = $1")
        .bind(subject)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    serde_json::from_value(names).unwrap()
}

fn called<const N: usize>(names: [(&str, &[&str]); N]) -> Published {
    let owned = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    BTreeMap::from(names.map(|(name, values)| (name.to_owned(), owned(values))))
}

/// The types of what is to go to the receipts topic, with their data.
async fn receipts(world: &World) -> Vec<(String, Value)> {
    let records = world.relay.pending_receipts(0, 0, 100).await.unwrap();
    let body = |body: &str| serde_json::from_str::<Value>(body).unwrap();
    records
        .iter()
        .map(|r| (body(&r.body)["type"].as_str().unwrap().to_owned(), body(&r.body)["data"].clone()))
        .collect()
}

async fn lease(world: &World) -> Vec<Leased> {
    sqlx::query("UPDATE working.deliveries SET due_at = now()").execute(&world.owner).await.unwrap();
    world.revoker.lease_deliveries(WEB, 2, 10, Duration::from_secs(60)).await.unwrap()
}

async fn answer(world: &World, outcome: Outcome, resurrected: u32) {
    let leased = lease(world).await;
    let now = Utc::now();
    let of = |leased: &Leased| Answer {
        subject: leased.subject,
        lease: leased.lease,
        turn: leased.turn,
        outcome,
        revocations: if leased.waiting.is_empty() { leased.answered.clone() } else { leased.waiting.clone() },
        first: !leased.waiting.is_empty(),
        found: 2,
        ended: resurrected,
        resurrected,
        collateral: 0,
        hashes: Vec::new(),
        delivered: leased.wanted,
        applied_at: now,
        verified_at: (outcome != Outcome::Applied).then_some(now),
        sweeps_done: leased.sweeps_done,
        due_at: None,
        note: None,
    };
    world.revoker.answer(WEB, &leased.iter().map(of).collect::<Vec<_>>()).await.unwrap();
}

#[tokio::test]
async fn where_nobody_reads_them_neither_cutoffs_nor_receipts_become_pending() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    answer(&world, Outcome::Verified, 0).await;
    assert_eq!((pending(&world).await.len(), receipts(&world).await.len()), (0, 0));
    assert_eq!(world.revoker.rename(&[ana.identity_id]).await.unwrap(), 0);
    assert_eq!(names(&world, ana.identity_id).await, Published::new());
}

#[tokio::test]
async fn a_cutoff_is_told_with_the_names_of_its_subject_in_the_transaction_of_the_decision() {
    let world = published(Some(naming())).await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    let told = pending(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].published, called([("login", &["ana"]), ("okta", &[&ana.native_id])]));
    let record: Value = serde_json::from_str(&told[0].render()).unwrap();
    assert_eq!(
        (&record["subject"], &record["kind"], &record["subjects"]["login"]),
        (&json!(ana.identity_id), &json!("identity"), &json!(["ana"]))
    );
    let recorded_at = world.revoker.cutoffs(ana.identity_id).await.unwrap()[EVERYWHERE].sessions_before.unwrap();
    let before: chrono::DateTime<Utc> = record["scopes"]["*"]["sessions_before"].as_str().unwrap().parse().unwrap();
    assert!(before >= recorded_at && before - recorded_at < chrono::Duration::milliseconds(1), "rounded up");

    let bob = world.create("okta", person("bob")).await;
    by_hand(&world, bob.identity_id, EVERYWHERE, &[WEB]).await;
    assert_eq!(names(&world, bob.identity_id).await["login"], ["bob"]);
}

#[tokio::test]
async fn a_cutoff_stays_pending_until_its_newest_revision_is_acknowledged() {
    let world = published(None).await;
    let ana = world.create("okta", person("ana")).await;
    let first = suspended(&world, &ana).await;
    decide_all(&world, &[first]).await;
    let first_told = pending(&world).await;
    assert_eq!((first_told.len(), first_told[0].subject, first_told[0].revision), (1, ana.identity_id, 1));
    assert!(first_told[0].scopes["*"].disabled());

    // It changes between being read and being acknowledged.
    let second = lost(&world, &ana).await;
    decide_all(&world, &[second]).await;
    world.relay.acknowledge_cutoffs(0, &[(ana.identity_id, 1)]).await.unwrap();
    let again = pending(&world).await;
    assert_eq!((again.len(), again[0].revision), (1, 2), "the newer one is still to be told");
    assert_eq!(again[0].scopes.keys().collect::<Vec<_>>(), ["*", "web"], "with all scopes of the subject");
    world.relay.acknowledge_cutoffs(0, &[(ana.identity_id, 2)]).await.unwrap();
    assert!(pending(&world).await.is_empty());
}

#[tokio::test]
async fn whoever_is_renamed_is_told_of_by_the_old_name_too_until_no_session_of_then_can_live() {
    let world = published(Some(naming())).await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    told(&world).await;
    assert_eq!(world.revoker.rename(&[ana.identity_id]).await.unwrap(), 0, "nothing happened");
    assert!(pending(&world).await.is_empty());

    world.change("okta", &ana.native_id, |f| f.profile.user_name = Some("ana.smith".to_owned())).await;
    let before = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!(world.revoker.rename(&[ana.identity_id]).await.unwrap(), 1);
    let again = pending(&world).await;
    assert_eq!(again[0].published["login"], ["ana", "ana.smith"]);
    let revision: i64 = world.ask("SELECT revision FROM ledger.cutoff_subjects").await;
    assert!(again[0].revision == revision && revision > 1, "a revision of its own, so that readers take it");
    let after = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!(
        (&after["turn"], &after["due_at"], &after["revision"]),
        (&before["turn"], &before["due_at"], &json!(revision))
    );
    let both = [WEB.to_owned(), SHOP.to_owned()];
    assert_eq!(world.revoker.reconcile_deliveries(&both, 10).await.unwrap().deliveries, 0, "no downstream is behind");

    sqlx::query("UPDATE ledger.events SET recorded_at = recorded_at - interval '2 days'")
        .execute(&world.owner)
        .await
        .unwrap();
    assert_eq!(world.revoker.rename(&[ana.identity_id]).await.unwrap(), 1);
    assert_eq!(names(&world, ana.identity_id).await["login"], ["ana.smith"]);
}

#[tokio::test]
async fn every_account_of_a_person_counts_also_a_second_one_at_the_same_source_and_one_that_came_by_a_merge() {
    let world = published(Some(naming())).await;
    world.pull("hr", &[number("7", person("a.smith"))]).await;
    let okta = world.create("okta", person("ana")).await;
    let survivor = world.who("hr:a.smith").await.id;
    by_hand(&world, survivor, EVERYWHERE, &[WEB]).await;
    assert_eq!(names(&world, survivor).await, called([("login", &["a.smith"])]));
    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    assert_eq!(world.revoker.rename(&[survivor]).await.unwrap(), 1);
    let known = names(&world, survivor).await;
    assert_eq!(known["okta"].as_slice(), std::slice::from_ref(&okta.native_id));
    assert!(known["login"].contains(&"ana".to_owned()), "as whom he was known before the merge: {known:?}");

    let second = world.create("okta", number("7", person("ana.admin"))).await;
    assert_eq!(second.identity_id, survivor);
    let (position, changed) = world.revoker.rename_after(Uuid::nil(), 10).await.unwrap().unwrap();
    assert_eq!((position, changed), (survivor, 1), "found by the clock, for a link alone is no event");
    let mut expected = [okta.native_id, second.native_id];
    expected.sort();
    assert_eq!(names(&world, survivor).await["okta"], expected);
    assert!(world.revoker.rename_after(survivor, 10).await.unwrap().is_none(), "the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_compute_names_at_once_the_newer_ones_stay() {
    let world = published(Some(naming())).await;
    let ana = world.create("okta", person("ana")).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    let ids = [ana.identity_id];
    for n in 0..20 {
        let name = format!("ana{n}");
        let becomes = name.clone();
        let rename = world.change("okta", &ana.native_id, move |f| f.profile.user_name = Some(becomes.clone()));
        let (_, one, other) = tokio::join!(rename, world.revoker.rename(&ids), world.revoker.rename(&ids));
        one.and(other).unwrap();
        world.revoker.rename(&ids).await.unwrap();
        assert!(names(&world, ana.identity_id).await["login"].contains(&name), "after {name}");
    }
}

#[tokio::test]
async fn a_new_topic_gets_every_cutoff_under_the_names_of_now_in_chunks() {
    let world = World::new().await;
    let mut subjects = Vec::new();
    for n in 0..5 {
        let account = world.create("okta", person(&format!("p{n}"))).await;
        let event = suspended(&world, &account).await;
        decide_all(&world, &[event]).await;
        subjects.push(account.identity_id);
    }
    // Somebody who was reinstated without ever having been cut off has a row and nothing to tell.
    let eve = world.create("okta", person("eve")).await;
    world.set("okta", &eve.native_id, Standing::Gone).await;
    world.set("okta", &eve.native_id, Standing::Active).await;
    let back = world.told_of(eve.identity_id).await.pop().unwrap().event_id;
    let made: Vec<_> = world.revoker.undecided(&[back]).await.unwrap().into_iter().map(crate::decided::made).collect();
    world.revoker.decide(&made).await.unwrap();
    assert!(pending(&world).await.is_empty());

    let revoker = world.revoker.clone().publishing(Publishing { names: Some(naming()), life: DAY });
    let (mut position, mut count) = (Uuid::nil(), 0);
    while let Some((last, some)) = revoker.publish_after(position, 2).await.unwrap() {
        assert!(some <= 2);
        (position, count) = (last, count + some);
    }
    assert_eq!(count, 5);
    subjects.sort();
    let told = pending(&world).await;
    assert_eq!(told.iter().map(|c| c.subject).collect::<Vec<_>>(), subjects);
    assert!(told.iter().all(|c| c.published["login"].len() == 1), "{told:?}");

    let unnamed = world.revoker.clone().publishing(Publishing { names: None, life: DAY });
    unnamed.publish_after(Uuid::nil(), 10).await.unwrap();
    assert!(pending(&world).await.iter().all(|c| c.published.is_empty()), "nobody is to be named any longer");
}

#[tokio::test]
async fn a_topic_is_known_as_filled_for_one_digest_until_cutoffs_change_unpublished() {
    let world = World::new().await;
    assert_eq!(world.revoker.publication("t").await.unwrap(), None);
    world.revoker.published("t", "one").await.unwrap();
    world.revoker.published("t", "other").await.unwrap();
    assert_eq!(world.revoker.publication("t").await.unwrap().as_deref(), Some("other"));
    assert_eq!(world.revoker.publication("u").await.unwrap(), None);
    let publishing = world.revoker.clone().publishing(Publishing { names: None, life: DAY });
    publishing.forget_publications().await.unwrap();
    assert_eq!(world.revoker.publication("t").await.unwrap().as_deref(), Some("other"));
    world.revoker.forget_publications().await.unwrap();
    assert_eq!(world.revoker.publication("t").await.unwrap(), None);
}

#[tokio::test]
async fn each_step_of_a_receipt_is_told_once_and_the_request_before_them() {
    let world = published(None).await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event, event]).await;
    for (outcome, resurrected) in [
        (Outcome::Applied, 0),
        (Outcome::Verified, 0),
        (Outcome::Verified, 0),
        (Outcome::Settled, 0),
        (Outcome::Verified, 1),
        (Outcome::Settled, 0),
        (Outcome::Settled, 0),
    ] {
        answer(&world, outcome, resurrected).await;
    }
    let told = receipts(&world).await;
    let types: Vec<&str> = told.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        types,
        [
            "revocation.requested",
            "revocation.verified",
            "revocation.settled",
            "revocation.resurrected",
            "revocation.verified",
            "revocation.settled"
        ]
    );
    let requested = json!({"revocation": event, "event": event, "class": "prompt", "actions": ["revoke_refresh", "revoke_sessions"], "downstreams": [SHOP, WEB]});
    assert_eq!(told[0].1, requested);
    let came_back = &told[3].1;
    assert_eq!(
        (&came_back["downstream"], &came_back["resurrected"], &came_back["revocation"]),
        (&json!(WEB), &json!(1), &json!(event))
    );
    assert!(told[5].1["at"]["settled"].is_string());
}

#[tokio::test]
async fn what_is_stuck_is_told_once_until_it_goes_on() {
    let world = published(None).await;
    let ana = world.create("okta", person("ana")).await;
    let id = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    for _ in 0..2 {
        let leased = lease(&world).await;
        world.revoker.defer(WEB, &leased, &[Utc::now()], "no such column", true).await.unwrap();
    }
    answer(&world, Outcome::Verified, 0).await;
    let told = receipts(&world).await;
    let types: Vec<&str> = told.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(types, ["revocation.requested", "revocation.stuck", "revocation.verified"]);
    assert_eq!((&told[0].1["by_hand"], &told[0].1["event"]), (&json!(true), &Value::Null));
    assert_eq!((&told[1].1["state"], &told[1].1["revocation"]), (&json!("stuck"), &json!(id)));
    let all = serde_json::to_string(&told.iter().map(|(_, data)| data).collect::<Vec<_>>()).unwrap();
    for secret in ["laptop stolen", "ciso", "no such column"] {
        assert!(!all.contains(secret), "{secret} is for people here: {all}");
    }
}

#[tokio::test]
async fn a_record_that_is_parked_is_no_longer_pending_and_says_where_and_why() {
    let world = published(None).await;
    let ana = world.create("okta", person("ana")).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    let record = world.relay.pending_receipts(0, 0, 10).await.unwrap().remove(0);
    let cutoff = pending(&world).await.remove(0);
    let place = |of: &str| of.to_owned();
    let refusal = directory::Refusal { row: record.id, place: place("receipts.v1/1"), reason: "too large".to_owned() };
    world.relay.park_receipts(0, &[refusal]).await.unwrap();
    // It changes between being read and being refused.
    let event = lost(&world, &ana).await;
    decide_all(&world, &[event]).await;
    let row = (cutoff.subject, cutoff.revision);
    let refusal = directory::Refusal { row, place: place("revocations.v1/1"), reason: "too large".to_owned() };
    world.relay.park_cutoffs(0, &[refusal.clone(), refusal]).await.unwrap();
    assert_eq!(pending(&world).await.len(), 1, "the newer revision is still to be told");
    let left = receipts(&world).await;
    assert_eq!(left.iter().map(|(_, data)| &data["revocation"]).collect::<Vec<_>>(), [&json!(event)]);
    world.revoker.park_unreadable(&[("lifecycle.urgent.v1[3]@7", "no JSON")]).await.unwrap();
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM ledger.parked WHERE source = 'bus' AND times = 1").await, 3);
    world.sync.park("okta", "Users/1", "no userName").await.unwrap();
    world.sync.park("okta", "Users/1", "no userName").await.unwrap();
    assert_eq!(world.ask::<i64>("SELECT times FROM ledger.parked WHERE source = 'okta'").await, 2);
}

#[tokio::test]
async fn what_changed_lately_can_be_recalled_and_nothing_else() {
    let world = published(None).await;
    let (ana, bob) = (world.create("okta", person("ana")).await, world.create("okta", person("bob")).await);
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    by_hand(&world, bob.identity_id, EVERYWHERE, &[WEB]).await;
    assert_eq!(world.relay.recall_cutoffs(0, Some(DAY)).await.unwrap(), 0, "both are pending");
    told(&world).await;
    let aged = "UPDATE ledger.cutoff_subjects SET changed_at = now() - interval '2 days' WHERE subject_id = $1";
    sqlx::query(aged).bind(bob.identity_id).execute(&world.owner).await.unwrap();
    assert_eq!(world.relay.recall_cutoffs(0, Some(DAY)).await.unwrap(), 1);
    assert_eq!(pending(&world).await.iter().map(|c| c.subject).collect::<Vec<_>>(), [ana.identity_id]);
}
