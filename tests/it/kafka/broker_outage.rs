//! The broker is away: changes are still accepted, wait, and take effect when it is back; what is urgent first.

use std::time::Duration;

use tests::world::{Broker, Person, Reader, Role, Site, World, eventually, person};
use tokio::time::{Instant, interval};

use super::stage::{
    Lane, ONE_EACH, PATIENTLY, all_end, database, events, everybody_forgets, nobody_forgets, nothing_is_pending, parts,
    pending, secluded, signed_in, works,
};

const OUTAGE: Duration = Duration::from_secs(20);

/// Reconcile looks for what is as old as this.
const RECONCILED: Duration = Duration::from_secs(15);

#[tokio::test]
async fn while_the_broker_is_stopped_scim_is_answered_and_when_it_is_back_the_urgent_comes_first() {
    let mut broker = Broker::start().await;
    let site = secluded(|names| parts(names) + &names.kafka_at(&broker.address())).await;
    let mut world = World::apart(site, &ONE_EACH).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let leavers = signed_in(&okta, &store, 1001, 20).await;
    nothing_is_pending(&world).await;

    broker.stop();
    let begun = Instant::now();
    let staff: Vec<Person> = (0..3_000).map(|n| person(10_000 + n, &format!("new{n}"))).collect();
    world.hr(&staff).await.expect_code(0);
    let mut pace = interval(OUTAGE / u32::try_from(leavers.len()).unwrap());
    let (mut left, mut answering) = (Vec::new(), Duration::ZERO);
    for one in &leavers {
        pace.tick().await;
        let asked = Instant::now();
        left.push(asked);
        okta.set_active(&one.account, false).await;
        answering += asked.elapsed();
    }
    assert!(answering < OUTAGE, "SCIM does not wait for the bus, which would take as long each time: {answering:?}");
    pace.tick().await;
    assert!(begun.elapsed() >= OUTAGE);
    assert!(pending(&world).await >= 3_000 + 20, "everything waits");
    assert!(
        world.member(Role::SyncWorker, 0).probes().metric("leaver_events_pending", "lane=\"urgent\"").await >= 20.0
    );
    for (one, left) in leavers.iter().zip(left) {
        let lives = store.lives(&one.session).await;
        // What is older reconcile may have found by its clock.
        assert!(lives || left.elapsed() > RECONCILED, "{} was not revoked", one.person.user);
    }
    for (role, number) in [(Role::Console, 0), (Role::SyncWorker, 0), (Role::Revoker, 0)] {
        assert!(!world.member_mut(role, number).has_ended(), "{} survives", role.as_str());
        world.member(role, number).probes().get("/readyz").await.expect_status(200);
    }

    // The backlog stays where it is for now, and holds up nobody who has left.
    let mut holding = database(world.site()).await;
    nobody_forgets(&mut holding, Lane::Bulk).await;
    broker.start_again().await;
    all_end(&store, &leavers).await;
    assert!(pending(&world).await >= 3_000, "the backlog still waits");
    everybody_forgets(&mut holding).await;
    nothing_is_pending(&world).await;
    for one in &leavers {
        world.reached(&one.person.user, "web", "verified").await;
    }
}

#[tokio::test]
async fn a_broker_that_hangs_and_one_that_is_killed_lose_no_event() {
    let mut broker = Broker::start().await;
    let site = Site::new(|names| parts(names) + &names.kafka_at(&broker.address())).await;
    let world = World::apart(site, &ONE_EACH).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 6).await;
    nothing_is_pending(&world).await;

    // It takes records and says nothing: whether it has them nobody knows.
    broker.pause();
    for one in &people[..3] {
        okta.set_active(&one.account, false).await;
    }
    let failed = async || world.metric("leaver_relay_failures_total", "").await > 0.0;
    eventually(PATIENTLY, "the relay has given up on a publish", failed).await;
    assert!(pending(&world).await >= 3, "it forgets nothing for that");
    broker.resume();
    all_end(&store, &people[..3]).await;
    nothing_is_pending(&world).await;

    broker.kill9();
    for one in &people[3..] {
        okta.set_active(&one.account, false).await;
    }
    assert!(pending(&world).await >= 3);
    broker.start_again().await;
    all_end(&store, &people).await;
    nothing_is_pending(&world).await;

    let reader = Reader::of(&world.site().names().topics().events().await);
    assert_eq!(reader.holes(), Vec::<&(String, String)>::new());
    assert_eq!(reader.taken.len() as i64, events(&world).await, "each event is on its topic");
    for one in &people {
        let receipt = world.reached(&one.person.user, "web", "settled").await;
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
    }
}
