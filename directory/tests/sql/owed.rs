//! What is owed, as people see it: who, where, since when and why not yet; and that it be tried now.

use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{EVERYWHERE, OwedRow, RequestKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{SHOP, WEB, by_hand, delivery};
use crate::world::{World, person};

const HOLD: Duration = Duration::from_secs(60);

async fn owed(world: &World, stuck: bool) -> Vec<OwedRow> {
    world.console.owed_rows(stuck, None, 100).await.unwrap()
}

/// Tries what is due at `web` in vain.
async fn fails(world: &World, stuck: bool) {
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap();
    let due: Vec<DateTime<Utc>> = leased.iter().map(|_| Utc::now() + chrono::Duration::hours(1)).collect();
    world.revoker.defer(WEB, &leased, &due, "the downstream refused the request", stuck).await.unwrap();
}

async fn retry(world: &World, subject: Uuid) -> Value {
    let payload = json!({"subject": subject, "downstream": WEB});
    let id = world.console.ask(RequestKind::RetryOwed, &payload, "ciso").await.unwrap();
    let request = world.revoker.request(id).await.unwrap();
    world.revoker.retry_owed(&request, subject, WEB).await.unwrap();
    world.console.request(id).await.unwrap().result.unwrap()
}

#[tokio::test]
async fn what_is_owed_says_about_whom_where_since_when_and_why_not_yet() {
    let world = World::new().await;
    let (ana, ben) = (world.create("okta", person("ana")).await, world.create("okta", person("ben")).await);
    let first = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB, SHOP]).await;
    by_hand(&world, ben.identity_id, EVERYWHERE, &[WEB]).await;
    fails(&world, true).await;

    let rows = owed(&world, false).await;
    let names: Vec<(&str, &str)> =
        rows.iter().map(|r| (r.user_name.as_deref().unwrap(), r.downstream.as_str())).collect();
    assert_eq!(names.iter().filter(|(who, _)| *who == "ana").count(), 2);
    assert_eq!(names[2], ("ben", WEB), "whoever waits longest comes first: {names:?}");
    let asked = world.console.request(first).await.unwrap().asked_at;
    assert!(rows[..2].iter().all(|r| r.since == asked && r.kind == "identity"), "{rows:?}");
    let stuck = owed(&world, true).await;
    assert_eq!(stuck.len(), 2, "the shop has not been tried yet");
    let ana_at_web = &stuck[0];
    assert_eq!((ana_at_web.state.as_str(), ana_at_web.attempts), ("stuck", 1));
    assert_eq!(ana_at_web.last_error.as_deref(), Some("the downstream refused the request"));
    assert!(ana_at_web.next_try.unwrap() > Utc::now() + chrono::Duration::minutes(50));
    assert_eq!(world.console.owed_row(ana_at_web.id).await.unwrap().unwrap().subject, ana.identity_id);
    assert!(world.console.owed_row(Uuid::nil()).await.unwrap().is_none());
}

#[tokio::test]
async fn pages_of_what_is_owed_follow_each_other_without_a_gap_or_a_repetition() {
    let world = World::new().await;
    for n in 0..5 {
        let who = world.create("okta", person(&format!("p{n}"))).await;
        by_hand(&world, who.identity_id, EVERYWHERE, &[WEB, SHOP]).await;
    }
    let all: Vec<Uuid> = owed(&world, false).await.iter().map(|r| r.id).collect();
    assert_eq!(all.len(), 10);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = world.console.owed_rows(false, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.since, last.id));
        paged.extend(page.iter().map(|r| r.id));
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn a_person_makes_what_is_owed_due_at_once_and_nothing_that_was_answered() {
    let world = World::new().await;
    let (ana, ben) = (world.create("okta", person("ana")).await, world.create("okta", person("ben")).await);
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    fails(&world, false).await;
    assert!(world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap().is_empty(), "not due for an hour");
    assert_eq!(retry(&world, ana.identity_id).await, json!({"downstream": WEB, "owed": true, "attempts": 1}));
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["attempts"], 1, "how often it failed is not forgotten");

    assert_eq!(retry(&world, ben.identity_id).await, json!({"downstream": WEB, "owed": false, "attempts": null}));
    assert_eq!(
        delivery(&world, ben.identity_id, WEB).await,
        Value::Null,
        "nothing is owed about him, and still is not"
    );
}
