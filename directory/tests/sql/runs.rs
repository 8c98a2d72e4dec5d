//! Runs of pulled sources: the baseline, rehearsals, and the fence that keeps a worker that was paused from writing.

use directory::{Error, Missing, Rehearsal, RequestKind, Result};
use lifecycle::brake::Counts;
use lifecycle::{AccountFacts, Standing};
use serde_json::{Value, json};

use crate::world::{World, cause, eventually, in_groups, person, standing};

#[tokio::test]
async fn the_first_complete_run_is_a_baseline_told_once_and_without_memberships() {
    let world = World::new().await;
    let page = [in_groups(&["admins"], person("ana")), in_groups(&["staff"], person("bob"))];
    world.pull("hr", &page).await;
    let of = |told: &[crate::world::Told], what: &str| told.iter().filter(|t| t.what == what).count();
    let told = world.told().await;
    assert_eq!((of(&told, "identity.created"), of(&told, "source.baselined")), (2, 1));
    assert_eq!(of(&told, "membership.added"), 0);
    world.pull("hr", &[in_groups(&["admins", "staff"], person("ana")), in_groups(&["staff"], person("bob"))]).await;
    let told = world.told().await;
    assert_eq!(
        (of(&told, "source.baselined"), of(&told, "membership.added")),
        (1, 1),
        "counted from the second run on"
    );
}

#[tokio::test]
async fn people_whom_a_baseline_brings_as_left_are_no_leavers() {
    let world = World::new().await;
    world.pull("hr", &[standing(Standing::Gone, person("old")), standing(Standing::Inactive, person("away"))]).await;
    assert_eq!(world.who("old").await.state, "departed");
    assert_eq!(world.history(world.who("old").await.id).await, ["identity.created"]);
    assert_eq!(world.history(world.who("away").await.id).await, ["identity.created"]);
}

#[tokio::test]
async fn a_first_run_that_would_end_whom_another_source_brought_waits() {
    let world = World::new().await;
    let okta = world.create("okta", person("ana")).await;
    let run = world.begin("hr").await;
    assert!(world.sync.source("hr").await.unwrap().unwrap().baseline_open);
    run.read(&world, &[standing(Standing::Gone, person("ana"))]).await;
    assert_eq!(world.identity(okta.identity_id).await.state, "active");
    assert_eq!(world.waiting("hr").await, Counts { delete: 1, ..Counts::default() });
    let plan = world.sync.hold(&run.cause, Some(&run.fence), &Counts::default(), &[], 1, "f").await.unwrap();
    run.finish(&world, false).await;
    assert!(world.sync.source("hr").await.unwrap().unwrap().baseline_open, "until its plan was applied");
    world.approve(plan.plan).await;
    assert_eq!(world.identity(okta.identity_id).await.state, "departed");
    assert!(!world.sync.source("hr").await.unwrap().unwrap().baseline_open);
}

#[tokio::test]
async fn only_an_applied_run_is_the_measure_for_the_next() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let run = world.begin("hr").await;
    let held = directory::RunEnd { next: &json!(2), rows: 99, fingerprint: "other", applied: false };
    world.sync.finish_complete(&run.cause, &run.fence, &held).await.unwrap();
    let row = world.sync.source("hr").await.unwrap().unwrap();
    assert_eq!((row.rows_applied, row.fingerprint.as_deref()), (Some(1), Some("f")));
    assert_eq!(world.sync.fence("hr").await.unwrap().1, Some(json!(2)), "the checkpoint moves on all the same");
}

#[tokio::test]
async fn a_rehearsal_says_what_a_run_would_do_and_to_whom_and_does_nothing() {
    let world = World::new().await;
    let admin = in_groups(&["admins"], person("zoe"));
    let ended = AccountFacts { ends_at: Some(chrono::Utc::now() + chrono::TimeDelta::hours(1)), ..person("eva") };
    let before = [person("ana"), person("bob"), admin, ended.clone(), person("max")];
    world.pull("hr", &before).await;
    let (told, stored) = (world.told().await.len(), accounts(&world).await);
    let run = world.begin("hr").await;
    // Bob and Zoe are missing, Max could not be understood, and Eva's last day passes.
    let now = chrono::Utc::now() + chrono::TimeDelta::hours(2);
    let (mut roll, mut page) =
        (run.roll(&world).await, vec![standing(Standing::Gone, person("ana")), person("new"), ended]);
    roll.call(&mut page, chrono::Utc::now());
    roll.saw(&["max".to_owned()]);
    for (number, page) in (1..).zip(page.chunks(1)) {
        world.sync.stage("hr", number, page).await.unwrap();
    }
    let rehearsal = |pages| Rehearsal {
        pages,
        groups: &[],
        roll: &roll,
        absence: Some(Standing::Inactive),
        baseline: false,
        now,
        samples: 3,
    };
    let weighed = world.sync.rehearse(&run.cause, &rehearsal(2)).await.unwrap();
    assert_eq!((weighed.applied.created, weighed.applied.updated), (1, 1));
    assert_eq!(weighed.waiting, Counts { disable: 2, delete: 2, ..Counts::default() });
    let who: Vec<_> = weighed
        .items
        .iter()
        .map(|i| (i.user_name.as_deref().unwrap(), i.from.as_str(), i.to.as_str(), i.because.as_str()))
        .collect();
    let expected = [
        ("zoe", "active", "inactive", "missing"),
        ("ana", "active", "gone", "stated"),
        ("eva", "active", "gone", "ended"),
    ];
    assert_eq!(who, expected, "whoever has a privilege first, and no more than were asked for");

    assert_eq!((world.told().await.len(), accounts(&world).await), (told, stored));
    assert_eq!(world.waiting("hr").await, Counts::default());
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM scratch.rehearsed").await, 0, "nothing is kept of it");
    let lost = world.sync.rehearse(&run.cause, &rehearsal(1)).await.unwrap_err();
    assert!(matches!(lost, Error::Inconsistent { table: "rehearsed", .. }), "{lost:?}");
}

#[tokio::test]
async fn people_are_erased_from_what_a_rehearsal_answered_and_left_behind_a_day_ago() {
    let world = World::new().await;
    world.sync.stage("hr", 1, &[person("ana")]).await.unwrap();
    let id = world.console.ask(RequestKind::Plan, &json!({"source": "hr"}), "jo").await.unwrap();
    world.sync.finish_request(id, true, &json!({"rows": 1, "items": [{"user_name": "ana"}]})).await.unwrap();
    let kept = async || {
        let result = world.console.request(id).await.unwrap().result.unwrap();
        (result, world.ask::<i64>("SELECT count(*) FROM scratch.rehearsed").await)
    };
    world.sync.forget_rehearsals().await.unwrap();
    assert_eq!(kept().await, (json!({"rows": 1, "items": [{"user_name": "ana"}]}), 1));
    for sql in [
        "UPDATE ledger.requests SET done_at = done_at - interval '25 hours'",
        "UPDATE scratch.rehearsed SET staged_at = staged_at - interval '25 hours'",
    ] {
        sqlx::query(sql).execute(&world.owner).await.unwrap();
    }
    world.sync.forget_rehearsals().await.unwrap();
    assert_eq!(kept().await, (json!({"rows": 1}), 0));
}

#[tokio::test]
async fn whoever_was_parked_is_present_although_nothing_is_known_of_him() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let run = world.begin("hr").await;
    let mut roll = run.roll(&world).await;
    roll.call(&mut vec![person("ana")], chrono::Utc::now());
    roll.saw(&["bob".to_owned(), "nobody".to_owned(), "bob".to_owned()]);
    assert_eq!(world.sync.mark_absent(&run.fence, Missing::Silent(&roll), Standing::Inactive).await.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_that_was_overtaken_is_refused_in_every_transaction_of_its_run() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let stale = world.begin("hr").await;
    let roll = stale.roll(&world).await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    // What a newer run left waiting must not be touched by the older one either.
    let newer = world.begin("hr").await;
    newer.read(&world, &[person("ana"), standing(Standing::Gone, person("bob")), person("eva")]).await;
    let before: (usize, Vec<Value>) = (world.told().await.len(), accounts(&world).await);

    let page = [standing(Standing::Inactive, person("ana"))];
    refused("apply_page", world.sync.apply_page(&stale.cause, &stale.page(&page)).await);
    refused("mark_absent", world.sync.mark_absent(&stale.fence, Missing::Silent(&roll), Standing::Gone).await);
    refused("release_all", world.sync.release_all(&stale.cause, &stale.fence).await);
    refused("hold", world.sync.hold(&stale.cause, Some(&stale.fence), &Counts::default(), &[], 0, "f").await);
    let end = stale.end(&Value::Null, true);
    refused("finish_complete", world.sync.finish_complete(&stale.cause, &stale.fence, &end).await);
    assert_eq!((world.told().await.len(), accounts(&world).await), before, "nothing was written");
}

#[tokio::test]
async fn a_worker_that_was_overtaken_is_refused_though_it_has_nothing_to_let_through() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let stale = world.begin("hr").await;
    world.pull("hr", &[person("ana")]).await;
    refused("release_all", world.sync.release_all(&stale.cause, &stale.fence).await);
    let starts = AccountFacts { starts_at: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..person("new") };
    world.pull("hr", &[person("ana"), starts]).await;
    let later = chrono::Utc::now() + chrono::Duration::hours(2);
    refused("pass_dates", world.sync.pass_dates(&cause("hr"), &stale.fence, later).await);
    assert_eq!(world.who("new").await.state, "staged");
}

#[tokio::test]
async fn the_roll_leaves_only_those_of_whom_something_else_is_said() {
    let world = World::new().await;
    let dated = |ends_at| AccountFacts { ends_at: Some(ends_at), ..person("dan") };
    let soon = chrono::Utc::now() + chrono::Duration::hours(1);
    world.pull("hr", &[person("ana"), person("bob"), dated(soon), person("eva")]).await;
    world.pull("hr", &[person("ana"), person("bob"), dated(soon)]).await;
    let call = async |facts: AccountFacts, now| {
        let (mut roll, mut left) = (world.sync.roll("hr").await.unwrap(), vec![facts]);
        roll.call(&mut left, now);
        left.len()
    };
    let now = chrono::Utc::now();
    assert_eq!(call(person("ana"), now).await, 0);
    assert_eq!(call(standing(Standing::Inactive, person("ana")), now).await, 1);
    assert_eq!(call(in_groups(&["staff"], person("ana")), now).await, 1);
    assert_eq!(call(person("new"), now).await, 1);
    assert_eq!(call(dated(soon), now).await, 0);
    assert_eq!(call(dated(soon), soon).await, 1, "the same words, and another fact: the day has passed");
    assert_eq!(call(person("eva"), now).await, 1, "who was missing is back");
    let (mut roll, mut twice) = (world.sync.roll("hr").await.unwrap(), vec![person("ana"), person("ana")]);
    assert_eq!(roll.call(&mut twice, now), 2, "named twice, she has answered once");
    let run = world.begin("hr").await;
    assert_eq!(
        world.sync.mark_absent(&run.fence, Missing::Silent(&roll), Standing::Inactive).await.unwrap(),
        2,
        "bob and dan"
    );
}

#[tokio::test]
async fn a_snapshot_ends_nobody_of_another_source() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    world.pull("partner", &[person("guest")]).await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    assert_eq!(world.who("guest").await.state, "active");
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    assert!(
        matches!(&result, Err(Error::CheckpointMoved { source_name }) if source_name == "hr"),
        "{what}: {result:?}"
    );
}

async fn accounts(world: &World) -> Vec<Value> {
    sqlx::query_scalar("SELECT to_jsonb(a) FROM directory.accounts a ORDER BY id")
        .fetch_all(&world.owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_first_load_makes_the_statistics_that_its_own_statements_are_planned_by() {
    let world = World::new().await;
    let everybody: Vec<AccountFacts> = (0..300).map(|n| person(&format!("user{n}"))).collect();
    world.pull("hr", &everybody).await;
    let counted = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'directory.accounts'::regclass";
    // They are made beside the load, so the last of it may come too late for them.
    eventually("the planner knows of most of them", || async { world.ask::<i64>(counted).await >= 250 }).await;
}
