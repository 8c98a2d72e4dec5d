//! Somebody leaves and comes back: the new login lives, and what was ended before stays dead.

use tests::world::{World, people, person, redis_url};

#[tokio::test]
async fn after_a_rehire_new_logins_live_and_the_old_cookie_stays_dead() {
    let mut world = World::start(|names| {
        let web = names.redis("web", &redis_url(), "[200ms, 1s, 7s, 8s]");
        format!("sources:\n  people: {}\ndownstreams:\n  web: {web}\n", people(""))
    })
    .await;
    let (ana, ben, cleo) = (person(1001, "ana"), person(1002, "ben"), person(1003, "cleo"));
    world.hr(&[ana.clone(), ben.clone(), cleo.clone()]).await.expect_code(0);
    let express = world.express().await;
    let mut before = express.sign_in("ana").await;
    let in_flight = before.hold("report").await;

    world.hr(&[ana.status("left"), ben.clone(), cleo.clone()]).await.expect_code(0);
    before.is_signed_out().await;
    world.reached("ana", "web", "verified").await;
    world.hr(&[ana.clone(), ben.clone(), cleo.clone()]).await.expect_code(0);
    let identity = world.identity("ana").await;
    assert_eq!((&identity["state"], &identity["generation"]), (&"active".into(), &2.into()), "{identity:#}");

    // The old session is written back while the new one begins: only the old one ends.
    let after = express.sign_in("ana").await;
    in_flight.release().await;
    before.is_signed_out().await;
    assert_eq!(after.me().await.as_deref(), Some("ana"));

    world.restart().await;
    // Ben leaves last: whatever the restart repeats has been done when his revocation is verified.
    world.hr(&[ana.clone(), ben.status("left"), cleo.clone()]).await.expect_code(0);
    world.reached("ben", "web", "verified").await;
    assert_eq!(after.me().await.as_deref(), Some("ana"));
    assert_eq!(before.me().await, None);
    assert_eq!(world.state_of("ana").await, "active");
    before.login("ana").await;
    assert_eq!(before.me().await.as_deref(), Some("ana"), "the same browser may sign in again");
}
