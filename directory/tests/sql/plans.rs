//! Held plans: what would end access waits, and approval applies exactly what was judged.

use directory::Error;
use lifecycle::brake::Counts;
use lifecycle::{AccountFacts, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, person, standing};

fn gone(name: &str) -> AccountFacts {
    standing(Standing::Inactive, person(name))
}

async fn states(world: &World, names: &[&str]) -> Vec<String> {
    let mut states = Vec::new();
    for name in names {
        states.push(world.who(&format!("hr:{name}")).await.state);
    }
    states
}

#[tokio::test]
async fn what_would_end_access_waits_while_the_rest_of_the_page_counts() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    let told = world.told().await.len();
    let run = world.begin("hr").await;
    run.read(&world, &[gone("ana"), standing(Standing::Gone, person("bob")), person("new")]).await;
    let expected = Counts { disable: 2, delete: 1, ..Counts::default() };
    assert_eq!(world.waiting("hr").await, expected, "ana and the missing eva, and bob");
    assert_eq!(states(&world, &["ana", "bob", "eva", "new"]).await, ["active"; 4]);
    assert_eq!(world.told().await.len(), told + 1, "only that somebody new came");

    world.sync.release_all(&run.cause, &run.fence).await.unwrap();
    assert_eq!(states(&world, &["ana", "bob", "eva", "new"]).await, ["suspended", "departed", "suspended", "active"]);
    assert_eq!(world.waiting("hr").await, Counts::default());
    let accounts = world.who("hr:ana").await.accounts;
    assert!(!accounts[0].held);
}

#[tokio::test]
async fn the_items_of_a_held_plan_never_change() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), person("bob")]).await;
    let items = "SELECT json_agg(i ORDER BY ordinal)::jsonb FROM directory.plan_items i
                 WHERE plan_id = (SELECT id FROM directory.plans ORDER BY created_at LIMIT 1)";
    let before: serde_json::Value = world.ask(items).await;
    assert_eq!(before.as_array().unwrap().len(), 1);
    assert_eq!(
        (&before[0]["class"], &before[0]["counted"], &before[0]["fact"]),
        (&json!("disable"), &json!("active"), &json!("inactive"))
    );
    let run = world.begin("hr").await;
    run.read(&world, &[person("ana"), gone("bob")]).await;
    assert_eq!(world.ask::<serde_json::Value>(items).await, before);
    assert_eq!(world.sync.held_plan("hr").await.unwrap(), Some(plan));
    let refused = sqlx::query("UPDATE directory.plan_items SET fact = 'gone'").execute(world.console.pool()).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn approval_applies_exactly_the_rows_of_the_plan_though_others_differ_since() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), gone("bob"), person("eva")]).await;
    // Since then bob has come back and eva has left.
    let run = world.begin("hr").await;
    run.read(&world, &[gone("ana"), person("bob"), gone("eva")]).await;

    assert_eq!(world.approve(plan).await, (1, 1));
    assert_eq!(states(&world, &["ana", "bob", "eva"]).await, ["suspended", "active", "active"]);
    assert_eq!(world.waiting("hr").await.disable, 1, "eva was not part of what was judged");
    let stored = world.console.plans(false).await.unwrap();
    assert_eq!((stored[0].state.as_str(), stored[0].decided_by.as_deref()), ("applied", Some("ciso")));
    assert_eq!(world.history(world.who("hr:ana").await.id).await.last().unwrap(), "identity.suspended");
}

#[tokio::test]
async fn a_row_whose_fact_became_another_denial_is_not_what_was_judged() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana")]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[standing(Standing::Gone, person("ana"))]).await;
    assert_eq!(world.approve(plan).await, (0, 1));
    assert_eq!(states(&world, &["ana"]).await, ["active"]);
}

#[tokio::test]
async fn only_a_held_plan_can_be_approved() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let first = world.pull_and_hold("hr", &[gone("ana"), person("bob")]).await;
    let second = world.pull_and_hold("hr", &[gone("ana"), gone("bob")]).await;
    let refused = world.sync.approve(first, "ciso", None).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("superseded")), "{refused:?}");
    assert_eq!(states(&world, &["ana", "bob"]).await, ["active", "active"]);

    world.approve(second).await;
    let told = world.told().await.len();
    let refused = world.sync.approve(second, "ciso", None).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("applied")), "{refused:?}");
    assert!(matches!(world.sync.approve(Uuid::now_v7(), "ciso", None).await, Err(Error::Refused(_))));
    assert_eq!(world.told().await.len(), told, "a refusal tells nothing");
}

#[tokio::test]
async fn a_held_person_stays_unharmed_by_an_unrelated_change_of_another_source() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let okta = world.create("okta", person("ana")).await;
    world.pull_and_hold("hr", &[gone("ana")]).await;
    world.change("okta", &okta.native_id, |f| f.profile.department = Some("sales".to_owned())).await;
    let ana = world.who("hr:ana").await;
    assert_eq!((ana.state.as_str(), ana.department.as_deref()), ("active", Some("sales")));
    world.pull("hr", &[AccountFacts { attributes: json!({"desk": 7}), ..person("ana") }]).await;
    assert_eq!(world.waiting("hr").await.dangerous(), 0, "the source took it back");
    assert_eq!(states(&world, &["ana"]).await, ["active"]);
}

#[tokio::test]
async fn a_held_persons_other_change_does_not_let_the_denial_slip_through() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    world.pull_and_hold("hr", &[gone("ana")]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[AccountFacts { attributes: json!({"desk": 7}), ..gone("ana") }]).await;
    assert_eq!(states(&world, &["ana"]).await, ["active"]);
    assert_eq!(world.waiting("hr").await.disable, 1);
}

#[tokio::test]
async fn an_approval_larger_than_the_prompt_limit_goes_by_the_bulk_lane() {
    let world = World::new().await;
    let everybody: Vec<AccountFacts> = (0..120).map(|n| person(&format!("p{n}"))).collect();
    world.pull("hr", &everybody).await;
    let plan = world.pull_and_hold("hr", &[]).await;
    assert_eq!(world.approve(plan).await, (120, 0));
    let bulk = "SELECT count(*) FROM ledger.events WHERE type = 'identity.suspended' AND lane = 1 AND class = 2";
    assert_eq!(world.ask::<i64>(bulk).await, 120);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_complete_run_that_is_applied_supersedes_what_an_earlier_one_held() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    world.pull_and_hold("hr", &[gone("ana")]).await;
    world.pull("hr", &[person("ana")]).await;
    assert_eq!(world.sync.held_plan("hr").await.unwrap(), None);
}

#[tokio::test]
async fn holding_and_releasing_are_told_as_events_of_the_source() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana")]).await;
    world.approve(plan).await;
    let source = world.sync.source("hr").await.unwrap().unwrap().id;
    assert_eq!(world.history(source).await, ["source.baselined", "source.held", "source.released"]);
    let held = &world.told_of(source).await[1];
    assert_eq!(held.data()["plan"], plan.to_string());
}
