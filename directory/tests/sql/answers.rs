//! What people answer: a rejection holds until the source says something else, and a large plan takes two.

use directory::{Error, PlanRejection, PlanVerdict};
use lifecycle::brake::{Counts, Reason};
use lifecycle::{AccountFacts, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, cause, eventually, in_groups, person, standing};

fn gone(name: &str) -> AccountFacts {
    standing(Standing::Inactive, person(name))
}

/// Ana has left, says the source, and a person says that she has not.
async fn rejected(world: &World) -> Uuid {
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), person("bob")]).await;
    let done = world.sync.reject(plan, "ciso", "the export is wrong").await.unwrap();
    assert_eq!(done, PlanRejection { rejected: 1, skipped: 0 });
    plan
}

async fn state(world: &World, name: &str) -> String {
    world.who(&format!("hr:{name}")).await.state
}

#[tokio::test]
async fn what_was_rejected_waits_no_longer_however_often_it_is_said_again() {
    let world = World::new().await;
    let plan = rejected(&world).await;
    let stored = world.console.plans(false).await.unwrap();
    let told = (stored[0].state.as_str(), stored[0].decided_by.as_deref(), stored[0].decision_reason.as_deref());
    assert_eq!(told, ("rejected", Some("ciso"), Some("the export is wrong")));
    assert_eq!(world.sync.held_plan("hr").await.unwrap(), None);

    let events = world.told().await.len();
    let changed = AccountFacts { attributes: json!({"desk": 7}), ..gone("ana") };
    for facts in [gone("ana"), changed] {
        let run = world.begin("hr").await;
        run.read(&world, &[facts, person("bob")]).await;
        assert_eq!(world.waiting("hr").await, Counts::default());
        assert_eq!(world.sync.unplanned("hr").await.unwrap(), 0);
        assert_eq!(world.sync.release_all(&run.cause, &run.fence).await.unwrap(), 0);
        run.finish(&world, true).await;
        assert_eq!(state(&world, "ana").await, "active");
    }
    let of_ana = world.told_of(world.who("hr:ana").await.id).await;
    assert!(of_ana.iter().all(|t| t.what != "identity.suspended"), "{of_ana:?}");
    assert!(world.told().await.len() <= events + 1, "at most that her desk is another");

    let detail = world.console.identity_detail(world.who("hr:ana").await.id).await.unwrap().unwrap();
    assert_eq!(detail.why, format!("hr says inactive, but ciso rejected that with plan {plan}"));
    let account = &detail.identity.accounts[0];
    let rejected = account.rejected.as_ref().unwrap();
    assert_eq!((account.held, rejected.plan, rejected.reason.as_deref()), (false, plan, Some("the export is wrong")));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_rejection_ends_when_the_source_says_something_else_and_the_old_word_is_judged_anew() {
    let world = World::new().await;
    rejected(&world).await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    assert!(world.who("hr:ana").await.accounts[0].rejected.is_none());
    let run = world.begin("hr").await;
    run.read(&world, &[gone("ana"), person("bob")]).await;
    assert_eq!(world.waiting("hr").await.disable, 1);
    run.finish(&world, false).await;

    let other = World::new().await;
    rejected(&other).await;
    let run = other.begin("hr").await;
    run.read(&other, &[standing(Standing::Gone, person("ana")), person("bob")]).await;
    assert_eq!(other.waiting("hr").await.delete, 1, "that she has left for good is another word");
}

#[tokio::test]
async fn a_rejected_push_stays_rejected_when_it_is_pushed_again() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let none = directory::Burst { count: 0, ..crate::world::PLENTY };
    let say = |standing| {
        let (world, id) = (&world, ana.native_id.clone());
        async move {
            let facts = move |row: &directory::AccountRow| {
                let facts = AccountFacts {
                    native_id: row.native_id.clone(),
                    profile: row.profile.clone(),
                    standing,
                    ..person("")
                };
                Ok::<_, std::convert::Infallible>(facts)
            };
            world.sync.change_user(&cause("okta"), none, &id, facts).await.unwrap().unwrap().unwrap()
        }
    };
    say(Standing::Inactive).await;
    assert_eq!(world.sync.unplanned("okta").await.unwrap(), 1);
    let plan = world.sync.hold(&cause("okta"), None, &Counts::default(), &[], 0, "").await.unwrap().plan;
    world.sync.reject(plan, "ciso", "a test").await.unwrap();
    for _ in 0..2 {
        // Within the burst now: only because it is the same word does it not count.
        world.set("okta", &ana.native_id, Standing::Inactive).await;
        assert_eq!(world.sync.unplanned("okta").await.unwrap(), 0);
        assert_eq!(world.identity(ana.identity_id).await.state, "active");
    }
    say(Standing::Active).await;
    say(Standing::Inactive).await;
    assert_eq!(world.sync.unplanned("okta").await.unwrap(), 1);
}

#[tokio::test]
async fn a_rejected_loss_of_a_privileged_group_stays_until_the_group_is_stated_again() {
    let world = World::new().await;
    let (with, without) = (in_groups(&["admins"], person("ana")), in_groups(&[], person("ana")));
    world.pull("hr", std::slice::from_ref(&with)).await;
    let plan = world.pull_and_hold("hr", std::slice::from_ref(&without)).await;
    let done = world.sync.reject(plan, "ciso", "she is on call").await.unwrap();
    assert_eq!(done.rejected, 1);
    world.pull("hr", std::slice::from_ref(&without)).await;
    let ana = world.who("hr:ana").await.id;
    assert_eq!(world.console.identity_detail(ana).await.unwrap().unwrap().groups, ["admins"]);
    world.pull("hr", &[with]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[without]).await;
    assert_eq!(world.waiting("hr").await.privileged_loss, 1);
}

#[tokio::test]
async fn only_rows_whose_fact_is_still_the_one_of_the_plan_are_rejected() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), gone("bob"), person("eva")]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[gone("ana"), standing(Standing::Gone, person("bob")), gone("eva")]).await;
    let done = world.sync.reject(plan, "ciso", "wrong").await.unwrap();
    assert_eq!(done, PlanRejection { rejected: 1, skipped: 1 });
    assert_eq!(world.waiting("hr").await, Counts { disable: 1, delete: 1, ..Counts::default() });
}

#[tokio::test]
async fn an_answer_is_final_and_says_what_it_was() {
    let world = World::new().await;
    let plan = rejected(&world).await;
    let told = world.told().await.len();
    let refused = world.sync.approve(plan, "ciso", None).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("is rejected")), "{refused:?}");
    let again = world.sync.reject(plan, "ciso", "the export is wrong").await.unwrap();
    assert_eq!(again, PlanRejection { rejected: 1, skipped: 0 }, "after a crash it is said once more");
    let refused = world.sync.reject(plan, "jo", "no").await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("is rejected")), "{refused:?}");
    assert_eq!(world.told().await.len(), told);

    let other = World::new().await;
    other.pull("hr", &[person("ana")]).await;
    let plan = other.pull_and_hold("hr", &[gone("ana")]).await;
    other.approve(plan).await;
    let refused = other.sync.reject(plan, "ciso", "too late").await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("is applied")), "{refused:?}");
    assert_eq!(state(&other, "ana").await, "suspended");
}

#[tokio::test]
async fn a_rejection_is_told_as_an_event_of_the_source() {
    let world = World::new().await;
    let plan = rejected(&world).await;
    let source = world.sync.source("hr").await.unwrap().unwrap().id;
    assert_eq!(world.history(source).await, ["source.baselined", "source.held", "source.released"]);
    let data = world.told_of(source).await[2].data().clone();
    assert_eq!(data, json!({"plan": plan, "applied": 0, "rejected": 1}));
}

#[tokio::test]
async fn a_plan_of_more_than_one_may_answer_for_takes_two_different_people() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), gone("bob")]).await;
    for _ in 0..2 {
        let waiting = world.sync.approve(plan, "jo", Some(1)).await.unwrap();
        assert_eq!(waiting, PlanVerdict::Waiting { rows: 2, mass: 1, approved_by: vec!["jo".to_owned()] });
        assert_eq!((state(&world, "ana").await.as_str(), state(&world, "bob").await.as_str()), ("active", "active"));
    }
    assert_eq!(world.console.plans(true).await.unwrap()[0].approved_by, ["jo"]);
    let applied = world.sync.approve(plan, "kim", Some(1)).await.unwrap();
    assert_eq!(applied, PlanVerdict::Applied { applied: 2, skipped: 0 });
    assert_eq!(state(&world, "ana").await, "suspended");
    assert_eq!(world.console.plans(false).await.unwrap()[0].approved_by, ["jo", "kim"]);
}

#[tokio::test]
async fn one_person_is_enough_for_as_many_as_one_may_answer_for() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), gone("bob")]).await;
    let applied = world.sync.approve(plan, "jo", Some(2)).await.unwrap();
    assert_eq!(applied, PlanVerdict::Applied { applied: 2, skipped: 0 });
}

/// A complete run that holds for this reason.
async fn hold(world: &World, everybody: &[AccountFacts], reason: Reason) -> directory::Held {
    let run = world.begin("hr").await;
    run.read(world, everybody).await;
    let counts = world.waiting("hr").await;
    let held =
        world.sync.hold(&run.cause, Some(&run.fence), &counts, &[reason], run.rows(everybody), "f").await.unwrap();
    run.finish(world, false).await;
    held
}

#[tokio::test]
async fn a_run_that_finds_the_very_same_rows_waiting_keeps_the_plan_and_its_approvals() {
    let fell = |now| Reason::RowsFell { before: 9, now, bound: 1 };
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let first = hold(&world, &[gone("ana"), person("bob")], fell(2)).await;
    assert!(first.new);
    world.sync.approve(first.plan, "jo", Some(0)).await.unwrap();
    let told = world.told().await.len();
    let again = hold(&world, &[gone("ana"), person("bob"), person("new")], fell(3)).await;
    assert_eq!((again.plan, again.new), (first.plan, false));
    let stored = &world.console.plans(true).await.unwrap()[0];
    assert!(stored.confirmed_at > Some(stored.created_at));
    assert_eq!(stored.approved_by, ["jo"]);
    assert!(stored.reasons[0].contains("to 3"), "{:?}", stored.reasons);
    assert_eq!(world.told().await.len(), told + 1, "only that somebody new came");

    let other = hold(&world, &[gone("ana"), gone("bob"), person("new")], fell(3)).await;
    assert!(other.new && other.plan != first.plan, "other rows are another plan");
    assert!(world.console.plans(true).await.unwrap()[0].approved_by.is_empty());
    let reason = hold(&world, &[gone("ana"), gone("bob"), person("new")], Reason::FingerprintChanged).await;
    assert!(reason.new && reason.plan != other.plan, "and so is another kind of reason");
}

#[tokio::test]
async fn the_rows_of_a_plan_name_people_and_come_privileged_first() {
    let world = World::new().await;
    let admin = |name: &str| in_groups(&["admins"], person(name));
    world.pull("hr", &[person("ana"), person("bob"), admin("zoe"), admin("max")]).await;
    let left = standing(Standing::Gone, person("bob"));
    let max = in_groups(&[], person("max"));
    let zoe = standing(Standing::Inactive, admin("zoe"));
    let plan = world.pull_and_hold("hr", &[gone("ana"), left, zoe, max]).await;
    let (items, total) = world.console.plan_items(plan, 0, 10).await.unwrap();
    let rows: Vec<_> = items
        .iter()
        .map(|i| {
            (i.user_name.as_deref().unwrap(), i.class.as_str(), i.from.as_str(), i.to.as_str(), i.group.as_deref())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("zoe", "disable", "active", "inactive", None),
            ("max", "privileged-loss", "member", "no member", Some("admins")),
            ("bob", "delete", "active", "gone", None),
            ("ana", "disable", "active", "inactive", None),
        ]
    );
    assert_eq!((total, &items[0].privileged_groups[..]), (4, &["admins".to_owned()][..]));
    assert!(items.iter().all(|i| i.stands));
    let (page, _) = world.console.plan_items(plan, 1, 2).await.unwrap();
    assert_eq!(page.iter().map(|i| i.user_name.as_deref().unwrap()).collect::<Vec<_>>(), ["max", "bob"]);

    let run = world.begin("hr").await;
    let left = standing(Standing::Gone, person("bob"));
    run.read(&world, &[person("ana"), left, admin("zoe"), admin("max")]).await;
    let stands: Vec<bool> = world.console.plan_items(plan, 0, 10).await.unwrap().0.iter().map(|i| i.stands).collect();
    assert_eq!(stands, [false, false, true, false]);
}

const EXPIRED: &str =
    "UPDATE directory.plans SET created_at = created_at - interval '8 days' WHERE state = 'held' RETURNING true";

#[tokio::test]
async fn a_plan_made_anew_has_what_waits_now_and_alarms_again_but_applies_nothing() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob"), person("eva")]).await;
    let first = hold(&world, &[gone("ana"), gone("bob"), person("eva")], Reason::FingerprintChanged).await.plan;
    world.sync.approve(first, "jo", Some(0)).await.unwrap();
    // Nothing is read any more; what came since, as a delta would bring it, waits as well.
    let run = world.begin("hr").await;
    run.read(&world, &[gone("ana"), person("bob"), gone("eva")]).await;
    assert!(world.ask::<bool>(EXPIRED).await);
    assert_eq!(world.sync.waiting_plans().await.unwrap()[0].id, first);

    let second = world.sync.replan(&cause("hr"), first).await.unwrap().unwrap();
    let held = world.console.plans(true).await.unwrap();
    assert_eq!((held.len(), held[0].id), (1, second));
    assert_eq!(held[0].counts["disable"], 2);
    assert!(held[0].approved_by.is_empty(), "an approval is of exactly one plan");
    assert_eq!(held[0].reasons, [Reason::FingerprintChanged.to_string()]);
    assert!(held[0].created_at > chrono::Utc::now() - chrono::TimeDelta::hours(1));
    for name in ["ana", "bob", "eva"] {
        assert_eq!(state(&world, name).await, "active");
    }
    let source = world.sync.source("hr").await.unwrap().unwrap().id;
    assert_eq!(world.history(source).await, ["source.baselined", "source.held", "source.held"]);
    assert_eq!(world.sync.replan(&cause("hr"), first).await.unwrap(), None, "it is answered already");
    assert_eq!(world.console.plans(true).await.unwrap()[0].id, second);
}

#[tokio::test]
async fn what_a_run_says_of_a_plan_while_it_is_approved_is_what_is_approved() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), person("bob")]).await;
    // A run finds the same rows waiting, and has the source's lock while somebody approves.
    let mut run = world.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM directory.sources WHERE name = 'hr' FOR UPDATE").execute(&mut *run).await.unwrap();
    sqlx::query("UPDATE directory.plans SET rows = 77, fingerprint = 'newer'").execute(&mut *run).await.unwrap();
    let sync = world.sync.clone();
    let approving = tokio::spawn(async move { sync.approve(plan, "ciso", None).await });
    eventually("the approval waits", async || {
        world.ask::<i64>("SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
    })
    .await;
    run.commit().await.unwrap();
    assert_eq!(approving.await.unwrap().unwrap(), PlanVerdict::Applied { applied: 1, skipped: 0 });
    let row = world.sync.source("hr").await.unwrap().unwrap();
    assert_eq!((row.rows_applied, row.fingerprint.as_deref()), (Some(77), Some("newer")));
}

/// As a crash leaves it between the approval and the last row.
const HALF_APPLIED: &str = "UPDATE directory.plans SET state = 'approved' WHERE state = 'applied' RETURNING true";

#[tokio::test]
async fn an_approval_that_is_carried_out_again_stays_that_of_who_gave_it_and_forgets_no_newer_run() {
    let world = World::new().await;
    world.pull("hr", &[person("ana"), person("bob")]).await;
    let plan = world.pull_and_hold("hr", &[gone("ana"), person("bob")]).await;
    world.approve(plan).await;
    assert_eq!(world.sync.source("hr").await.unwrap().unwrap().rows_applied, Some(2), "as its run had read");
    assert!(world.ask::<bool>(HALF_APPLIED).await);
    let decided: chrono::DateTime<chrono::Utc> = world.ask("SELECT decided_at FROM directory.plans").await;
    world.pull("hr", &[gone("ana")]).await;
    let measure = world.sync.source("hr").await.unwrap().unwrap().rows_applied;

    assert_eq!(world.sync.approve(plan, "kim", None).await.unwrap(), PlanVerdict::Applied { applied: 0, skipped: 1 });
    let stored = world.console.plans(false).await.unwrap();
    let stored = stored.iter().find(|row| row.id == plan).unwrap();
    assert_eq!((stored.state.as_str(), stored.decided_by.as_deref()), ("applied", Some("ciso")));
    assert_eq!((stored.decided_at, &stored.approved_by[..]), (Some(decided), &["ciso".to_owned()][..]));
    assert_eq!(world.sync.source("hr").await.unwrap().unwrap().rows_applied, measure);
    assert_ne!(measure, Some(2));
}
