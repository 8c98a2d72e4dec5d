//! What is no cutoff: a signal, and credentials that are revoked. Once for each decision, until it is done.

use std::sync::Arc;

use bus::Topic;
use chrono::{Duration, Utc};
use directory::RequestKind;
use lifecycle::{Action, Lane, Standing};
use policy::{Names, Policy, PublishExpression};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

const HOOK: &[Action] = &[Action::Notify];
const KEYS: &[Action] = &[Action::RevokeSessions, Action::RevokeCredentials];

fn policy(rules: &str) -> Policy {
    Policy::parse(&format!("rules:\n{rules}")).unwrap()
}

fn on_suspension(orders: &str) -> Policy {
    policy(&format!("  - {{ name: leaver, on: [identity.suspended], {orders} }}\n"))
}

/// The receipt of an action that is no cutoff.
async fn errand(world: &World, revocation: Uuid, downstream: &str) -> Value {
    let receipts = world.console.revocation(revocation).await.unwrap().map(|r| r.receipts).unwrap_or_default();
    receipts.into_iter().find(|r| r["downstream"] == downstream && !r["action"].is_null()).unwrap_or_default()
}

async fn until(world: &World, revocation: Uuid, downstream: &str, state: &str) -> Value {
    let reached = || async { errand(world, revocation, downstream).await["state"] == state };
    eventually(&format!("{revocation} is {state} at {downstream}"), reached).await;
    errand(world, revocation, downstream).await
}

fn ids(hook: &Store) -> Vec<Uuid> {
    hook.signals().into_iter().map(|(id, _)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_handed_over_once_per_decision_and_never_verified() {
    let (web, hook) = (Store::new(), Store::of(false, HOOK));
    let names = [("id".to_owned(), PublishExpression::parse("identity.id").unwrap())];
    let names = Arc::new(Names::new(names.into(), None).unwrap());
    let setup = Setup::of([("hook", &hook), ("web", &web)]);
    let world =
        Setup { policy: on_suspension("do: [revoke_sessions, notify]"), names: Some(names), ..setup }.start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let receipt = until(&world, event, "hook", "handed_over").await;
    assert_eq!((&receipt["action"], &receipt["ended"]), (&json!("notify"), &json!(0)));
    assert!(receipt["at"]["handed_over"].is_string() && receipt["at"]["verified"].is_null(), "{receipt}");
    world.until(event, "web", "settled").await;
    assert_eq!(world.console.revocation(event).await.unwrap().unwrap().state, "settled", "it keeps no other back");
    let [(id, told)] = &hook.signals()[..] else { panic!("told {} times", hook.signals().len()) };
    assert_eq!((*id, &told["id"], &told["type"]), (event, &json!(event), &json!("identity.suspended")));
    assert_eq!((&told["subject"], &told["subjects"]), (&json!(ana.identity_id), &json!(["ana"])));
    let (_, note) = world.decision(event).await;
    assert_eq!(note, "", "a hook has no sessions to end, and a store takes no signals");

    let steps = || -> Vec<Value> {
        let told = world.wire.bodies(Topic::Receipts).into_iter();
        told.filter(|body| body["data"]["action"] == "notify").map(|body| body["type"].clone()).collect()
    };
    eventually("it is told", || async { steps() == ["revocation.handed_over"] }).await;
    let requested =
        world.wire.bodies(Topic::Receipts).into_iter().find(|b| b["type"] == "revocation.requested").unwrap();
    assert_eq!(requested["data"]["actions"], json!(["notify", "revoke_sessions"]));
    assert_eq!(requested["data"]["downstreams"], json!(["hook", "web"]));

    // The bus brings it again, and nobody is told again; another decision is another signal.
    world.wire.brings_again(Topic::Lifecycle(Lane::Urgent)).await;
    world.set(&ana, Standing::Active).await;
    let again = world.set(&ana, Standing::Inactive).await;
    until(&world, again, "hook", "handed_over").await;
    assert_eq!(ids(&hook), [event, again]);
    assert_eq!(world.counted("leaver_signals_handed_over_total{downstream=\"hook\"}"), 2);
    let trace = world.console.trace(ana.identity_id).await.unwrap();
    let hop = trace.iter().find(|hop| hop.hop == "handed_over").unwrap();
    assert_eq!((hop.downstream.as_deref(), hop.action.as_deref()), (Some("hook"), Some("notify")));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_alone_says_that_it_was_handed_over_and_hides_no_end_of_sessions() {
    let (web, hook) = (Store::new(), Store::of(false, HOOK));
    let rules = "  - { name: leaver, on: [identity.suspended], do: [revoke_sessions] }
  - { name: back, on: [identity.reinstated], do: [notify] }
";
    let world = Setup { policy: policy(rules), ..Setup::of([("hook", &hook), ("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    let left = world.set(&ana, Standing::Inactive).await;
    world.until(left, "web", "verified").await;
    let back = world.set(&ana, Standing::Active).await;
    until(&world, back, "hook", "handed_over").await;
    let row = world.console.revocation(back).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.receipts.len()), ("handed_over", 1));
    let shown = world.console.identity_detail(ana.identity_id).await.unwrap().unwrap().receipts;
    assert_eq!(shown[0].downstream, "web", "that is what ended her sessions");
    world.quiet(&ana, "web").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_took_is_owed_whatever_comes_since_and_a_person_may_hurry_it() {
    let (web, hook) = (Store::new(), Store::of(false, HOOK));
    let setup = Setup::of([("hook", &hook), ("web", &web)]);
    let world = Setup { policy: on_suspension("do: [revoke_sessions, notify]"), ..setup }.start().await;
    let (ana, ben) = (world.person("ana").await, world.person("ben").await);
    hook.becomes(Mood::Refuses("ana"));
    let event = world.set(&ana, Standing::Inactive).await;
    until(&world, event, "hook", "stuck").await;
    let other = world.set(&ben, Standing::Inactive).await;
    until(&world, other, "hook", "handed_over").await;
    world.until(event, "web", "verified").await;
    assert_eq!(world.console.revocation(event).await.unwrap().unwrap().state, "stuck");

    let owed = world.console.owed_rows(true, None, 10).await.unwrap();
    let [row] = &owed[..] else { panic!("{owed:?}") };
    assert_eq!((row.downstream.as_str(), row.action.as_deref(), row.state.as_str()), ("hook", Some("notify"), "stuck"));
    assert!(row.last_error.as_deref().unwrap().contains("refused the request"), "{row:?}");
    assert_eq!(world.console.owed().await.unwrap()["hook"], (1, 1));

    // She is back before it was told; that she had left is told all the same.
    world.set(&ana, Standing::Active).await;
    hook.becomes(Mood::Well);
    let payload = json!({"subject": row.subject, "downstream": "hook"});
    world.console.ask(RequestKind::RetryOwed, &payload, "ciso").await.unwrap();
    until(&world, event, "hook", "handed_over").await;
    assert!(ids(&hook).contains(&event));
    assert!(world.console.owed_row(row.id).await.unwrap().is_none());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoker_that_dies_before_the_receipt_has_told_it_and_the_next_one_tells_it_under_the_same_id() {
    let hook = Store::of(false, HOOK);
    let mut world = Setup { policy: on_suspension("do: [notify]"), ..Setup::of([("hook", &hook)]) }.idle().await;
    world.follow();
    world.deliver();
    let ana = world.person("ana").await;
    hook.becomes(Mood::Hangs);
    let event = world.set(&ana, Standing::Inactive).await;
    eventually("it was told", || async { ids(&hook) == [event] }).await;
    world.kill().await;
    assert_eq!(errand(&world, event, "hook").await["state"], "owed");
    hook.becomes(Mood::Well);
    assert_eq!(world.revoker.directory.take_back_leases().await.unwrap(), 1);
    world.follow();
    world.deliver();
    until(&world, event, "hook", "handed_over").await;
    assert_eq!(ids(&hook), [event, event]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_then_are_revoked_and_looked_for_again_and_a_later_one_stays() {
    let keys = Store::of(false, KEYS);
    let setup = Setup::of([("keys", &keys)]);
    let world = Setup { policy: on_suspension("do: [revoke_sessions, revoke_credentials]"), ..setup }.start().await;
    let ana = world.person("ana").await;
    let long_ago = Utc::now() - Duration::days(300);
    for id in ["ci", "laptop"] {
        keys.issue_key("ana", id, long_ago);
    }
    keys.issue_key("ben", "bens", long_ago);
    keys.issue_key("ana", "rehired", Utc::now() + Duration::minutes(5));
    keys.issues_key_later("ana", "in flight");
    let event = world.set(&ana, Standing::Inactive).await;
    let receipt = until(&world, event, "keys", "verified").await;
    assert_eq!(keys.keys(), ["bens", "rehired"]);
    assert_eq!((&receipt["found"], &receipt["ended"]), (&json!(3), &json!(3)), "{receipt}");
    assert!(
        receipt["at"]["applied"].as_str() < receipt["at"]["verified"].as_str(),
        "one was made meanwhile: {receipt}"
    );
    assert_eq!(world.counted("leaver_credentials_revoked_total{downstream=\"keys\"}"), 3);
    world.until(event, "keys", "settled").await;

    keys.issue_key("ana", "another", Utc::now());
    world.set(&ana, Standing::Active).await;
    world.quiet(&ana, "keys").await;
    assert_eq!(keys.keys(), ["another", "bens", "rehired"], "no sweep looks for keys");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_keeps_its_keys_and_whoever_is_told_is_told_of_it() {
    let (keys, hook) = (Store::of(false, KEYS), Store::of(false, HOOK));
    let setup = Setup::of([("hook", &hook), ("keys", &keys)]);
    let policy = on_suspension("do: [revoke_credentials, notify]");
    let world = Setup { policy, break_glass: vec!["root".to_owned()], ..setup }.start().await;
    let root = world.person("root").await;
    keys.issue_key("root", "sealed", Utc::now() - Duration::days(1));
    let event = world.set(&root, Standing::Inactive).await;
    let (_, note) = world.decision(event).await;
    assert!(note.contains("break glass"), "{note}");
    until(&world, event, "hook", "handed_over").await;
    let errands = world.count("SELECT count(*) FROM ledger.errands").await;
    assert_eq!((errands, keys.keys()), (1, vec!["sealed".to_owned()]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_brake_holds_is_not_told_until_it_is_approved_and_not_twice_for_one_decision() {
    let hook = Store::of(false, HOOK);
    let rules = "  - { name: one, on: [identity.updated], do: [notify], brake: { count: 0, window: 1s } }
  - { name: two, on: [identity.updated], do: [notify], brake: { count: 0, window: 1s } }
";
    let world = Setup { policy: policy(rules), ..Setup::of([("hook", &hook)]) }.start().await;
    let ana = world.person("ana").await;
    world.rename(&ana, "ana.smith").await;
    eventually("it is held twice", || async { world.count("SELECT count(*) FROM ledger.held").await == 2 }).await;
    assert_eq!(ids(&hook), [] as [Uuid; 0]);
    for hold in world.console.holds(true).await.unwrap() {
        let items = world.console.held_rows(hold.id, 0, 10).await.unwrap();
        assert_eq!((&items[0].downstreams, &items[0].scopes), (&json!(["hook"]), &json!([["hook", ["notify"]]])));
        let answered = || async {
            let asked = world.console.ask(RequestKind::ApproveHold, &json!({"hold": hold.id}), "jo").await.unwrap();
            eventually("it is answered", || async { world.console.request(asked).await.unwrap().state != "new" }).await;
            world.console.request(asked).await.unwrap().state == "done"
        };
        eventually("the hold is approved", answered).await;
    }
    let done = || async { world.count("SELECT count(*) FROM ledger.held WHERE done_at IS NOT NULL").await == 2 };
    eventually("both are carried out", done).await;
    let told = || async { world.count("SELECT count(*) FROM ledger.errands WHERE state = 'handed_over'").await == 1 };
    eventually("it is told", told).await;
    assert_eq!(ids(&hook).len(), 1);
    assert_eq!(world.count("SELECT count(*) FROM ledger.errands").await, 1);
    world.stop().await;
}
