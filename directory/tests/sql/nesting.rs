//! Groups in groups: whoever is in one is in all around it, hears of each once, and is held in it as long as what takes them out is.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use directory::{Burst, FanOut, GroupBrake, GroupRow, MemberChange, new_id};
use lifecycle::brake::{Counts, Limits};
use lifecycle::{AccountFacts, GroupFacts, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::groups::{change, group, patch, unchanged, users};
use crate::world::{FREE, PLENTY, World, cause, eventually, person};

/// Holds whatever takes a group from more than two.
const TIGHT: GroupBrake = GroupBrake { limits: Limits { max_disable: 0.05, min: 2 }, burst: 3 };

pub fn nested(groups: &[&GroupRow]) -> Vec<(String, bool)> {
    groups.iter().map(|g| (g.native_id.clone(), true)).collect()
}

async fn make(world: &World, name: &str, members: &[(String, bool)]) -> GroupRow {
    world.sync.create_group(&cause("okta"), &group(name), members).await.unwrap()
}

async fn say(world: &World, brake: GroupBrake, group: &GroupRow, members: &[MemberChange]) -> Option<Uuid> {
    let done = world.sync.change_group(&cause("okta"), brake, &group.native_id, unchanged, members).await.unwrap();
    done.expect("the group is there").unwrap().held
}

async fn delete(world: &World, brake: GroupBrake, group: &GroupRow) -> Option<Uuid> {
    let any = |_: &GroupRow| Ok::<_, Infallible>(());
    world.sync.delete_group(&cause("okta"), brake, &group.native_id, any).await.unwrap()?.unwrap().held
}

/// (what, group, direct, lane) of a person's membership events.
async fn told(world: &World, identity: Uuid) -> Vec<(String, String, bool, i16)> {
    let mut all = Vec::new();
    for event in world.told_of(identity).await {
        if let Some(what) = event.what.strip_prefix("membership.") {
            let name: String = sqlx::query_scalar("SELECT display_name FROM directory.groups WHERE id::text = $1")
                .bind(event.data()["group"].as_str().unwrap())
                .fetch_one(&world.owner)
                .await
                .unwrap();
            all.push((what.to_owned(), name, event.data()["direct"].as_bool().unwrap(), event.lane));
        }
    }
    all.sort();
    all
}

fn row(what: &str, group: &str, direct: bool, lane: i16) -> (String, String, bool, i16) {
    (what.to_owned(), group.to_owned(), direct, lane)
}

/// Who is in which group as the events say, told once each; what the rows in force come to by the definition; and that they agree.
async fn agreed(world: &World) -> BTreeSet<(Uuid, Uuid)> {
    let mut said: BTreeSet<(Uuid, Uuid)> = BTreeSet::new();
    let events: Vec<(Uuid, Uuid, bool)> = sqlx::query_as(
        "SELECT (body::jsonb -> 'data' ->> 'group')::uuid, subject_id, type = 'membership.added' FROM ledger.events
         WHERE type LIKE 'membership.%' ORDER BY subject_id, version",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    for (group, who, added) in events {
        let news = if added { said.insert((group, who)) } else { said.remove(&(group, who)) };
        assert!(news, "told twice: {group} {who} {added}");
    }
    let members: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT m.group_id, a.identity_id FROM directory.memberships m JOIN directory.accounts a ON a.id = m.account_id
         WHERE m.counted",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let edges: Vec<(Uuid, Uuid)> =
        sqlx::query_as("SELECT parent_id, child_id FROM directory.nested_groups WHERE child_id IS NOT NULL")
            .fetch_all(&world.owner)
            .await
            .unwrap();
    assert_eq!(said, defined(members.into_iter().collect(), &edges));
    said
}

/// A member of a group in a group is a member of it.
fn defined(mut members: BTreeSet<(Uuid, Uuid)>, edges: &[(Uuid, Uuid)]) -> BTreeSet<(Uuid, Uuid)> {
    loop {
        let more: Vec<(Uuid, Uuid)> = edges
            .iter()
            .flat_map(|(parent, child)| {
                members.iter().filter(move |(g, _)| g == child).map(move |(_, who)| (*parent, *who))
            })
            .filter(|pair| !members.contains(pair))
            .collect();
        if more.is_empty() {
            return members;
        }
        members.extend(more);
    }
}

#[tokio::test]
async fn whoever_leaves_a_group_in_a_privileged_one_loses_the_privilege_urgently() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let ops = make(&world, "ops", &users(&[&ana.native_id])).await;
    let admins = make(&world, "admins", &nested(&[&ops])).await;
    let joined = [row("added", "admins", false, 1), row("added", "ops", true, 1)];
    assert_eq!(told(&world, ana.identity_id).await, joined);
    let shown = async || world.console.identity_detail(ana.identity_id).await.unwrap().unwrap().groups;
    assert_eq!(shown().await, ["admins", "ops"]);
    assert_eq!(world.sync.members(admins.id).await.unwrap(), nested(&[&ops]), "as its provider sent it");
    let person = world.console.people(&[ana.identity_id]).await.unwrap().remove(&ana.identity_id).unwrap();
    assert_eq!(person.privileged_groups, ["admins"]);

    patch(&world, &ops, MemberChange::Remove(vec![ana.native_id.clone()])).await;
    let left = [row("removed", "admins", false, 0), row("removed", "ops", true, 1)];
    assert_eq!(told(&world, ana.identity_id).await[2..], left);
    assert_eq!(shown().await, Vec::<String>::new());
    let context: serde_json::Value = world
        .ask("SELECT context FROM ledger.event_context c JOIN ledger.events e ON e.id = c.event WHERE e.lane = 0")
        .await;
    assert_eq!(context["group"], json!({"id": admins.id, "name": "admins", "privileged": true}), "what policy reads");
    agreed(&world).await;
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn the_last_of_two_ways_out_of_a_group_is_the_one_that_is_told() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let [left, right] = [make(&world, "left", &users(&[&ana.native_id])).await, make(&world, "right", &[]).await];
    let admins = make(&world, "admins", &nested(&[&left, &right])).await;
    let start = told(&world, ana.identity_id).await.len();
    let remove = || MemberChange::Remove(vec![ana.native_id.clone()]);
    patch(&world, &right, MemberChange::Add(users(&[&ana.native_id]))).await;
    patch(&world, &left, remove()).await;
    patch(&world, &admins, MemberChange::Add(users(&[&ana.native_id]))).await;
    patch(&world, &right, remove()).await;
    let so_far = told(&world, ana.identity_id).await;
    assert!(so_far.len() == start + 3 && so_far.iter().filter(|t| t.1 == "admins").count() == 1, "{so_far:?}");
    patch(&world, &admins, remove()).await;
    assert!(told(&world, ana.identity_id).await.contains(&row("removed", "admins", true, 0)));
    agreed(&world).await;

    // In one call from a member to a member of a member, and back.
    patch(&world, &left, MemberChange::Add(users(&[&ana.native_id]))).await;
    change(&world, &admins, unchanged, &[MemberChange::Replace(users(&[&ana.native_id]))]).await;
    let before = told(&world, ana.identity_id).await;
    change(&world, &admins, unchanged, &[MemberChange::Replace(nested(&[&left]))]).await;
    change(&world, &admins, unchanged, &[MemberChange::Replace(users(&[&ana.native_id]))]).await;
    assert_eq!(told(&world, ana.identity_id).await, before);
    agreed(&world).await;
}

#[tokio::test]
async fn a_group_that_goes_is_weighed_by_the_people_in_it() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let inner = make(&world, "inner", &users(&ids[..4].iter().collect::<Vec<_>>())).await;
    let middle = make(&world, "middle", &nested(&[&inner])).await;
    let everything = [nested(&[&middle]), users(&[&ids[4]])].concat();
    let admins = make(&world, "admins", &everything).await;
    let all = agreed(&world).await;

    // One word takes four people out, which is no word about one person.
    let by_name = MemberChange::Remove(vec![middle.native_id.clone()]);
    let plan = say(&world, TIGHT, &admins, std::slice::from_ref(&by_name)).await.expect("four of five");
    assert_eq!(world.sync.members(admins.id).await.unwrap(), users(&[&ids[4]]), "the provider reads what it wrote");
    assert_eq!(agreed(&world).await, all);
    let held = world.console.plans(true).await.unwrap();
    let counts = serde_json::from_value::<Counts>(held[0].counts.clone()).unwrap();
    assert_eq!(counts, Counts { privileged_loss: 4, ..Counts::default() });
    assert_eq!(held[0].reasons, ["4 of 5 members would lose the group admins; the brake holds above 2 (min 2)"]);
    let (items, rows) = world.console.plan_items(plan, 0, 10).await.unwrap();
    assert_eq!((items.len(), rows), (4, 4));
    assert!(items.iter().all(|i| i.stands && i.group.as_deref() == Some("admins") && i.group_privileged));
    assert_eq!(say(&world, TIGHT, &admins, &[by_name]).await, None, "the same word is no new plan");

    // Stated again, nobody has left; and whoever leaves the inner group meanwhile is out at once.
    say(&world, TIGHT, &admins, &[MemberChange::Add(nested(&[&middle]))]).await;
    assert!(world.console.plans(true).await.unwrap().is_empty());
    assert_eq!(agreed(&world).await, all);
    let plan = say(&world, TIGHT, &admins, &[MemberChange::Replace(vec![])]).await.expect("five of five");
    patch(&world, &inner, MemberChange::Remove(vec![ids[0].clone()])).await;
    assert_eq!(agreed(&world).await.len(), all.len() - 3);
    assert_eq!(world.approve(plan).await, (4, 1), "the one who is out already is skipped");
    let left = agreed(&world).await;
    assert_eq!(left.len(), 6);
    assert!(left.iter().all(|(group, _)| *group != admins.id));
    let urgent = world.told().await.into_iter().filter(|t| t.what == "membership.removed" && t.lane == 0).count();
    assert_eq!(urgent, 5);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_rejected_plan_keeps_whoever_is_in_the_group_that_went() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let ops = make(&world, "ops", &users(&ids.iter().collect::<Vec<_>>())).await;
    let admins = make(&world, "admins", &nested(&[&ops])).await;
    let all = agreed(&world).await;
    let plan = say(&world, TIGHT, &admins, &[MemberChange::RemoveAll]).await.unwrap();
    let rejection = world.sync.reject(plan, "ciso", "a mistake").await.unwrap();
    assert_eq!((rejection.rejected, rejection.skipped), (4, 0));
    assert_eq!(say(&world, TIGHT, &admins, &[MemberChange::RemoveAll]).await, None, "it says nothing new");
    assert_eq!(agreed(&world).await, all);
    say(&world, TIGHT, &admins, &[MemberChange::Add(nested(&[&ops]))]).await;
    assert!(say(&world, TIGHT, &admins, &[MemberChange::RemoveAll]).await.is_some(), "but this does");
    let again = world.sync.replan(&cause("okta"), world.console.plans(true).await.unwrap()[0].id).await.unwrap();
    assert_eq!(world.approve(again.unwrap()).await, (4, 0), "a plan that is made anew speaks of the same");
    assert_eq!(agreed(&world).await.len(), 4);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_deleted_group_keeps_its_members_in_the_groups_around_it_until_a_person_agrees() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let ops = make(&world, "ops", &users(&ids.iter().collect::<Vec<_>>())).await;
    let admins = make(&world, "admins", &nested(&[&ops])).await;
    let all = agreed(&world).await;
    let plan = delete(&world, TIGHT, &ops).await.unwrap();
    assert_eq!(world.sync.members(admins.id).await.unwrap(), []);
    assert_eq!(agreed(&world).await, all);
    say(&world, FREE, &admins, &[MemberChange::Replace(vec![])]).await;
    assert_eq!(agreed(&world).await, all, "which is theirs to lose with the group that was deleted");
    assert_eq!(world.approve(plan).await, (4, 0));
    assert!(agreed(&world).await.is_empty());
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.nested_groups").await, 0);
    let urgent = world.told().await.into_iter().filter(|t| t.what == "membership.removed" && t.lane == 0).count();
    assert_eq!(urgent, 4);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_held_deletion_of_a_user_keeps_the_privilege_that_a_group_confers() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let ops = make(&world, "ops", &users(&[&ana.native_id])).await;
    let staff = make(&world, "staff", &users(&[&ana.native_id])).await;
    make(&world, "admins", &nested(&[&ops])).await;
    let none = Burst { count: 0, window: Duration::from_secs(3_600) };
    assert!(world.delete("okta", none, &ana.native_id).await);
    let kept = agreed(&world).await;
    assert!(kept.len() == 2 && kept.iter().all(|(group, _)| *group != staff.id), "{kept:?}");
    assert_eq!(world.waiting("okta").await, Counts { delete: 1, privileged_loss: 1, ..Counts::default() });
    let plan = world.sync.hold(&cause("okta"), None, &Counts::default(), &[], 0, "").await.unwrap().plan;
    assert_eq!(world.approve(plan).await, (2, 0));
    assert!(agreed(&world).await.is_empty());
    let lost: Vec<_> = told(&world, ana.identity_id).await.into_iter().filter(|t| t.0 == "removed").collect();
    let expected =
        [row("removed", "admins", false, 0), row("removed", "ops", true, 1), row("removed", "staff", true, 1)];
    assert_eq!(lost, expected);
}

#[tokio::test]
async fn a_group_named_before_it_came_brings_its_people_when_it_does() {
    let world = World::new().await;
    let [ana, ben] = [world.create("okta", person("ana")).await, world.create("okta", person("ben")).await];
    let inner = make(&world, "inner", &users(&[&ben.native_id])).await;
    let awaited = vec![("G-7".to_owned(), true)];
    let admins = make(&world, "admins", &awaited).await;
    assert!(agreed(&world).await.len() == 1);
    let elsewhere = GroupFacts { external_id: Some("G-7".to_owned()), ..group("ops") };
    world.sync.create_group(&cause("hr"), &elsewhere, &[]).await.unwrap();
    let ops = GroupFacts { native_id: new_id(), ..elsewhere };
    let members = [users(&[&ana.native_id]), nested(&[&inner])].concat();
    let ops = world.sync.create_group(&cause("okta"), &ops, &members).await.unwrap();
    let now = agreed(&world).await;
    assert!([&ana, &ben].iter().all(|who| now.contains(&(admins.id, who.identity_id))), "{now:?}");
    assert_eq!(world.sync.members(admins.id).await.unwrap(), awaited, "as it was named");
    // And the other way about: it is known by that name from now on.
    let other = make(&world, "other", &awaited).await;
    assert_eq!(agreed(&world).await.len(), now.len() + 2);
    assert_eq!(delete(&world, FREE, &ops).await, None);
    assert_eq!(agreed(&world).await.len(), 1);
    assert_eq!(world.sync.members(other.id).await.unwrap(), []);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_group_of_many_that_moves_is_told_in_chunks_whatever_happens_meanwhile() {
    const MANY: usize = 1_300;
    let world = World::new().await;
    let people: Vec<AccountFacts> = (0..MANY).map(|n| person(&format!("p{n}"))).collect();
    world.pull("okta", &people).await;
    let everybody: Vec<(String, bool)> = people.iter().map(|p| (p.native_id.clone(), false)).collect();
    let staff = make(&world, "staff", &everybody).await;
    work_off(&world).await;
    let admins = make(&world, "admins", &[]).await;
    let count = async || {
        let sql = "SELECT count(*) FROM directory.effective_memberships m JOIN directory.groups g ON g.id = m.group_id
                   WHERE g.display_name = 'admins'";
        world.ask::<i64>(sql).await
    };
    patch(&world, &admins, MemberChange::Add(nested(&[&staff]))).await;
    assert_eq!(count().await, 0);
    assert!(matches!(world.sync.fan_out().await.unwrap(), Some(FanOut::Worked(1_000))));
    assert_eq!(count().await, 1_000, "a crash here leaves the rest to the next start");
    let (heard, unheard) = (in_order(&world, 0).await, in_order(&world, MANY - 1).await);
    patch(&world, &staff, MemberChange::Remove(vec![heard.clone(), unheard.clone()])).await;
    work_off(&world).await;
    assert_eq!(count().await, (MANY - 2) as i64);
    assert_eq!(agreed(&world).await.len(), 2 * (MANY - 2));

    patch(&world, &admins, MemberChange::Remove(vec![staff.native_id.clone()])).await;
    assert!(matches!(world.sync.fan_out().await.unwrap(), Some(FanOut::Worked(1_000))));
    // One who waits to leave leaves the inner group, and another comes into it.
    let last = in_order(&world, MANY - 2).await;
    patch(&world, &staff, MemberChange::Remove(vec![last])).await;
    patch(&world, &staff, MemberChange::Add(users(&[&heard]))).await;
    work_off(&world).await;
    assert_eq!(count().await, 0);
    agreed(&world).await;
    let bulk = "SELECT count(*) FROM ledger.events WHERE lane = 1 AND class = 2 AND type = 'membership.removed'";
    assert_eq!(world.ask::<i64>(bulk).await, (MANY - 3) as i64);
    world.assert_clean_ledger().await;
}

/// The native id of the nth account in the order of the fan-out.
async fn in_order(world: &World, n: usize) -> String {
    sqlx::query_scalar("SELECT native_id FROM directory.accounts ORDER BY id OFFSET $1 LIMIT 1")
        .bind(n as i64)
        .fetch_one(&world.owner)
        .await
        .unwrap()
}

async fn work_off(world: &World) {
    while let Some(done) = world.sync.fan_out().await.unwrap() {
        assert!(matches!(done, FanOut::Worked(_)), "{done:?}");
    }
}

/// Small numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }

    fn some<T: Clone>(&mut self, of: &[T], at_most: usize) -> Vec<T> {
        (0..self.roll(at_most + 1)).map(|_| of[self.roll(of.len())].clone()).collect()
    }
}

/// One change of members or groups at random; groups that are gone are made anew.
async fn step(world: &World, dice: &mut Dice, people: &[String], groups: &mut [GroupRow], brake: GroupBrake) {
    let at = dice.roll(groups.len());
    let group = groups[at].clone();
    let members: Vec<(String, bool)> = dice.some(people, 2).into_iter().map(|id| (id, false)).collect();
    let inner: Vec<(String, bool)> = dice.some(groups, 2).into_iter().map(|g| (g.native_id, true)).collect();
    let both = [members, inner].concat();
    let names: Vec<String> = both.iter().map(|(id, _)| id.clone()).collect();
    let said = match dice.roll(12) {
        0..=4 => MemberChange::Add(both),
        5..=7 => MemberChange::Remove(names),
        8 | 9 => MemberChange::Replace(both),
        10 => MemberChange::RemoveSelected(scim::Selection { users: scim::Ids::none(), groups: scim::Ids::all() }),
        _ => {
            delete(world, brake, &group).await;
            groups[at] = make(world, ["admins", "ops", "prod-db"][dice.roll(3)], &both).await;
            return;
        }
    };
    let done = world.sync.change_group(&cause("okta"), brake, &group.native_id, unchanged, &[said]).await.unwrap();
    assert!(done.is_none_or(|refused| refused.is_ok()));
}

async fn company(world: &World) -> (Vec<String>, Vec<GroupRow>) {
    let (mut people, mut groups) = (Vec::new(), Vec::new());
    for n in 0..6 {
        people.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    for name in ["admins", "ops", "dev", "staff", "prod-db"] {
        groups.push(make(world, name, &[]).await);
    }
    (people, groups)
}

#[tokio::test]
async fn whatever_moves_in_whatever_order_what_was_told_is_who_is_in() {
    let world = World::new().await;
    let (mut people, mut groups) = company(&world).await;
    let mut dice = Dice(7);
    let (mut most, mut held) = (0, 0);
    for n in 0..80 {
        // Each way of a plan, and none at all.
        let brake =
            if n % 2 == 0 { GroupBrake { limits: Limits { max_disable: 0.0, min: 1 }, burst: 1 } } else { FREE };
        step(&world, &mut dice, &people, &mut groups, brake).await;
        most = most.max(agreed(&world).await.len());
        match dice.roll(8) {
            0 => {
                let one = dice.roll(people.len());
                world.delete("okta", PLENTY, &people[one]).await;
                people[one] = world.create("okta", person(&format!("q{n}"))).await.native_id;
            }
            1 => drop(world.set("okta", &people[dice.roll(people.len())], Standing::Inactive).await),
            2 | 3 => {
                for plan in world.console.plans(true).await.unwrap() {
                    held += 1;
                    world.approve(plan.id).await;
                }
            }
            _ => continue,
        }
        agreed(&world).await;
    }
    assert!(most > 15 && held > 3, "the company is too quiet to show anything: {most} {held}");

    // Once nothing is held any more, it is what the provider reads back.
    for plan in world.console.plans(true).await.unwrap() {
        world.approve(plan.id).await;
    }
    let said = agreed(&world).await;
    let accounts: BTreeMap<String, Uuid> =
        sqlx::query_as::<_, (String, Uuid)>("SELECT native_id, identity_id FROM directory.accounts")
            .fetch_all(&world.owner)
            .await
            .unwrap()
            .into_iter()
            .collect();
    let ids: BTreeMap<&str, Uuid> = groups.iter().map(|g| (g.native_id.as_str(), g.id)).collect();
    let (mut members, mut edges) = (BTreeSet::new(), Vec::new());
    for group in &groups {
        for (reference, nested) in world.sync.members(group.id).await.unwrap() {
            match nested {
                true => edges.extend(ids.get(reference.as_str()).map(|child| (group.id, *child))),
                false => drop(members.insert((group.id, accounts[&reference]))),
            }
        }
    }
    assert_eq!(said, defined(members, &edges));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn whoever_joins_a_group_while_it_moves_is_not_overlooked() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let [ops, admins] = [make(&world, "ops", &[]).await, make(&world, "admins", &[]).await];
    let waits = async |sql| eventually("it waits", || world.ask::<bool>(sql)).await;
    // She has joined, and found no group around hers, but has not committed.
    let mut holds_up = world.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE ledger.events IN SHARE MODE").execute(&mut *holds_up).await.unwrap();
    let joins = patch(&world, &ops, MemberChange::Add(users(&[&ana.native_id])));
    let moves = async {
        waits("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'ledger.events'::regclass)").await;
        patch(&world, &admins, MemberChange::Add(nested(&[&ops]))).await;
    };
    let lets_go = async {
        waits(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        )
        .await;
        holds_up.rollback().await.unwrap();
    };
    tokio::join!(joins, moves, lets_go);
    assert!(agreed(&world).await.contains(&(admins.id, ana.identity_id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_side_by_side_overlook_nobody() {
    let world = World::new().await;
    let (people, groups) = company(&world).await;
    let writers = (0..4).map(|n| {
        let (world, people, mut groups) = (&world, &people, groups.clone());
        async move {
            let mut dice = Dice(n);
            for _ in 0..25 {
                step(world, &mut dice, people, &mut groups, FREE).await;
            }
        }
    });
    futures::future::join_all(writers).await;
    agreed(&world).await;
    world.assert_clean_ledger().await;
}
