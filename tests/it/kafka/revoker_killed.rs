//! A revoker dies between any two steps: another one, or itself after a restart, finishes.

use sqlx::{Connection, Executor};
use tests::world::{Role, SOON, Site, Wire, World, eventually, okta, redis_url};

use super::stage::{
    ONE_EACH, PATIENTLY, all_end, count, database, is_published, nothing_is_pending, secluded, signed_in, usual, works,
};

#[tokio::test]
async fn what_a_killed_revoker_had_decided_and_not_delivered_another_one_delivers() {
    let wire = Wire::open(&redis_url());
    let site = Site::new(|names| {
        let web = names.redis("web", &wire.url(), "[200ms, 1s]");
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n{}", okta(""), names.kafka())
    })
    .await;
    let mut world = World::apart(site, &ONE_EACH).await;
    works(&world, 1).await;
    let (gateway, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&gateway, &store, 1001, 2).await;

    wire.stall_at("UNLINK");
    gateway.set_active(&people[0].account, false).await;
    eventually(SOON, "the order to end the session is on the wire", async || wire.is_stalled()).await;
    let user = &people[0].person.user;
    assert_eq!(world.receipt(user, "web").await["state"], "owed", "it is decided, and nothing was answered");
    world.member_mut(Role::Revoker, 0).kill9();
    wire.cut();
    assert!(store.lives(&people[0].session).await, "the order never arrived");

    world.add(Role::Revoker).await;
    all_end(&store, &people[..1]).await;
    let receipt = world.reached(user, "web", "settled").await;
    assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
    world.start_again(Role::Revoker, 0).await;
    gateway.set_active(&people[1].account, false).await;
    all_end(&store, &people[1..]).await;
    world.reached(&people[1].person.user, "web", "settled").await;
    nothing_is_pending(&world).await;
}

#[tokio::test]
async fn what_a_killed_revoker_had_taken_and_not_decided_another_one_decides_once() {
    let mut world = World::apart(secluded(usual).await, &ONE_EACH).await;
    works(&world, 1).await;
    let (gateway, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&gateway, &store, 1001, 1).await;
    let (subject, user) = (world.id_of(&people[0].person.user).await, &people[0].person.user);

    let (mut blocking, mut looking) = (database(world.site()).await, database(world.site()).await);
    let mut lock = blocking.begin().await.unwrap();
    lock.execute("LOCK TABLE ledger.decisions IN SHARE MODE").await.unwrap();
    gateway.set_active(&people[0].account, false).await;
    is_published(&world, &subject, "identity.suspended").await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ledger.decisions'::regclass";
    eventually(SOON, "the revoker is about to decide", async || count(&mut looking, waiting).await > 0).await;
    let decisions = format!(
        "SELECT count(*) FROM ledger.decisions d JOIN ledger.events e ON e.id = d.event
         WHERE subject_id = '{subject}' AND type = 'identity.suspended'"
    );
    assert_eq!(count(&mut looking, &decisions).await, 0);
    world.member_mut(Role::Revoker, 0).kill9();
    // Its statement would still be done once the lock is gone: PostgreSQL has not noticed yet that nobody waits for it.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
               WHERE NOT granted AND relation = 'ledger.decisions'::regclass";
    count(&mut looking, end).await;
    eventually(SOON, "the dead revoker waits no more", async || count(&mut looking, waiting).await == 0).await;
    lock.rollback().await.unwrap();
    assert!(store.lives(&people[0].session).await, "nothing was decided");

    world.add(Role::Revoker).await;
    let gone = async || !store.lives(&people[0].session).await;
    eventually(PATIENTLY, "another revoker ends the session", gone).await;
    world.reached(user, "web", "settled").await;
    assert_eq!(count(&mut looking, &decisions).await, 1);
}
