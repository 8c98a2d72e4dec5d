//! Downstreams that do not answer, or answer half: what is owed stays owed, and delays nobody else.

use std::time::Duration;

use tests::world::{SOON, Wire, World, eventually, okta, person, redis_url};

const SWEEPS: &str = "[200ms, 1s]";

#[tokio::test]
async fn a_delivery_that_a_kill_interrupts_is_made_after_the_restart() {
    let wire = Wire::open(&redis_url());
    let mut world = World::start(|names| {
        let web = names.redis("web", &wire.url(), SWEEPS);
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n", okta(""))
    })
    .await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    let store = world.store("web").await;
    let session = store.sign_in("ana").await;

    wire.stall_at("UNLINK");
    world.scim("okta").deactivate(&account).await;
    eventually(SOON, "the order to end the session is on the wire", async || wire.is_stalled()).await;
    let check = world.admin().get("/api/v1/ledger/check").await.expect_status(200).json();
    assert!(check["owed"]["web"]["owed"].as_i64() >= Some(1), "{check:#}");
    assert_eq!(world.receipt("ana", "web").await["state"], "owed", "nothing was answered, so nothing is said");
    world.kill9();
    wire.cut();
    assert!(store.lives(&session).await, "the order never arrived");

    world.restart().await;
    store.ends(&session).await;
    let receipt = world.reached("ana", "web", "settled").await;
    assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
}

#[tokio::test]
async fn a_dead_downstream_stays_owed_delays_no_other_and_is_served_when_it_appears() {
    let mut wire = Wire::dead(&redis_url());
    let world = World::start(|names| {
        let (web, cold) = (names.web(), names.redis("cold", &wire.url(), SWEEPS));
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n  cold: {cold}\n", okta(""))
    })
    .await;
    world.scim("okta").create(&person(1001, "ana")).await;
    let (web, cold) = (world.store("web").await, world.store("cold").await);
    let (warm, frozen) = (web.sign_in("ana").await, cold.sign_in("ana").await);

    let revoke = ["revoke", "ana", "--reason", "stolen laptop", "--wait", "verified", "--timeout", "2s"];
    world.cli(&revoke).await.expect_code(3).expect_words(&["cold"]);
    assert_eq!(world.reached("ana", "web", "verified").await["ended"], 1);
    assert!(!web.lives(&warm).await);
    assert_eq!(world.receipt("ana", "cold").await["state"], "owed");
    let check = world.admin().get("/api/v1/ledger/check").await.expect_status(200).json();
    assert_eq!((&check["owed"]["cold"]["owed"], &check["findings"]), (&1.into(), &serde_json::json!([])), "{check:#}");

    wire.revive();
    // The longest pause between two tries is half a minute.
    let gone = async || !cold.lives(&frozen).await;
    eventually(Duration::from_secs(60), "the session behind the dead port ends", gone).await;
    let receipt = world.reached("ana", "cold", "settled").await;
    assert_eq!((&receipt["found"], &receipt["ended"]), (&1.into(), &1.into()), "{receipt:#}");
}
