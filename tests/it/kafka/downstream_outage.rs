//! A downstream is away for a while: what it owes waits for it, and for nothing else.

use std::time::Duration;

use tests::world::{Redis, Role, Site, World, eventually};
use tokio::time::{Instant, interval};

use super::stage::{PATIENTLY, nothing_is_pending, provider, signed_in, works};

const OUTAGE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_redis_that_was_away_for_half_a_minute_gets_what_it_owes_and_no_other_waits() {
    let mut redis = Redis::start().await;
    let site = Site::new(|names| {
        let (web, shop) = (names.web(), names.redis("shop", &redis.url(), "[200ms, 1s]"));
        let downstreams = format!("downstreams:\n  web: {web}\n  shop: {shop}\n");
        format!("sources:\n  okta: {}\n{downstreams}{}", provider(), names.kafka())
    })
    .await;
    let world = World::apart(site, &[(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 2)]).await;
    works(&world, 1).await;
    let (okta, web) = (world.gateway("okta"), world.store("web").await);
    let shop = world.store_at("shop", &redis.url()).await;
    let people = signed_in(&okta, &web, 1001, 15).await;
    let mut elsewhere = Vec::new();
    for one in &people {
        elsewhere.push(shop.sign_in(&one.person.user).await);
    }

    redis.kill9();
    let begun = Instant::now();
    let mut pace = interval(OUTAGE / u32::try_from(people.len()).unwrap());
    for one in &people {
        pace.tick().await;
        okta.set_active(&one.account, false).await;
        web.ends(&one.session).await;
        assert_eq!(world.reached(&one.person.user, "web", "verified").await["ended"], 1);
    }
    pace.tick().await;
    assert!(begun.elapsed() >= OUTAGE);
    for one in &people {
        assert_eq!(world.receipt(&one.person.user, "shop").await["state"], "owed", "{}", one.person.user);
    }
    let check = world.admin().get("/api/v1/ledger/check").await.expect_status(200).json();
    assert_eq!(check["owed"]["shop"]["owed"].as_i64(), Some(people.len() as i64), "{check:#}");

    redis.start_again().await;
    let shop = world.store_at("shop", &redis.url()).await;
    for (one, session) in people.iter().zip(&elsewhere) {
        let what = format!("the session of {} ends", one.person.user);
        eventually(PATIENTLY, &what, async || !shop.lives(session).await).await;
        let receipt = world.reached(&one.person.user, "shop", "verified").await;
        assert_eq!((&receipt["found"], &receipt["ended"]), (&1.into(), &1.into()), "{receipt:#}");
    }
    nothing_is_pending(&world).await;
}
