//! Deleting a key is not revocation: a request in flight writes the session back.

use tests::world::{World, okta, person, redis_url};

#[tokio::test]
async fn a_session_written_back_by_a_request_in_flight_is_ended_again_and_counted() {
    // Long enough that the write comes within the series on a busy machine; the last two looks are a second apart.
    let sweeps = "[200ms, 1s, 7s, 8s]";
    let world = World::start(|names| {
        let web = names.redis("web", &redis_url(), sweeps);
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n", okta(""))
    })
    .await;
    let (ana, ben) = (person(1001, "ana"), person(1002, "ben"));
    let account = world.scim("okta").create(&ana).await;
    world.scim("okta").create(&ben).await;
    let express = world.express().await;
    let (ana, ben) = (express.sign_in("ana").await, express.sign_in("ben").await);

    let in_flight = ana.hold("report").await;
    let bystander = ben.hold("letter").await;
    world.scim("okta").deactivate(&account).await;
    ana.is_signed_out().await;
    world.reached("ana", "web", "verified").await;
    in_flight.release().await;
    bystander.release().await;

    ana.is_signed_out().await;
    let receipt = world.reached("ana", "web", "settled").await;
    assert_eq!((&receipt["resurrected"], &receipt["ended"]), (&1.into(), &2.into()), "{receipt:#}");
    assert_eq!(ana.me().await, None);
    assert_eq!(ben.me().await.as_deref(), Some("ben"), "a request in flight of somebody else is left alone");
}
