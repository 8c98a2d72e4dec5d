//! What one call takes from a group beyond the brake: the fact is stored and read back, and its effect waits for a person.

use std::convert::Infallible;

use directory::{Error, GroupBrake, GroupChange, GroupRow, MemberChange, PlanRow};
use lifecycle::brake::{Counts, Limits};
use lifecycle::{GroupFacts, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::groups::{group, members, sorted, unchanged, users};
use crate::world::{World, cause, person};

/// Two may leave at once, and three be named in one list.
const TIGHT: GroupBrake = GroupBrake { limits: Limits { max_disable: 0.05, min: 2 }, burst: 3 };

/// A group of five at okta, and somebody who is in none.
struct Stage {
    world: World,
    admins: GroupRow,
    ids: Vec<String>,
    people: Vec<Uuid>,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let world = World::new().await;
        let (mut ids, mut people) = (Vec::new(), Vec::new());
        for n in 0..6 {
            let account = world.create("okta", person(&format!("p{n}"))).await;
            ids.push(account.native_id);
            people.push(account.identity_id);
        }
        let all: Vec<&String> = ids[..5].iter().collect();
        let admins = world.sync.create_group(&cause("okta"), &group(name), &users(&all)).await.unwrap();
        Self { world, admins, ids, people }
    }

    fn some(&self, which: &[usize]) -> Vec<(String, bool)> {
        which.iter().map(|n| (self.ids[*n].clone(), false)).collect()
    }

    async fn say(&self, change: MemberChange) -> GroupChange {
        let (sync, id) = (&self.world.sync, &self.admins.native_id);
        sync.change_group(&cause("okta"), TIGHT, id, unchanged, &[change]).await.unwrap().unwrap().unwrap()
    }

    async fn read(&self, expected: &[usize]) {
        let expected: Vec<&String> = expected.iter().map(|n| &self.ids[*n]).collect();
        assert_eq!(members(&self.world, &self.admins).await, sorted(&expected));
    }

    /// Whose membership is in force.
    async fn in_force(&self) -> Vec<usize> {
        let mut all = Vec::new();
        for (n, id) in self.people.iter().enumerate() {
            let detail = self.world.console.identity_detail(*id).await.unwrap().unwrap();
            if !detail.groups.is_empty() {
                all.push(n);
            }
        }
        all
    }

    async fn held(&self) -> Vec<PlanRow> {
        self.world.console.plans(true).await.unwrap()
    }

    async fn count(&self, what: &str) -> usize {
        self.world.told().await.iter().filter(|t| t.what == what).count()
    }
}

#[tokio::test]
async fn b1_09_a_replacement_beyond_the_brake_holds_who_leaves_and_applies_the_rest() {
    let stage = Stage::new("admins").await;
    let renamed = |row: &GroupRow| Ok::<_, Infallible>(GroupFacts { external_id: Some("x".into()), ..unchanged(row)? });
    let replace = [MemberChange::Replace(stage.some(&[0, 5]))];
    let id = &stage.admins.native_id;
    let done = stage.world.sync.change_group(&cause("okta"), TIGHT, id, renamed, &replace).await;
    let done = done.unwrap().unwrap().unwrap();
    assert_eq!(done.row.external_id.as_deref(), Some("x"));
    stage.read(&[0, 5]).await;
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4, 5]);
    assert_eq!((stage.count("membership.added").await, stage.count("membership.removed").await), (6, 0));

    let held = stage.held().await;
    assert_eq!((held.len(), Some(held[0].id), held[0].source.as_str()), (1, done.held, "okta"));
    let counts: Counts = serde_json::from_value(held[0].counts.clone()).unwrap();
    assert_eq!(counts, Counts { privileged_loss: 4, ..Counts::default() });
    assert_eq!(held[0].reasons, ["4 of 5 members would lose the group admins; the brake holds above 2 (min 2)"]);
    assert_eq!(stage.count("source.held").await, 1);
    let statuses = stage.world.console.source_statuses().await.unwrap();
    let okta = statuses.iter().find(|s| s.name == "okta").unwrap();
    assert_eq!((okta.state.as_str(), okta.note.as_deref()), ("held", Some("1 plan")));

    assert_eq!(stage.world.approve(held[0].id).await, (4, 0));
    assert_eq!(stage.in_force().await, [0, 5]);
    let lost = stage.world.told_of(stage.people[1]).await.pop().unwrap();
    assert_eq!((lost.what.as_str(), lost.lane), ("membership.removed", 0), "a lost privilege is urgent");
    let okta = stage.world.sync.source("okta").await.unwrap().unwrap();
    assert!(okta.baseline_open && okta.rows_applied.is_none(), "a group is no measure of a run");
    stage.world.assert_clean_ledger().await;
}

#[tokio::test]
async fn b1_09_a_filter_that_takes_most_of_a_group_is_held_like_a_replacement() {
    let stage = Stage::new("admins").await;
    let all_but_one = scim::Ids::AllBut([stage.ids[4].clone()].into());
    let selected = scim::Selection { users: all_but_one, groups: scim::Ids::none() };
    let plan = stage.say(MemberChange::RemoveSelected(selected)).await.held.unwrap();
    stage.read(&[4]).await;
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    assert_eq!(stage.world.approve(plan).await.0, 4);
    assert_eq!(stage.in_force().await, [4]);
}

#[tokio::test]
async fn a_plan_of_the_source_and_one_of_a_group_are_two() {
    let stage = Stage::new("admins").await;
    stage.say(MemberChange::RemoveAll).await.held.unwrap();
    stage.world.sync.hold(&cause("okta"), None, &Counts::default(), &[], 0, "").await.unwrap();
    stage.world.sync.note_held("okta").await.unwrap();
    let statuses = stage.world.console.source_statuses().await.unwrap();
    let okta = statuses.iter().find(|s| s.name == "okta").unwrap();
    assert_eq!((okta.state.as_str(), okta.note.as_deref()), ("held", Some("2 plans")));
}

#[tokio::test]
async fn b1_09_a_replacement_within_the_brake_applies_at_once() {
    let stage = Stage::new("admins").await;
    let done = stage.say(MemberChange::Replace(stage.some(&[0, 1, 2, 5]))).await;
    assert_eq!(done.held, None);
    assert_eq!(stage.in_force().await, [0, 1, 2, 5]);
    let urgent = stage.world.told().await.iter().filter(|t| t.what == "membership.removed" && t.lane == 0).count();
    assert_eq!(urgent, 2);
}

#[tokio::test]
async fn b1_04_removing_all_members_and_deleting_the_group_go_through_the_brake() {
    let stage = Stage::new("staff").await;
    let first = stage.say(MemberChange::RemoveAll).await.held.unwrap();
    stage.read(&[]).await;
    let (sync, id) = (&stage.world.sync, &stage.admins.native_id);
    let any = |_: &GroupRow| Ok::<_, Infallible>(());
    let done = sync.delete_group(&cause("okta"), TIGHT, id, any).await.unwrap().unwrap().unwrap();
    assert_eq!(done.held, None, "they wait already");
    assert!(sync.group("okta", id).await.unwrap().is_none());
    assert_eq!(stage.world.history(stage.admins.id).await, ["group.created", "group.deleted"]);
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    let held = stage.held().await;
    assert_eq!((held[0].id, &held[0].counts["member-remove"]), (first, &json!(5)));
    assert_eq!(stage.world.approve(first).await.0, 5);
    assert_eq!(stage.in_force().await, Vec::<usize>::new());
    stage.world.assert_clean_ledger().await;

    let other = Stage::new("staff").await;
    let done = other.world.sync.delete_group(&cause("okta"), TIGHT, &other.admins.native_id, any).await;
    assert!(done.unwrap().unwrap().unwrap().held.is_some());
    assert_eq!(other.in_force().await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn b1_03_members_removed_by_name_leave_at_once_and_a_long_list_is_weighed() {
    let stage = Stage::new("admins").await;
    let named = |which: &[usize]| MemberChange::Remove(stage.some(which).into_iter().map(|(id, _)| id).collect());
    assert_eq!(stage.say(named(&[0, 1, 2])).await.held, None, "three are more than two, but each is named");
    assert_eq!(stage.in_force().await, [3, 4]);
    let stage = Stage::new("admins").await;
    let named = |which: &[usize]| MemberChange::Remove(stage.some(which).into_iter().map(|(id, _)| id).collect());
    assert!(stage.say(named(&[0, 1, 2, 3])).await.held.is_some());
    stage.read(&[4]).await;
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    // One of them is named again, alone.
    stage.say(named(&[1])).await;
    assert_eq!(stage.in_force().await, [0, 2, 3, 4]);
    assert_eq!(stage.world.approve(stage.held().await[0].id).await, (3, 1));
    stage.world.assert_clean_ledger().await;
}

#[tokio::test]
async fn members_who_are_restored_are_held_no_longer() {
    let stage = Stage::new("admins").await;
    let plan = stage.say(MemberChange::RemoveAll).await.held.unwrap();
    let told = stage.world.told().await.len();
    stage.say(MemberChange::Add(stage.some(&[0, 1]))).await;
    stage.read(&[0, 1]).await;
    assert_eq!(stage.world.told().await.len(), told, "they never ceased to be members");
    assert_eq!(stage.held().await[0].id, plan);
    stage.say(MemberChange::Add(stage.some(&[2, 3, 4]))).await;
    assert!(stage.held().await.is_empty(), "nobody waits any more");
    let refused = stage.world.sync.approve(plan, "ciso", None).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.contains("superseded")), "{refused:?}");
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    let statuses = stage.world.console.source_statuses().await.unwrap();
    assert_eq!(statuses.iter().find(|s| s.name == "okta").unwrap().state, "ok");

    let plan = stage.say(MemberChange::Replace(vec![])).await.held.unwrap();
    stage.say(MemberChange::Add(stage.some(&[0]))).await;
    assert_eq!(stage.world.approve(plan).await, (4, 1));
    assert_eq!(stage.in_force().await, [0]);
}

#[tokio::test]
async fn a_newer_replacement_weighs_the_group_anew() {
    let stage = Stage::new("admins").await;
    let first = stage.say(MemberChange::Replace(stage.some(&[0, 1]))).await.held.unwrap();
    assert_eq!(stage.say(MemberChange::Replace(stage.some(&[0, 1]))).await.held, None, "the same is no new plan");
    assert_eq!(stage.count("source.held").await, 1);
    let second = stage.say(MemberChange::Replace(stage.some(&[0]))).await.held.unwrap();
    assert_eq!(stage.held().await.iter().map(|p| p.id).collect::<Vec<_>>(), [second]);
    assert!(matches!(stage.world.sync.approve(first, "ciso", None).await, Err(Error::Refused(_))));
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    // Whole again but for two, as the brake allows.
    stage.say(MemberChange::Replace(stage.some(&[0, 1, 2]))).await;
    assert!(stage.held().await.is_empty());
    assert_eq!(stage.in_force().await, [0, 1, 2]);
    stage.world.assert_clean_ledger().await;
}

#[tokio::test]
async fn the_plan_of_a_group_and_the_burst_of_its_source_neither_answer_nor_supersede_each_other() {
    let stage = Stage::new("admins").await;
    let world = &stage.world;
    let of_group = stage.say(MemberChange::RemoveAll).await.held.unwrap();
    assert_eq!(world.waiting("okta").await, Counts::default(), "it is not the source's");
    assert_eq!(world.sync.unplanned("okta").await.unwrap(), 0);
    let none = directory::Burst { count: 0, window: std::time::Duration::from_secs(3_600) };
    let gone = |row: &directory::AccountRow| {
        let facts = lifecycle::AccountFacts { native_id: row.native_id.clone(), ..person("p5") };
        Ok::<_, Infallible>(lifecycle::AccountFacts { standing: Standing::Inactive, ..facts })
    };
    world.sync.change_user(&cause("okta"), none, &stage.ids[5], gone).await.unwrap().unwrap().unwrap();
    assert_eq!(world.waiting("okta").await, Counts { disable: 1, ..Counts::default() });
    let burst = world.sync.hold(&cause("okta"), None, &Counts::default(), &[], 0, "").await.unwrap().plan;
    let mut held: Vec<Uuid> = stage.held().await.iter().map(|p| p.id).collect();
    held.sort();
    assert_eq!(held, [of_group, burst]);

    // A deactivation that the burst allows goes its way meanwhile.
    world.set("okta", &stage.ids[4], Standing::Inactive).await;
    assert_eq!(world.identity(stage.people[4]).await.state, "suspended");
    assert_eq!(world.approve(burst).await.0, 1);
    assert_eq!(world.identity(stage.people[5]).await.state, "suspended");
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    assert_eq!(stage.held().await[0].id, of_group);
    assert_eq!(world.approve(of_group).await.0, 5);
    assert_eq!(stage.in_force().await, Vec::<usize>::new());
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn what_was_privileged_when_it_was_held_is_lost_as_a_privilege() {
    let stage = Stage::new("admins").await;
    let plan = stage.say(MemberChange::RemoveAll).await.held.unwrap();
    let renamed = |row: &GroupRow| Ok::<_, Infallible>(GroupFacts { display_name: "old".into(), ..unchanged(row)? });
    let id = &stage.admins.native_id;
    stage.world.sync.change_group(&cause("okta"), TIGHT, id, renamed, &[]).await.unwrap().unwrap().unwrap();
    stage.world.approve(plan).await;
    let lost = stage.world.told_of(stage.people[0]).await.pop().unwrap();
    assert_eq!((lost.lane, &lost.data()["privileged"]), (0, &json!(true)));
}

#[tokio::test]
async fn members_whose_loss_is_rejected_stay_until_the_group_says_something_else_of_them() {
    let stage = Stage::new("admins").await;
    stage.say(MemberChange::Replace(stage.some(&[0]))).await;
    let plan = stage.held().await[0].id;
    let done = stage.world.sync.reject(plan, "ciso", "somebody edited the filter").await.unwrap();
    assert_eq!((done.rejected, done.skipped), (4, 0));
    stage.read(&[0]).await;
    // The same set again, and who is out already by name: nothing new is said.
    stage.say(MemberChange::Replace(stage.some(&[0]))).await;
    stage.say(MemberChange::Remove(vec![stage.ids[1].clone()])).await;
    assert!(stage.held().await.is_empty());
    assert_eq!(stage.world.waiting("okta").await, Counts::default());
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    assert_eq!(stage.count("membership.removed").await, 0);

    stage.say(MemberChange::Add(stage.some(&[1]))).await;
    stage.say(MemberChange::Remove(vec![stage.ids[1].clone()])).await;
    assert_eq!(stage.in_force().await, [0, 2, 3, 4], "said anew, by name, it counts");
    stage.world.assert_clean_ledger().await;
}

#[tokio::test]
async fn the_plan_of_a_deleted_group_can_be_rejected_and_its_members_stay_in_force() {
    let stage = Stage::new("staff").await;
    let any = |_: &GroupRow| Ok::<_, Infallible>(());
    let done = stage.world.sync.delete_group(&cause("okta"), TIGHT, &stage.admins.native_id, any).await;
    let plan = done.unwrap().unwrap().unwrap().held.unwrap();
    assert_eq!(stage.world.sync.reject(plan, "ciso", "not yet").await.unwrap().rejected, 5);
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    assert!(stage.held().await.is_empty());
    assert!(stage.world.delete("okta", crate::world::PLENTY, &stage.ids[0]).await);
    assert_eq!(stage.in_force().await, [1, 2, 3, 4], "who is deleted leaves it all the same");
    stage.world.assert_clean_ledger().await;
}

#[tokio::test]
async fn the_plan_of_a_group_is_made_anew_for_those_who_still_wait() {
    let stage = Stage::new("admins").await;
    stage.say(MemberChange::Replace(stage.some(&[0]))).await;
    let first = stage.held().await.remove(0);
    stage.say(MemberChange::Add(stage.some(&[1]))).await;
    let second = stage.world.sync.replan(&cause("okta"), first.id).await.unwrap().unwrap();
    let held = stage.held().await;
    assert_eq!((held.len(), held[0].id, &held[0].reasons), (1, second, &first.reasons));
    assert_eq!(held[0].counts["privileged-loss"], json!(3));
    assert_eq!(stage.in_force().await, [0, 1, 2, 3, 4]);
    assert_eq!(stage.count("source.held").await, 2);
    assert_eq!(stage.world.approve(second).await, (3, 0));
    assert_eq!(stage.in_force().await, [0, 1]);
}
