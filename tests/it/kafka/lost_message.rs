//! A message is lost on its way, against everything that was done about it: the clock repairs what the event missed.

use sqlx::Executor;
use tests::world::{Reader, Site, World, eventually};

use super::stage::{ONE_EACH, PATIENTLY, about, all_end, count, database, nothing_is_pending, signed_in, usual, works};

/// As if some other process relayed, and did nothing.
const NOBODY_RELAYS: &str = "
    INSERT INTO working.leases (name, holder, until) VALUES ('relay/0/urgent', 'story', now() + interval '1 hour')";

#[tokio::test]
async fn an_event_that_never_reached_the_bus_is_decided_by_reconcile_and_counted() {
    let site = Site::new(usual).await;
    site.run(&["migrate"]).await.expect_code(0);
    let mut database = database(&site).await;
    database.execute(NOBODY_RELAYS).await.unwrap();
    let world = World::apart(site, &ONE_EACH).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 1).await;
    let user = &people[0].person.user;

    okta.set_active(&people[0].account, false).await;
    assert_eq!(count(&mut database, "SELECT count(*) FROM ledger.pending WHERE lane = 0").await, 1);
    assert!(store.lives(&people[0].session).await, "nobody was told");
    assert_eq!(world.metric("leaver_reconciled_total", "").await, 0.0);
    let lost = database.execute("DELETE FROM ledger.pending WHERE lane = 0").await.unwrap();
    assert_eq!(lost.rows_affected(), 1);
    database.execute("DELETE FROM working.leases WHERE holder = 'story'").await.unwrap();

    let gone = async || !store.lives(&people[0].session).await;
    eventually(PATIENTLY, "reconcile finds what was missed", gone).await;
    world.reached(user, "web", "verified").await;
    let counted = async || world.metric("leaver_reconciled_total", "").await == 1.0;
    eventually(PATIENTLY, "it counts what it repaired", counted).await;
    let decisions = "SELECT count(*) FROM ledger.decisions d JOIN ledger.events e ON e.id = d.event
                     WHERE type = 'identity.suspended'";
    assert_eq!(count(&mut database, decisions).await, 1);

    // Everything else goes its usual way, and a reader outside can tell that something is missing.
    works(&world, 2001).await;
    let subject = world.id_of(user).await;
    okta.set_active(&people[0].account, true).await;
    nothing_is_pending(&world).await;
    let events = world.site().names().topics().events().await;
    assert!(about(&events, &subject, "identity.suspended").is_empty());
    assert_eq!(about(&events, &subject, "identity.reinstated").len(), 1);
    assert_eq!(Reader::of(&events).holes(), [&(subject, "urgent".to_owned())]);
    all_end(&store, &people).await;
}
