//! Reading the ledger: events in commit order without a gap, and the pending set that the bus empties.

use directory::{EventFilter, EventPage};
use lifecycle::{Lane, Standing};
use serde_json::Value;
use uuid::Uuid;

use crate::world::{World, eventually, person};

async fn page(world: &World, after: Option<&String>) -> EventPage {
    world.console.events(&EventFilter { after: after.cloned(), limit: 100, ..EventFilter::default() }).await.unwrap()
}

fn id(body: &str) -> String {
    serde_json::from_str::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Inserts an event the way a transaction that is still open has.
async fn insert(tx: &mut sqlx::PgConnection) -> (i64, Uuid) {
    sqlx::query_as(
        r#"WITH e AS (
               INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
               SELECT u, 'group', gen_random_uuid(), 'group.updated', 1, 0, 1, 1, now(), json_build_object('id', u)::text
               FROM gen_random_uuid() AS u RETURNING id, event_id
           ), p AS (INSERT INTO ledger.pending (shard, lane, id) SELECT 0, 1, id FROM e)
           SELECT id, event_id FROM e"#,
    )
    .fetch_one(tx)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_page_of_events_ends_below_what_is_in_flight_and_skips_nothing() {
    let world = World::new().await;
    world.create("okta", person("ana")).await;
    let ready = |count: usize| {
        let world = &world;
        move || async move { page(world, None).await.items.len() == count }
    };
    eventually("the first event is readable", ready(1)).await;
    let first = page(&world, None).await;

    let mut open = world.owner.begin().await.unwrap();
    let (_, in_flight) = insert(&mut open).await;
    world.create("okta", person("bob")).await;
    let page_while_open = page(&world, first.next.as_ref()).await;
    assert_eq!(page_while_open.items, Vec::<String>::new(), "bob committed, but somebody before him may yet");
    assert_eq!(page_while_open.next, None);
    open.commit().await.unwrap();

    eventually("both are readable", ready(3)).await;
    let rest: Vec<String> = page(&world, first.next.as_ref()).await.items.iter().map(|b| id(b)).collect();
    assert_eq!(rest.len(), 2);
    assert_eq!(rest[0], in_flight.to_string(), "in the order of their transactions");
}

#[tokio::test]
async fn pages_of_one_event_each_tell_the_same_as_one_page() {
    let world = World::new().await;
    for n in 0..5 {
        let row = world.create("okta", person(&format!("p{n}"))).await;
        world.set("okta", &row.native_id, Standing::Inactive).await;
    }
    eventually("everything is readable", || async { page(&world, None).await.items.len() == 10 }).await;
    let whole = page(&world, None).await.items;
    let (mut one_by_one, mut after) = (Vec::new(), None);
    loop {
        let filter = EventFilter { after: after.clone(), limit: 1, ..EventFilter::default() };
        let EventPage { items, next } = world.console.events(&filter).await.unwrap();
        let Some(position) = next else { break };
        one_by_one.extend(items);
        after = Some(position);
    }
    assert_eq!(one_by_one, whole);
    let filter =
        EventFilter { event_type: Some("identity.suspended".to_owned()), limit: 100, ..EventFilter::default() };
    assert_eq!(world.console.events(&filter).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn an_event_is_pending_in_its_lane_until_the_bus_acknowledged_that_very_event() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.set("okta", &ana.native_id, Standing::Inactive).await;
    world.set("okta", &ana.native_id, Standing::Active).await;
    let bulk = world.relay.pending_events(0, Lane::Bulk, 0, 10).await.unwrap();
    let urgent = world.relay.pending_events(0, Lane::Urgent, 0, 10).await.unwrap();
    assert_eq!((bulk.len(), urgent.len()), (1, 2));
    assert!(urgent.windows(2).all(|w| w[0].id < w[1].id), "in the order of their histories");
    assert_eq!(id(&urgent[0].body), urgent[0].record.to_string());

    world.relay.acknowledge(0, Lane::Urgent, &[urgent[1].id, bulk[0].id]).await.unwrap();
    let left = world.relay.pending_events(0, Lane::Urgent, 0, 10).await.unwrap();
    assert_eq!(left.iter().map(|e| e.id).collect::<Vec<_>>(), [urgent[0].id]);
    let depth = world.relay.pending_depth().await.unwrap();
    let by_lane: Vec<_> = depth.iter().map(|depth| (depth.lane, depth.events)).collect();
    assert_eq!(by_lane, [(Lane::Urgent, 1), (Lane::Bulk, 1)], "each lane by itself");
    assert!(depth.iter().all(|depth| !depth.oldest.is_zero()), "{depth:?}");
    assert!(world.relay.pending_events(0, Lane::Urgent, urgent[0].id, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_that_commits_after_later_ones_is_found_by_the_next_pass() {
    let world = World::new().await;
    let mut open = world.owner.begin().await.unwrap();
    let (late, _) = insert(&mut open).await;
    world.create("okta", person("ana")).await;
    let first = world.relay.pending_events(0, Lane::Bulk, 0, 10).await.unwrap();
    assert!(first.len() == 1 && first[0].id > late);
    world.relay.acknowledge(0, Lane::Bulk, &[first[0].id]).await.unwrap();
    open.commit().await.unwrap();
    let second = world.relay.pending_events(0, Lane::Bulk, 0, 10).await.unwrap();
    assert_eq!(second.iter().map(|e| e.id).collect::<Vec<_>>(), [late]);
}

#[tokio::test]
async fn the_ledger_check_finds_what_is_broken() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.set("okta", &ana.native_id, Standing::Inactive).await;
    world.assert_clean_ledger().await;
    for (breakage, rule) in [
        ("UPDATE ledger.events SET prev = 1 WHERE version = 2", "prev names"),
        ("UPDATE ledger.events SET recorded_at = 'epoch' WHERE version = 2", "instants of"),
        ("UPDATE ledger.events SET recorded_at = now() - interval '1 hour' WHERE lane = 0", "every urgent event"),
        ("INSERT INTO ledger.pending (shard, lane, id) VALUES (0, 0, 999)", "what is pending"),
        ("DELETE FROM ledger.event_context; DELETE FROM ledger.events WHERE version = 2", "every version"),
    ] {
        let mut broken = world.owner.begin().await.unwrap();
        sqlx::raw_sql(breakage).execute(&mut *broken).await.unwrap();
        broken.commit().await.unwrap();
        let findings = world.console.check_ledger(10).await.unwrap();
        assert!(findings.iter().any(|f| f.rule.starts_with(rule)), "{breakage}: {findings:?}");
    }
}
