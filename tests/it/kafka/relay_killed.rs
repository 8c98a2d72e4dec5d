//! A relay dies after the broker has the record and before its pending row is gone: it is told twice, and done once.

use tests::world::{Reader, SOON, World, eventually};

use super::stage::{
    Lane, ONE_EACH, about, all_end, count, database, everybody_forgets, nobody_forgets, nothing_is_pending, secluded,
    signed_in, usual, works,
};

#[tokio::test]
async fn a_relay_that_dies_before_it_forgot_an_event_tells_it_twice_and_it_takes_effect_once() {
    let mut world = World::apart(secluded(usual).await, &ONE_EACH).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 3).await;
    nothing_is_pending(&world).await;
    let topics = world.site().names().topics();

    let (mut holding, mut looking) = (database(world.site()).await, database(world.site()).await);
    nobody_forgets(&mut holding, Lane::Urgent).await;
    let mut subjects = Vec::new();
    for one in &people {
        okta.set_active(&one.account, false).await;
        subjects.push(world.id_of(&one.person.user).await);
    }
    all_end(&store, &people).await;
    for one in &people {
        world.reached(&one.person.user, "web", "verified").await;
    }
    let before = topics.events().await;
    for subject in &subjects {
        assert_eq!(about(&before, subject, "identity.suspended").len(), 1, "it is told once");
    }
    let pending = "SELECT count(*) FROM ledger.pending";
    assert_eq!(count(&mut looking, pending).await, 3, "and not forgotten yet");

    world.kill9();
    // What a dead process had asked for would still be done: PostgreSQL has not noticed yet.
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND usename IS NOT NULL
                  AND pid NOT IN (pg_backend_pid(), (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))";
    count(&mut looking, &format!("SELECT count(pg_terminate_backend(pid)) {others}")).await;
    let none = format!("SELECT count(*) {others}");
    eventually(SOON, "no connection of a dead process is left", async || count(&mut looking, &none).await == 0).await;
    assert_eq!(count(&mut looking, pending).await, 3, "they died before they had forgotten");
    everybody_forgets(&mut holding).await;

    world.restart().await;
    nothing_is_pending(&world).await;
    // Zoe leaves last: whatever the repetition causes has been done when her revocation is verified.
    works(&world, 2001).await;
    let after = topics.events().await;
    let reader = Reader::of(&after);
    assert_eq!(reader.holes(), Vec::<&(String, String)>::new());
    assert!(reader.duplicates >= 3, "{}", reader.duplicates);
    for (one, subject) in people.iter().zip(&subjects) {
        let told = about(&after, subject, "identity.suspended");
        assert!(told.len() >= 2, "{} is told {} times", one.person.user, told.len());
        assert!(told.iter().all(|message| message.body == told[0].body), "each time in the same words: {told:#?}");
        let event = &told[0].body["id"].as_str().unwrap();
        let decisions = format!(
            "SELECT count(*) FROM ledger.decisions d JOIN ledger.events e ON e.id = d.event WHERE event_id = '{event}'"
        );
        assert_eq!(count(&mut looking, &decisions).await, 1);
        let receipt = world.reached(&one.person.user, "web", "settled").await;
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
    }
}
