//! What subscribers outside get: every cutoff under the names that they know, and each step of a receipt; and what becomes of
//! records that the bus lost or brought in pieces.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::Topic;
use chrono::Utc;
use lifecycle::Standing;
use policy::{Names, PublishExpression};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

fn names(expressions: &[(&str, &str)]) -> Names {
    let parse = |(name, text): &(&str, &str)| ((*name).to_owned(), PublishExpression::parse(text).unwrap());
    Names::new(expressions.iter().map(parse).collect::<BTreeMap<_, _>>(), None).unwrap()
}

fn published(web: &Arc<Store>) -> Setup {
    let names = names(&[("okta_sub", r#"account("okta").id"#), ("login", "identity.userName")]);
    Setup { names: Some(Arc::new(names)), ..Setup::of([("web", web)]) }
}

/// The newest record of the only subject.
fn newest(world: &World) -> Value {
    world.wire.bodies(Topic::Revocations).into_iter().max_by_key(|body| body["revision"].as_i64()).unwrap_or_default()
}

fn types(world: &World) -> Vec<Value> {
    world.wire.bodies(Topic::Receipts).iter().map(|body| body["type"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_is_told_with_names_and_each_step_of_its_receipt() {
    let web = Store::new();
    let world = published(&web).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.writes_later("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "settled").await;
    let steps =
        ["requested", "verified", "resurrected", "verified", "settled"].map(|step| format!("revocation.{step}"));
    eventually("every step is told", || async { types(&world) == steps }).await;
    for body in world.wire.bodies(Topic::Receipts) {
        assert_eq!((&body["subject"], &body["data"]["revocation"]), (&json!(ana.identity_id), &json!(event)), "{body}");
    }
    eventually("the cutoff is told", || async { newest(&world)["revision"].is_i64() }).await;
    let told = newest(&world);
    assert_eq!(told["subjects"], json!({"login": ["ana"], "okta_sub": [ana.native_id]}));
    assert_eq!(told["scopes"]["*"]["state"]["disabled"], true);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_renamed_is_told_of_under_both_names_though_no_rule_listens() {
    let web = Store::new();
    let world = published(&web).start().await;
    let ana = world.person("ana").await;
    let revocation = world.revoke(&ana).await;
    world.until(revocation, "web", "settled").await;
    eventually("the cutoff is told", || async { newest(&world)["subjects"]["login"] == json!(["ana"]) }).await;
    let turn = world.delivery(&ana, "web").await["turn"].take();
    world.rename(&ana, "ana.smith").await;
    let both = json!(["ana", "ana.smith"]);
    eventually("and again under both names", || async { newest(&world)["subjects"]["login"] == both }).await;
    assert_eq!(world.delivery(&ana, "web").await["turn"], turn, "no downstream has to do anything for it");
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_new_is_filled_once_with_what_was_revoked_before_and_again_under_other_names() {
    let web = Store::new();
    // As with the embedded bus: nobody reads it.
    let world = Setup::of([("web", &web)]).start().await;
    let mut people = Vec::new();
    for name in ["ana", "bob", "eve"] {
        let account = world.person(name).await;
        let event = world.set(&account, Standing::Inactive).await;
        world.until(event, "web", "settled").await;
        people.push(account.identity_id);
    }
    people.sort();
    assert_eq!(world.count("SELECT count(*) FROM ledger.pending_cutoffs").await, 0);
    // A relay that has just begun may bring what changed lately, by ids alone: no decision told of it.
    assert!(world.wire.bodies(Topic::Revocations).iter().all(|body| body["subjects"] == json!({})));

    let logins = Arc::new(names(&[("login", "identity.userName")]));
    let fill = async |names: &Arc<Names>, digest: &str| {
        let before = world.wire.bodies(Topic::Revocations).len();
        let other = world.revoker_for(names.clone());
        other.announce("leaver.revocations.v1", digest, "test", CancellationToken::new()).await;
        let done = || async { world.count("SELECT count(*) FROM ledger.pending_cutoffs").await == 0 };
        eventually("everything is told", done).await;
        world.wire.bodies(Topic::Revocations).split_off(before)
    };
    let mut told = fill(&logins, "one").await;
    told.sort_by_key(|body| body["subject"].to_string());
    assert_eq!(
        told.iter().map(|b| b["subject"].clone()).collect::<Vec<_>>(),
        people.iter().map(|p| json!(p)).collect::<Vec<_>>()
    );
    assert!(told.iter().all(|b| b["subjects"]["login"].as_array().is_some_and(|names| names.len() == 1)), "{told:?}");
    assert_eq!(fill(&logins, "one").await, Vec::<Value>::new(), "it has them all");
    let ids = Arc::new(names(&[("id", "identity.id")]));
    let renamed = fill(&ids, "two").await;
    assert_eq!(renamed.len(), 3);
    assert!(renamed.iter().all(|b| b["subjects"]["id"] == json!([b["subject"]])), "{renamed:?}");

    // For a while nobody publishes, so the topic lacks what changed meanwhile; and somebody who is killed halfway has written
    // nothing of it: it is begun again.
    world.revoker.reconcile_once(Utc::now()).await.unwrap();
    world.revoker.directory.publish_after(Uuid::nil(), 1).await.unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();
    world.revoker_for(ids.clone()).announce("leaver.revocations.v1", "two", "test", stopped).await;
    assert_eq!(world.count("SELECT count(*) FROM working.publications").await, 0);
    assert!(fill(&ids, "two").await.len() >= 3);
    assert_eq!(world.count("SELECT count(*) FROM working.leases WHERE name LIKE 'announce%'").await, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_bus_lost_is_decided_by_reconcile_and_counted() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    world.wire.loses("identity.suspended");
    let event = world.set(&ana, Standing::Inactive).await;
    let gone = || async { world.wire.has_lost() && world.count("SELECT count(*) FROM ledger.pending").await == 0 };
    eventually("the bus has acknowledged what it lost", gone).await;
    assert_eq!(world.count("SELECT count(*) FROM ledger.decisions").await, 0);
    assert_eq!(web.of_user("ana"), ["w1"]);
    assert_eq!(world.counted("leaver_reconciled_total"), 0);

    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 1);
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    assert_eq!(world.counted("leaver_reconciled_total"), 1);
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 0);
    assert_eq!(world.counted("leaver_reconciled_total"), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_a_large_plan_whom_the_bus_lost_is_decided_by_reconcile_some_minutes_later() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    world.wire.loses("identity.suspended");
    let event = world.set_in_bulk(&ana, Standing::Inactive).await;
    let gone = || async { world.wire.has_lost() && world.count("SELECT count(*) FROM ledger.pending").await == 0 };
    eventually("the bus has acknowledged what it lost", gone).await;
    let soon = Utc::now() + chrono::Duration::minutes(4);
    assert_eq!(world.revoker.reconcile_once(soon).await.unwrap(), 0, "the lane of large plans may take a while");
    assert_eq!(web.of_user("ana"), ["w1"]);

    let late = Utc::now() + chrono::Duration::minutes(6);
    assert_eq!(world.revoker.reconcile_once(late).await.unwrap(), 1);
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_nobody_can_read_is_parked_before_the_batch_is_acknowledged() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    world.wire.brings("leaver.lifecycle.urgent.v1[3]@7", "the body is no JSON");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "settled").await;
    let (place, reason): (String, String) =
        sqlx::query_as("SELECT place, reason FROM ledger.parked").fetch_one(&world.owner).await.unwrap();
    assert_eq!((place.as_str(), reason.as_str()), ("leaver.lifecycle.urgent.v1[3]@7", "the body is no JSON"));
    assert_eq!(world.counted("leaver_revoker_parked_total"), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downstream_that_refuses_is_told_as_stuck_and_then_as_verified() {
    let web = Store::new();
    web.becomes(Mood::Refuses("ana"));
    let world = published(&web).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "stuck").await;
    eventually("it is told", || async { types(&world) == ["revocation.requested", "revocation.stuck"] }).await;
    web.becomes(Mood::Well);
    world.look_again().await;
    world.until(event, "web", "settled").await;
    let expected = ["revocation.requested", "revocation.stuck", "revocation.verified", "revocation.settled"];
    eventually("that it works again is told", || async { types(&world) == expected }).await;
    world.stop().await;
}
