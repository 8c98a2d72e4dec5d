//! Runs of pulled sources: the baseline, rehearsals, and the fence that keeps a worker that was paused from writing.

use directory::{Error, Result};
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
async fn a_rehearsal_counts_what_a_run_would_do_and_does_nothing() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let told = world.told().await.len();
    let run = world.begin("hr").await;
    let page = [standing(Standing::Gone, person("ana")), person("new")];
    let (applied, counts) = world.sync.rehearse(&run.cause, &run.page(&page), Some(Standing::Inactive)).await.unwrap();
    assert_eq!((applied.created, applied.updated), (1, 1));
    assert_eq!(counts, Counts { disable: 1, delete: 1, ..Counts::default() });
    assert_eq!(world.told().await.len(), told);
    assert_eq!(world.waiting("hr").await, Counts::default());
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM scratch.seen").await, 0);
}

#[tokio::test]
async fn whoever_was_parked_is_present_although_nothing_is_known_of_him() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let run = world.begin("hr").await;
    let (seen, accounts) = (["bob".to_owned()], [person("ana")]);
    let page = directory::Page { seen_only: &seen, ..run.page(&accounts) };
    world.sync.apply_page(&run.cause, &page).await.unwrap();
    assert_eq!(world.sync.mark_absent(&run.fence, run.id, Standing::Inactive).await.unwrap(), 0);
}

#[tokio::test]
async fn a_worker_that_was_overtaken_is_refused_in_every_transaction_of_its_run() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let stale = world.begin("hr").await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    // What a newer run left waiting must not be touched by the older one either.
    let newer = world.begin("hr").await;
    newer.read(&world, &[person("ana"), standing(Standing::Gone, person("bob")), person("eva")]).await;
    let before: (usize, Vec<Value>) = (world.told().await.len(), accounts(&world).await);

    let page = [standing(Standing::Inactive, person("ana"))];
    refused("apply_page", world.sync.apply_page(&stale.cause, &stale.page(&page)).await);
    refused("mark_absent", world.sync.mark_absent(&stale.fence, stale.id, Standing::Gone).await);
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
    eventually("the planner knows of them", || async { world.ask::<i64>(counted).await == 300 }).await;
}
