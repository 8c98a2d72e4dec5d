//! What is owed, as people see it: who, where, since when and why not yet; and that it be tried now.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use directory::{Answer, EVERYWHERE, Outcome, OwedRow, RequestKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{SHOP, WEB, by_hand, delivery};
use crate::deliveries::answer;
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

/// The one row that is owed at `web`.
async fn at_web(world: &World) -> OwedRow {
    let mut rows: Vec<OwedRow> = owed(world, false).await.into_iter().filter(|row| row.downstream == WEB).collect();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[tokio::test]
async fn what_is_owed_still_or_again_is_so_since_the_oldest_of_it_was_asked_for() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        let id = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
        asked.push(world.console.request(id).await.unwrap().asked_at);
    }
    assert_eq!(at_web(&world).await.since, asked[0]);
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap();
    let id = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    asked.push(world.console.request(id).await.unwrap().asked_at);
    assert_eq!(at_web(&world).await.since, asked[0]);
    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    assert_eq!(at_web(&world).await.since, asked[2], "two were answered, and the third came during the pass");

    let leased = world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap();
    world.revoker.answer(WEB, &[answer(&leased[0], Outcome::Verified)]).await.unwrap();
    assert!(owed(&world, false).await.is_empty());
    let id = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    assert_eq!(at_web(&world).await.since, world.console.request(id).await.unwrap().asked_at, "owed anew");
}

#[tokio::test]
async fn a_sweep_that_is_refused_is_listed_since_it_was() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, HOLD).await.unwrap();
    let due_now = Answer { due_at: Some(Utc::now()), ..answer(&leased[0], Outcome::Verified) };
    world.revoker.answer(WEB, &[due_now]).await.unwrap();
    fails(&world, true).await;
    let row = at_web(&world).await;
    assert_eq!((row.state.as_str(), Some(row.since)), ("stuck", row.stuck_since));
}

#[tokio::test]
async fn what_a_process_of_the_release_before_wrote_is_listed_as_well() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    world.ask::<Option<i64>>("UPDATE working.deliveries SET owed_since = NULL RETURNING NULL::int8").await;
    assert_eq!(Some(at_web(&world).await.since), at_web(&world).await.next_try, "nothing else is known of when");
}

#[tokio::test]
async fn a_page_of_what_is_owed_costs_the_page_however_much_is_owed() {
    let world = World::new().await;
    let fill = "WITH deliveries AS (
            INSERT INTO working.deliveries (subject_id, downstream, wanted, revision, class, due_at, owed_since, stuck_since)
            SELECT gen_random_uuid(), 'web', '{}', 1, 1, now(), now() + n * interval '1 ms', CASE WHEN n % 1000 = 0 THEN now() END
            FROM generate_series(1, 20000) n),
        revocations AS (
            INSERT INTO ledger.revocations (id, subject_id, subject_kind, class, at, actions, downstreams)
            SELECT gen_random_uuid(), gen_random_uuid(), 'identity', 1, now() + n * interval '1 ms', '{notify}', '{hook}'
            FROM generate_series(1, 20000) n RETURNING id, subject_id, at)
        INSERT INTO ledger.errands (decision, action, downstream, revocation, subject_id, class, at, state, stuck_since)
        SELECT id, 'notify', 'hook', id, subject_id, 1, at, CASE row_number() OVER () % 1000 WHEN 0 THEN 'stuck' ELSE 'owed' END,
               CASE row_number() OVER () % 1000 WHEN 0 THEN now() END FROM revocations";
    for sql in [fill, "ANALYZE working.deliveries, ledger.errands"] {
        sqlx::query(sql).execute(&world.owner).await.unwrap();
    }
    for (stuck, indexes) in
        [(false, ["deliveries_by_owed_since", "errands_by_at"]), (true, ["deliveries_stuck", "errands_stuck"])]
    {
        let first = world.console.owed_rows(stuck, None, 10).await.unwrap();
        let after = first.last().map(|row| (row.since, row.id));
        for index in indexes {
            // A server counts with a delay of seconds what was read.
            let sql = "SELECT idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1";
            let deadline = Instant::now() + Duration::from_secs(60);
            let (scans, rows): (i64, i64) = loop {
                let page = world.console.owed_rows(stuck, after, 10).await.unwrap();
                assert_eq!(page.len(), 10);
                let read: (i64, i64) = sqlx::query_as(sql).bind(index).fetch_one(&world.owner).await.unwrap();
                if read.0 > 0 {
                    break read;
                }
                assert!(Instant::now() < deadline, "{index} is of no use");
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            assert!(rows <= 20 * scans, "{index}: {rows} rows for {scans} pages of 10");
        }
    }
}
