//! From a change at a source to the verified end of sessions, and what looking again is for.

use chrono::{Duration, Utc};
use lifecycle::{Action, Standing};
use serde_json::{Value, json};

use crate::store::{Mood, Store};
use crate::world::{Setup, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_ends_every_session_everywhere_and_is_settled_after_the_sweeps() {
    let (web, shop) = (Store::new(), Store::new());
    let world = Setup::of([("web", &web), ("shop", &shop)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.sign_in("ana", "w2");
    web.sign_in("bob", "w3");
    shop.sign_in("ana", "s1");
    let event = world.set(&ana, Standing::Gone).await;
    let settled = world.until(event, "web", "settled").await;
    assert_eq!((&settled["found"], &settled["ended"], &settled["resurrected"]), (&json!(2), &json!(2), &json!(0)));
    world.until(event, "shop", "settled").await;
    assert_eq!((web.of_user("ana").len(), shop.of_user("ana").len()), (0, 0));
    assert_eq!(web.of_user("bob"), ["w3"], "a neighbour keeps hers");
    let revocation = world.console.revocation(event).await.unwrap().unwrap();
    assert_eq!(revocation.state, "settled");
    assert!(world.console.check_ledger(10).await.unwrap().is_empty());
    let hops: Vec<&str> = world.console.trace(ana.identity_id).await.unwrap().iter().map(|h| h.hop).collect();
    assert_eq!(hops[..3], ["committed", "published", "decided"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_request_in_flight_writes_back_is_ended_again_and_counted() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.writes_later("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let settled = world.until(event, "web", "settled").await;
    assert_eq!((&settled["ended"], &settled["resurrected"]), (&json!(2), &json!(1)));
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_comes_back_after_everything_was_settled_takes_the_receipt_back() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let first = world.until(event, "web", "settled").await;
    web.sign_in("ana", "w1");
    world.look_again().await;
    eventually("it is ended again", || async { web.of_user("ana").is_empty() }).await;
    let settled_again = || async {
        let receipt = world.receipt(event, "web").await;
        receipt["resurrected"] == 1
            && receipt["state"] == "settled"
            && receipt["at"]["settled"] != first["at"]["settled"]
    };
    eventually("it is settled again, after one more quiet look", settled_again).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_sweep_ends_is_looked_for_once_more_before_it_is_settled_again() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let first = world.until(event, "web", "settled").await;
    web.sign_in("ana", "a new one");
    world.look_again().await;
    let settled_again = || async {
        let receipt = world.receipt(event, "web").await;
        receipt["ended"] == 2 && receipt["state"] == "settled" && receipt["at"]["settled"] != first["at"]["settled"]
    };
    eventually("it is settled again", settled_again).await;
    assert_eq!(web.looks_since_last_end(), 1, "ending something is no proof that it stays away");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_slips_in_after_a_suspension_is_ended_before_anything_is_settled() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.writes_later("ana", "new");
    let event = world.set(&ana, Standing::Inactive).await;
    let settled = world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    assert_eq!((&settled["found"], &settled["ended"], &settled["resurrected"]), (&json!(2), &json!(2), &json!(0)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reinstated_person_keeps_a_new_login_and_never_the_old_one() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "old");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "verified").await;
    world.set(&ana, Standing::Active).await;
    let back = || async { world.delivery(&ana, "web").await["wanted"]["state"]["disabled"] == false };
    eventually("the reinstatement is decided", back).await;
    web.sign_in("ana", "new");
    web.sign_in("ana", "old");
    world.look_again().await;
    eventually("the old one is ended", || async { !web.of_user("ana").contains(&"old".to_owned()) }).await;
    world.quiet(&ana, "web").await;
    assert_eq!(web.of_user("ana"), ["new"], "the store does not know when it began; a sweep spares it");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_overdue_since_before_the_reinstatement_still_runs_and_says_what_it_cost() {
    let web = Store::new();
    web.becomes(Mood::Away);
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "old");
    let event = world.set(&ana, Standing::Inactive).await;
    world.set(&ana, Standing::Active).await;
    let back = || async { world.delivery(&ana, "web").await["wanted"]["state"]["disabled"] == false };
    eventually("the reinstatement is decided", back).await;
    web.becomes(Mood::Well);
    let settled = world.until(event, "web", "settled").await;
    assert_eq!((&settled["ended"], &settled["collateral"]), (&json!(1), &json!(1)), "it fails closed");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_logins_are_dated_only_older_sessions_end_by_a_plain_revocation() {
    let web = Store::of(true, &[Action::RevokeSessions]);
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.signed_in_at("ana", "old", Utc::now() - Duration::hours(1));
    web.signed_in_at("ana", "new", Utc::now() + Duration::hours(1));
    let revocation = world.revoke(&ana).await;
    let settled = world.until(revocation, "web", "settled").await;
    assert_eq!((&settled["ended"], web.of_user("ana")), (&json!(1), vec!["new".to_owned()]));

    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new(), "a suspension ends them all");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_a_name_at_a_downstream_is_reported_and_not_passed_over() {
    let web = Store::new();
    let world = Setup { subject: "identity.email", ..Setup::of([("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    let event = world.set(&ana, Standing::Inactive).await;
    let receipt = world.until(event, "web", "settled").await;
    assert!(receipt["note"].as_str().is_some_and(|n| n.contains("no value")), "{receipt}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_by_hand_can_name_its_downstreams() {
    let (web, shop) = (Store::new(), Store::new());
    let world = Setup::of([("web", &web), ("shop", &shop)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    shop.sign_in("ana", "s1");
    let payload = json!({"subject": ana.identity_id, "reason": "lost phone", "downstreams": ["web"]});
    let id = world.console.ask(directory::RequestKind::Revoke, &payload, "ciso").await.unwrap();
    world.until(id, "web", "settled").await;
    assert_eq!((web.of_user("ana").len(), shop.of_user("ana").len()), (0, 1));
    assert_eq!(world.receipt(id, "shop").await, Value::Null);
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 0, "and nothing is missing");
    world.stop().await;
}
