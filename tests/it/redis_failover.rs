//! A Redis whose primary dies: what is ordered meanwhile is owed and ends at the one that is promoted, and so does what was ended at the
//! dead one and lives on at the new one.

use std::time::Duration;

use tests::world::{SOON, Sentinel, World, eventually, okta, person};

#[tokio::test]
async fn whoever_leaves_while_a_redis_fails_over_is_out_at_the_promoted_one() {
    let mut redis = Sentinel::start().await;
    // Late enough to come after the death of the primary; the last two looks are a second apart.
    let world = World::start(|names| {
        let web = names.redis_by_sentinel("web", &redis.url(), "[8s, 9s]");
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n", okta(""))
    })
    .await;
    let okta = world.scim("okta");
    let old = world.store_at("web", &redis.primary()).await;
    let mut people = Vec::new();
    for (number, user) in (1001..).zip(["ana", "ben", "cleo", "dan", "eve"]) {
        people.push((user, okta.create(&person(number, user)).await, old.sign_in(user).await));
    }
    redis.replicated().await;

    // Of Ana's end the replica never hears.
    let [(_, ana, hers), leavers @ .., (_, _, neighbours)] = &people[..] else { panic!("five") };
    redis.parts().await;
    okta.deactivate(ana).await;
    old.ends(hers).await;
    world.reached("ana", "web", "verified").await;
    redis.kill9_primary();
    for (_, account, _) in leavers {
        okta.deactivate(account).await;
    }
    for (user, ..) in leavers {
        let decided = async || world.receipt(user, "web").await["state"] == "owed";
        eventually(SOON, "it is owed, for nobody answers", decided).await;
    }

    redis.minds(Duration::from_millis(100)).await;
    eventually(SOON, "the replica is promoted", async || redis.has_promoted().await).await;
    let new = world.store_at("web", &redis.replica()).await;
    // He has left, and signs in where nothing may have been ended yet.
    let back = new.sign_in("ben").await;
    for (user, _, session) in leavers {
        new.ends(session).await;
        let receipt = world.reached(user, "web", "settled").await;
        assert_eq!(receipt["resurrected"], 0, "{user}: {receipt:#}");
    }
    new.ends(&back).await;
    new.ends(hers).await;
    let receipt = world.reached("ana", "web", "settled").await;
    assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&2.into(), &1.into()), "it lived on: {receipt:#}");
    assert!(new.lives(neighbours).await, "Eve works on");
    let check = world.admin().get("/api/v1/ledger/check").await.expect_status(200).json();
    assert_eq!((&check["findings"], &check["owed"]), (&serde_json::json!([]), &serde_json::json!({})), "{check:#}");
}
