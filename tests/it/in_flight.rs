//! Deleting a key is not revocation: a request in flight writes the session back.

use tests::world::{World, okta, person, redis_url, rounds};
use tokio::task::JoinSet;

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

#[tokio::test]
async fn a_request_in_flight_that_races_its_revocation_over_and_over_brings_nobody_back() {
    let world = World::start(|names| {
        let web = names.redis("web", &redis_url(), "[200ms, 1s, 2s, 3s]");
        let okta = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        format!("sources:\n  okta: {okta}\ndownstreams:\n  web: {web}\n")
    })
    .await;
    let (scim, express) = (world.scim("okta"), world.express().await);
    // A few at a time: each round begins with a store that is quiet.
    for round in 0..rounds(2) {
        let mut racing = JoinSet::new();
        for head_start in 0..8 {
            let user = format!("user{round}-{head_start}");
            let account = scim.create(&person(1000 + 8 * round + head_start, &user)).await;
            let browser = express.sign_in(&user).await;
            let in_flight = browser.hold(&user).await;
            let (scim, other) = (scim.clone(), express.browser());
            racing.spawn(async move {
                let release = async {
                    // Each takes about a millisecond: some requests end before the revocation, some in its midst, some after.
                    for _ in 0..3 * head_start {
                        other.me().await;
                    }
                    in_flight.release().await;
                };
                tokio::join!(scim.deactivate(&account), release);
                (user, browser)
            });
        }
        for (user, browser) in racing.join_all().await {
            let receipt = world.reached(&user, "web", "settled").await;
            let count = |field: &str| receipt[field].as_u64().unwrap();
            assert_eq!(count("ended"), 1 + count("resurrected"), "{user}: {receipt:#}");
            assert_eq!(browser.me().await, None, "{user}: {receipt:#}");
        }
    }
}
