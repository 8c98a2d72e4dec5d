//! A store beside an index: what it knows goes first, what it does not know goes all the same, and what appears goes at once.

use std::time::Duration;

use lifecycle::Standing;
use serde_json::json;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

/// The next sweep is an hour away, so whatever ends has not waited for it.
async fn start(web: &std::sync::Arc<Store>) -> World {
    let world = Setup { sweeps: vec![Duration::from_secs(3_600)], ..Setup::of([("web", web)]) }.start().await;
    eventually("the store is followed", || async { web.is_followed() }).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_index_does_not_know_ends_all_the_same() {
    let web = Store::indexed();
    let world = start(&web).await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.sign_in("ana", "w2");
    web.is_known("w2");
    let event = world.set(&ana, Standing::Gone).await;
    let verified = world.until(event, "web", "verified").await;
    assert_eq!((&verified["found"], &verified["ended"]), (&json!(2), &json!(2)));
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_index_knows_ends_before_the_store_is_read_and_is_verified_only_after() {
    let web = Store::indexed();
    let world = start(&web).await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    web.is_known("w1");
    web.becomes(Mood::ReadsOn);
    let event = world.set(&ana, Standing::Gone).await;
    eventually("the known session is gone", || async { web.of_user("ana").is_empty() }).await;
    let receipt = world.receipt(event, "web").await;
    assert!(
        receipt["verified_at"].is_null() && receipt["state"] != "verified",
        "the rest has not been read: {receipt}"
    );
    web.becomes(Mood::Well);
    let verified = world.until(event, "web", "verified").await;
    assert_eq!((&verified["found"], &verified["ended"]), (&json!(1), &json!(1)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_appears_of_somebody_suspended_ends_at_once_and_the_receipt_says_so() {
    let web = Store::indexed();
    let world = start(&web).await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "verified").await;
    for id in ["w1", "w2"] {
        web.sign_in("ana", id);
        eventually("it is ended again", || async { web.of_user("ana").is_empty() }).await;
    }
    let counted = || async {
        let receipt = world.receipt(event, "web").await;
        receipt["ended"] == 3 && receipt["resurrected"] == 1
    };
    eventually("the receipt has both", counted).await;
    // It is verified by a look of its own, sooner than in an hour.
    world.until(event, "web", "verified").await;
    assert_eq!(world.count("SELECT count(*) FROM working.ended").await, 2, "the new one is remembered as well");
    assert!(world.console.check_ledger(10).await.unwrap().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_reinstated_keeps_a_new_session_and_the_old_one_stays_dead() {
    let web = Store::indexed();
    let world = start(&web).await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "verified").await;
    world.set(&ana, Standing::Active).await;
    let delivered = || async {
        let delivery = world.delivery(&ana, "web").await;
        delivery["wanted"]["state"]["disabled"] == false && delivery["wanted"] == delivery["delivered"]
    };
    eventually("the return is delivered", delivered).await;
    web.sign_in("ana", "new");
    // They are looked at one after the other.
    web.sign_in("ana", "w1");
    eventually("the old one is ended again", || async { web.of_user("ana") == ["new"] }).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_reinstated_of_whom_no_pass_knows_yet_keeps_a_new_session() {
    let web = Store::indexed();
    let mut world = Setup { sweeps: vec![Duration::from_secs(3_600)], ..Setup::of([("web", &web)]) }.idle().await;
    world.follow();
    world.deliver();
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "web", "verified").await;
    // The pass of the return hangs, so the watch still has the cutoff of before.
    web.becomes(Mood::ReadsOn);
    world.set(&ana, Standing::Active).await;
    let wanted = || async { world.delivery(&ana, "web").await["wanted"]["state"]["disabled"] == false };
    eventually("the return is decided", wanted).await;
    web.sign_in("ana", "new");
    web.sign_in("ana", "w1");
    eventually("the old one is ended again", || async { web.of_user("ana") == ["new"] }).await;
    web.becomes(Mood::Well);
    world.stop().await;
}
