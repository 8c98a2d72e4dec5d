//! History is read again part by part, each event once, from the first that is young enough up to where it ended at the beginning.

use chrono::{TimeDelta, Utc};
use lifecycle::{EventType, Standing};

use crate::decided::{decide_all, made};
use crate::world::{World, person};

const LISTENED: [EventType; 1] = [EventType::IdentitySuspended];

#[tokio::test]
async fn a_span_is_read_in_parts_each_event_once_and_without_what_comes_meanwhile() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for name in ["ana", "ben", "cleo"] {
        ids.push(world.create("okta", person(name)).await.native_id);
    }
    for id in &ids {
        world.set("okta", id, Standing::Inactive).await;
    }
    let mut span = world.console.span(Utc::now() - TimeDelta::hours(1)).await.unwrap();
    assert_eq!(span.left(), 6);
    world.create("okta", person("late")).await;
    let (mut events, mut items) = (0, Vec::new());
    while !span.is_read() {
        let chapter = world.console.chapter(span, &LISTENED, 2).await.unwrap();
        assert!(chapter.items.len() <= 2);
        events += chapter.events;
        items.extend(chapter.items);
        span = chapter.left;
    }
    assert_eq!((events, items.len()), (6, 3), "all are counted, and those of whom something is asked are there");
    assert!(items.iter().all(|past| past.event_type == EventType::IdentitySuspended && past.waits));
    assert!(items.iter().all(|past| past.decided.is_none() && past.context.is_some()));
}

#[tokio::test]
async fn a_span_begins_with_the_first_event_that_is_young_enough() {
    let world = World::new().await;
    let ids: Vec<_> = (0..9).map(|n| format!("user{n}")).collect();
    for name in &ids {
        world.create("okta", person(name)).await;
    }
    // Ages of 9, 8, … 1 days and a half; nobody but the owner could change them.
    sqlx::query("UPDATE ledger.events SET recorded_at = now() - (10 - id) * interval '1 day' - interval '12 hours'")
        .execute(&world.owner)
        .await
        .unwrap();
    for (days, expected) in [(0, 0), (1, 0), (2, 1), (5, 4), (9, 8), (30, 9)] {
        let since = Utc::now() - TimeDelta::days(days);
        let span = world.console.span(since).await.unwrap();
        assert_eq!(span.left(), expected, "{days} days: no more is looked at than is needed");
        let chapter = world.console.chapter(span, &[], 100).await.unwrap();
        assert_eq!((chapter.events, chapter.left.is_read()), (expected, true), "{days} days");
    }
}

#[tokio::test]
async fn what_was_decided_is_told_with_its_event_and_what_was_erased_is_not() {
    let world = World::new().await;
    let (ana, ben) = (world.create("okta", person("ana")).await, world.create("okta", person("ben")).await);
    for account in [&ana, &ben] {
        world.set("okta", &account.native_id, Standing::Inactive).await;
    }
    let events: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT event_id FROM ledger.events WHERE type = 'identity.suspended' ORDER BY id")
            .fetch_all(&world.owner)
            .await
            .unwrap();
    assert_eq!(decide_all(&world, &events[..1]).await, 1);
    let spared = world.revoker.undecided(&events[1..]).await.unwrap().into_iter().map(made);
    let spared: Vec<_> = spared.map(|made| directory::Made { ordered: None, ..made }).collect();
    world.revoker.decide(&spared).await.unwrap();
    sqlx::query("DELETE FROM ledger.event_context c USING ledger.events e WHERE c.event = e.id AND e.subject_id = $1")
        .bind(ben.identity_id)
        .execute(&world.owner)
        .await
        .unwrap();
    let span = world.console.span(Utc::now() - TimeDelta::hours(1)).await.unwrap();
    let items = world.console.chapter(span, &[], 100).await.unwrap().items;
    let told: Vec<_> = items.iter().map(|past| (past.subject, past.decided.as_ref().map(|d| d.ended))).collect();
    assert_eq!(told, [(ana.identity_id, Some(true)), (ben.identity_id, Some(false))], "also if nobody listens");
    assert_eq!((items[0].context.is_some(), items[1].context.is_some()), (true, false));
    assert!(items.iter().all(|past| !past.waits));
    let people = world.console.people(&[ana.identity_id]).await.unwrap();
    assert_eq!(people[&ana.identity_id].user_name.as_deref(), Some("ana"));
}
