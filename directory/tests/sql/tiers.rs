//! Groups that are privileged by what their source says of them.

use directory::{GroupBrake, GroupRow, MemberChange, Moment, Rehearsal};
use lifecycle::brake::{Counts, Limits};
use lifecycle::{AccountFacts, GroupFacts, Standing};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::groups::{change, group, unchanged, users};
use crate::world::{World, cause, in_groups, person};

const CORP: &str = "urn:example:corp:2.0:Group";

fn tier(tier: Value) -> Value {
    json!({"displayName": "ops", CORP: {"tier": tier}})
}

/// (lane, privileged) of each membership that somebody has lost, oldest first.
async fn lost(world: &World) -> Vec<(i16, bool)> {
    let removed = world.told().await.into_iter().filter(|told| told.what == "membership.removed");
    removed.map(|told| (told.lane, told.data()["privileged"].as_bool().unwrap())).collect()
}

async fn put(world: &World, group: &GroupRow, becomes: Value, out: &str) -> GroupRow {
    let facts = move |row: &GroupRow| Ok(GroupFacts { attributes: becomes.clone(), ..unchanged(row)? });
    change(world, group, facts, &[MemberChange::Remove(vec![out.to_owned()])]).await
}

#[tokio::test]
async fn a_pushed_group_is_privileged_as_long_as_its_attribute_says_so_and_in_the_same_breath() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for name in ["ana", "bob", "cleo", "dora"] {
        ids.push(world.create("okta", person(name)).await.native_id);
    }
    let everybody = users(&ids.iter().collect::<Vec<_>>());
    let facts = GroupFacts { attributes: tier(json!("0")), ..group("ops") };
    let ops = world.sync.create_group(&cause("okta"), &facts, &everybody).await.unwrap();
    assert!(ops.privileged);

    change(&world, &ops, unchanged, &[MemberChange::Remove(vec![ids[0].clone()])]).await;
    assert!(!put(&world, &ops, tier(json!("1")), &ids[1]).await.privileged);
    assert_eq!(lost(&world).await, [(0, true), (0, true)], "he lost it while it was privileged");
    change(&world, &ops, unchanged, &[MemberChange::Remove(vec![ids[2].clone()])]).await;
    assert_eq!(lost(&world).await[2], (1, false));
    assert!(put(&world, &ops, tier(json!([0, 1])), &ids[3]).await.privileged);
    assert_eq!(lost(&world).await[3], (0, true));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn what_is_held_of_a_group_that_its_attribute_makes_privileged_is_a_loss_of_privilege() {
    let world = World::new().await;
    let (ana, bob) = (world.create("okta", person("ana")).await, world.create("okta", person("bob")).await);
    let both = users(&[&ana.native_id, &bob.native_id]);
    let facts = GroupFacts { attributes: tier(json!("1")), ..group("ops") };
    let ops = world.sync.create_group(&cause("okta"), &facts, &both).await.unwrap();
    let brake = GroupBrake { limits: Limits { max_disable: 0.0, min: 1 }, burst: 10 };
    let becomes = |row: &GroupRow| unchanged(row).map(|facts| GroupFacts { attributes: tier(json!("0")), ..facts });
    let empty = [MemberChange::Replace(Vec::new())];
    let done = world.sync.change_group(&cause("okta"), brake, &ops.native_id, becomes, &empty).await.unwrap();
    let plan = done.unwrap().unwrap().held.expect("two of two wait for a person");
    let classes: Vec<String> = sqlx::query_scalar("SELECT class FROM directory.plan_items WHERE plan_id = $1")
        .bind(plan)
        .fetch_all(&world.owner)
        .await
        .unwrap();
    assert_eq!(classes, ["privileged-loss", "privileged-loss"]);
    world.approve(plan).await;
    assert_eq!(lost(&world).await, [(0, true), (0, true)]);
}

fn ana(groups: &[&str]) -> AccountFacts {
    in_groups(groups, person("ana"))
}

fn listed(groups: &[(&str, &str)]) -> Vec<GroupFacts> {
    let facts = |(name, tier): &(&str, &str)| GroupFacts {
        native_id: (*name).to_owned(),
        attributes: json!({"tier": tier}),
        ..group(name)
    };
    groups.iter().map(facts).collect()
}

/// A complete run that is applied. Says what waited, and how many groups were otherwise before and after their people were read.
async fn pull(world: &World, everybody: &[AccountFacts], groups: &[(&str, &str)]) -> (u64, [usize; 2]) {
    let (run, groups) = (world.begin("hr").await, listed(groups));
    let list = async |moment| world.sync.list_groups(&run.cause, &run.fence, &groups, moment).await.unwrap();
    let before = list(Moment::BeforePeople).await;
    run.read(world, everybody).await;
    let waiting = world.waiting("hr").await.privileged_loss;
    world.sync.release_all(&run.cause, &run.fence).await.unwrap();
    let after = list(Moment::AfterPeople).await;
    run.finish(world, true).await;
    (waiting, [before, after])
}

async fn privileged(world: &World) -> Vec<String> {
    let query = "SELECT display_name FROM directory.groups WHERE privileged ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(&world.owner).await.unwrap()
}

#[tokio::test]
async fn a_pulled_group_is_privileged_for_whoever_leaves_it_in_the_run_that_says_so_or_the_run_that_takes_it_back() {
    let world = World::new().await;
    assert_eq!(pull(&world, &[ana(&["ops", "web", "db"])], &[("ops", "1"), ("web", "1")]).await, (0, [0, 2]));
    assert_eq!(privileged(&world).await, Vec::<String>::new());

    let more = [("ops", "0"), ("web", "0")];
    assert_eq!(pull(&world, &[ana(&["web", "db"])], &more).await, (1, [2, 0]), "it is privileged, and she has left it");
    assert_eq!(privileged(&world).await, ["ops", "web"]);
    assert_eq!(pull(&world, &[ana(&["web", "db"])], &more).await, (0, [0, 0]), "once");

    let fewer = [("ops", "0"), ("web", "1")];
    assert_eq!(pull(&world, &[ana(&["db"])], &fewer).await, (1, [0, 1]), "it was privileged when she left it");
    assert_eq!(privileged(&world).await, ["ops"]);
    assert_eq!(pull(&world, &[ana(&[])], &fewer).await, (0, [0, 0]));
    assert_eq!(lost(&world).await, [(0, true), (0, true), (1, false)]);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_privileged_group_is_there_before_anybody_is_in_it_and_others_come_with_their_members() {
    let world = World::new().await;
    pull(&world, &[ana(&[])], &[("ops", "0"), ("web", "1")]).await;
    let ops: Uuid = world.ask("SELECT id FROM directory.groups").await;
    pull(&world, &[ana(&["ops"])], &[("ops", "0"), ("web", "1")]).await;
    assert_eq!(world.history(ops).await, ["group.created"]);
    let told = world.told_of(ops).await;
    assert_eq!((told[0].data()["privileged"].clone(), privileged(&world).await), (json!(true), vec!["ops".to_owned()]));
}

#[tokio::test]
async fn a_rehearsal_weighs_groups_as_they_would_be_and_leaves_them_as_they_are() {
    let world = World::new().await;
    pull(&world, &[ana(&["ops"])], &[("ops", "1")]).await;
    world.sync.stage("hr", 1, &[ana(&[])]).await.unwrap();
    let run = world.begin("hr").await;
    let mut roll = run.roll(&world).await;
    roll.call(&mut vec![ana(&[])], chrono::Utc::now());
    let rehearsal = Rehearsal {
        pages: 1,
        groups: &listed(&[("ops", "0")]),
        roll: &roll,
        absence: Some(Standing::Inactive),
        baseline: false,
        now: chrono::Utc::now(),
        samples: 10,
    };
    let weighed = world.sync.rehearse(&run.cause, &rehearsal).await.unwrap();
    assert_eq!(weighed.waiting, Counts { privileged_loss: 1, ..Counts::default() });
    assert!(weighed.items[0].group_privileged);
    assert_eq!(privileged(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn groups_are_read_anew_when_leaver_starts() {
    let world = World::new().await;
    pull(&world, &[ana(&["ops", "web"])], &[]).await;
    // As they were stored by a Leaver that was told of no attribute.
    let query = r#"UPDATE directory.groups SET attributes = '{"tier": "0"}' WHERE display_name = 'ops'"#;
    sqlx::query(query).execute(&world.owner).await.unwrap();
    world.sync.register_sources().await.unwrap();
    assert_eq!(privileged(&world).await, ["ops"]);
    world.sync.register_sources().await.unwrap();
    assert_eq!(privileged(&world).await, ["ops"]);
}
