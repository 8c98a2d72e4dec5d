//! Groups as a SCIM client changes them: set operations, idempotent, and exact under many writers at once.

use std::convert::Infallible;

use directory::{GroupRow, MemberChange};
use lifecycle::{AccountFacts, GroupFacts, Standing};
use serde_json::json;

use crate::world::{FREE, PLENTY, World, cause, person};

pub fn group(name: &str) -> GroupFacts {
    GroupFacts {
        native_id: directory::new_id(),
        external_id: None,
        display_name: name.to_owned(),
        attributes: json!({}),
    }
}

pub fn unchanged(row: &GroupRow) -> Result<GroupFacts, Infallible> {
    Ok(GroupFacts {
        native_id: row.native_id.clone(),
        external_id: row.external_id.clone(),
        display_name: row.display_name.clone(),
        attributes: row.attributes.clone(),
    })
}

pub async fn change(
    world: &World,
    group: &GroupRow,
    facts: impl Fn(&GroupRow) -> Result<GroupFacts, Infallible> + Send + Sync + 'static,
    members: &[MemberChange],
) -> GroupRow {
    let changed = world.sync.change_group(&cause("okta"), FREE, &group.native_id, facts, members).await.unwrap();
    changed.expect("the group is there").unwrap().row
}

pub fn users(ids: &[&String]) -> Vec<(String, bool)> {
    ids.iter().map(|id| ((*id).clone(), false)).collect()
}

pub async fn patch(world: &World, group: &GroupRow, members: MemberChange) -> GroupRow {
    change(world, group, unchanged, &[members]).await
}

async fn delete(world: &World, group: &GroupRow) -> bool {
    let any = |_: &GroupRow| Ok::<_, Infallible>(());
    world.sync.delete_group(&cause("okta"), FREE, &group.native_id, any).await.unwrap().is_some()
}

pub async fn members(world: &World, group: &GroupRow) -> Vec<String> {
    let mut members: Vec<String> = world.sync.members(group.id).await.unwrap().into_iter().map(|(id, _)| id).collect();
    members.sort();
    members
}

pub fn sorted(ids: &[&String]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn changes_of_members_are_set_operations_and_doing_them_twice_changes_nothing() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for name in ["ana", "bob", "eva"] {
        ids.push(world.create("okta", person(name)).await.native_id);
    }
    let [ana, bob, eva] = [&ids[0], &ids[1], &ids[2]];
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &users(&[ana])).await.unwrap();
    for (change, expected, added, removed) in [
        (MemberChange::Add(users(&[ana, bob])), vec![ana, bob], 1, 0),
        (MemberChange::Remove(vec![ana.clone()]), vec![bob], 0, 1),
        (MemberChange::Replace(users(&[ana, eva])), vec![ana, eva], 2, 1),
        (MemberChange::RemoveAll, vec![], 0, 2),
        (MemberChange::Replace(users(&[bob])), vec![bob], 1, 0),
    ] {
        let count = async || {
            let told = world.told().await;
            let of = |what: &str| told.iter().filter(|t| t.what == what).count();
            (of("membership.added"), of("membership.removed"))
        };
        let before = count().await;
        for _ in 0..2 {
            patch(&world, &staff, change.clone()).await;
            assert_eq!(members(&world, &staff).await, sorted(&expected), "{change:?}");
        }
        let after = count().await;
        assert_eq!((after.0 - before.0, after.1 - before.1), (added, removed), "{change:?}");
    }
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn events_of_membership_have_the_person_as_subject_and_carry_no_names() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &users(&[&ana.native_id])).await.unwrap();
    patch(&world, &admins, MemberChange::RemoveAll).await;
    let told = world.told_of(ana.identity_id).await;
    let seen: Vec<(&str, i16, bool)> = told[1..]
        .iter()
        .map(|t| (t.what.as_str(), t.lane, t.data()["group"] == admins.id.to_string() && t.data()["direct"] == true))
        .collect();
    assert_eq!(seen, [("membership.added", 1, true), ("membership.removed", 0, true)], "a lost privilege is urgent");
    assert!(!told[2].body.to_string().contains("admins"));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_on_one_group_lose_no_member() {
    let world = World::new().await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let writers = ids.chunks(5).map(|mine| {
        let (world, staff) = (&world, &staff);
        async move {
            for id in mine {
                patch(world, staff, MemberChange::Add(users(&[id]))).await;
            }
            patch(world, staff, MemberChange::Remove(vec![mine[0].clone()])).await;
        }
    });
    futures::future::join_all(writers).await;
    let kept: Vec<&String> = ids.chunks(5).flat_map(|mine| &mine[1..]).collect();
    assert_eq!(members(&world, &staff).await, sorted(&kept));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_member_named_before_its_user_is_bound_when_the_user_arrives() {
    let world = World::new().await;
    let external = "E-7".to_owned();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &users(&[&external])).await.unwrap();
    assert_eq!(members(&world, &staff).await, sorted(&[&external]), "the client reads back what it wrote");
    let facts = lifecycle::AccountFacts { external_id: Some(external), ..person("ana") };
    let ana = world.create("okta", facts).await;
    assert_eq!(members(&world, &staff).await, [ana.native_id]);
    assert_eq!(world.history(ana.identity_id).await, ["identity.created", "membership.added"]);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.pending_members").await, 0);
}

fn known_as(external: &str, name: &str) -> AccountFacts {
    AccountFacts { external_id: Some(external.to_owned()), ..person(name) }
}

#[tokio::test]
async fn b1_26_a_member_named_by_the_external_id_of_a_user_is_that_user() {
    let world = World::new().await;
    let ana = world.create("okta", known_as("E-7", "ana")).await;
    let ben = world.create("okta", known_as("E-8", "ben")).await;
    let named = vec![("E-7".to_owned(), false), (ana.native_id.clone(), false)];
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &named).await.unwrap();
    assert_eq!(members(&world, &staff).await, sorted(&[&ana.native_id]), "twice the same is once");
    assert_eq!(world.history(ana.identity_id).await, ["identity.created", "membership.added"]);
    let [e7, e8] = ["E-7".to_owned(), "E-8".to_owned()];
    patch(&world, &staff, MemberChange::Replace(users(&[&e7, &e8]))).await;
    assert_eq!(members(&world, &staff).await, sorted(&[&ana.native_id, &ben.native_id]));
    patch(&world, &staff, MemberChange::Remove(vec![e7])).await;
    assert_eq!(members(&world, &staff).await, sorted(&[&ben.native_id]), "and taken out by the same name");
    let all_but_ben = scim::Selection { users: all_but(&["E-8"]), groups: scim::Ids::none() };
    patch(&world, &staff, MemberChange::RemoveSelected(all_but_ben)).await;
    assert_eq!(members(&world, &staff).await, sorted(&[&ben.native_id]));
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.pending_members").await, 0);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn an_external_id_that_two_users_have_is_neither_of_them() {
    let world = World::new().await;
    let ana = world.create("okta", known_as("E-7", "ana")).await;
    let ben = world.create("okta", known_as("E-7", "ben")).await;
    world.create("hr", known_as("E-8", "eva")).await;
    let named = ["E-7", "E-8"].map(|name| (name.to_owned(), false));
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &named).await.unwrap();
    assert_eq!(members(&world, &staff).await, ["E-7", "E-8"], "nor one of another source");
    let cid = world.create("okta", known_as("E-7", "cid")).await;
    assert_eq!(members(&world, &staff).await, ["E-7", "E-8"], "nor whoever comes third");
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.memberships").await, 0);
    for other in [ben, cid] {
        assert!(world.delete("okta", PLENTY, &other.native_id).await);
    }
    patch(&world, &staff, MemberChange::Add(vec![named[0].clone()])).await;
    assert_eq!(members(&world, &staff).await, sorted(&[&ana.native_id, &named[1].0]), "and awaited no more");
}

fn all_but(ids: &[&str]) -> scim::Ids {
    scim::Ids::AllBut(ids.iter().map(|id| (*id).to_owned()).collect())
}

#[tokio::test]
async fn members_are_removed_by_what_they_are() {
    let world = World::new().await;
    let (ana, ben) = (world.create("okta", person("ana")).await, world.create("okta", person("ben")).await);
    let inner = world.sync.create_group(&cause("okta"), &group("inner"), &[]).await.unwrap();
    let late = "E-7".to_owned();
    let (ana, ben, inner) = (&ana.native_id, &ben.native_id, &inner.native_id);
    let everything = [users(&[ana, ben, &late]), vec![(inner.clone(), true)]].concat();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &everything).await.unwrap();
    let none = scim::Ids::none;
    for (users, groups, left) in [
        (all_but(&[]), none(), vec![inner]),
        (none(), all_but(&[]), vec![ana, ben, &late]),
        (all_but(&[ana]), all_but(&[ana]), vec![ana]),
        (all_but(&[&late]), none(), vec![&late, inner]),
        (none(), all_but(&[inner]), vec![ana, ben, &late, inner]),
        (scim::Ids::Only([ana.clone(), inner.clone()].into()), none(), vec![ben, &late, inner]),
    ] {
        let selected = scim::Selection { users, groups };
        let before = patch(&world, &staff, MemberChange::Replace(everything.clone())).await;
        let after = patch(&world, &staff, MemberChange::RemoveSelected(selected.clone())).await;
        assert_eq!(members(&world, &staff).await, sorted(&left), "{selected:?}");
        assert_eq!(after.revision > before.revision, left.len() < 4, "{selected:?}");
    }
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_pending_member_that_is_removed_is_no_longer_awaited() {
    let world = World::new().await;
    let external = "E-7".to_owned();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &users(&[&external])).await.unwrap();
    patch(&world, &staff, MemberChange::Remove(vec![external.clone()])).await;
    let ana = world.create("okta", lifecycle::AccountFacts { external_id: Some(external), ..person("ana") }).await;
    assert_eq!(world.history(ana.identity_id).await, ["identity.created"]);
    assert_eq!(members(&world, &staff).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_group_in_a_group_is_stored_and_removed_by_its_id() {
    let world = World::new().await;
    let inner = world.sync.create_group(&cause("okta"), &group("inner"), &[]).await.unwrap();
    let nested = vec![(inner.native_id.clone(), true)];
    let outer = world.sync.create_group(&cause("okta"), &group("outer"), &nested).await.unwrap();
    assert_eq!(world.sync.members(outer.id).await.unwrap(), nested);
    patch(&world, &outer, MemberChange::Add(nested.clone())).await;
    assert_eq!(world.sync.members(outer.id).await.unwrap(), nested, "once");
    patch(&world, &outer, MemberChange::Remove(vec![inner.native_id])).await;
    assert_eq!(world.sync.members(outer.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_deleted_group_leaves_the_groups_that_it_was_in() {
    let world = World::new().await;
    let inner = world.sync.create_group(&cause("okta"), &group("inner"), &[]).await.unwrap();
    let nested = vec![(inner.native_id.clone(), true)];
    let outer = world.sync.create_group(&cause("okta"), &group("outer"), &nested).await.unwrap();
    let elsewhere = world.sync.create_group(&cause("hr"), &group("outer"), &nested).await.unwrap();
    assert!(delete(&world, &inner).await);
    assert_eq!(world.sync.members(outer.id).await.unwrap(), []);
    let after = world.sync.group("okta", &outer.native_id).await.unwrap().unwrap();
    assert!(after.revision > outer.revision, "a reader sees another group than before");
    assert_eq!(world.sync.members(elsewhere.id).await.unwrap(), nested, "another source means another group");
}

#[tokio::test]
async fn a_name_sent_again_makes_no_event_and_a_new_name_one() {
    let world = World::new().await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    patch(&world, &staff, MemberChange::Add(vec![])).await;
    assert_eq!(world.history(staff.id).await, ["group.created"]);
    let renamed = |row: &GroupRow| Ok(GroupFacts { display_name: "prod-db".to_owned(), ..unchanged(row)? });
    let row = change(&world, &staff, renamed, &[]).await;
    assert!(row.privileged);
    assert_eq!(world.history(staff.id).await, ["group.created", "group.updated"]);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_group_renamed_out_of_privilege_in_the_same_breath_still_counts_as_lost() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &users(&[&ana.native_id])).await.unwrap();
    let renamed = |row: &GroupRow| Ok(GroupFacts { display_name: "old".to_owned(), ..unchanged(row)? });
    let row = change(&world, &admins, renamed, &[MemberChange::RemoveAll]).await;
    assert!(!row.privileged);
    let lost = world.told_of(ana.identity_id).await.pop().unwrap();
    assert_eq!((lost.what.as_str(), lost.lane, &lost.data()["privileged"]), ("membership.removed", 0, &json!(true)));
}

#[tokio::test]
async fn a_deleted_group_is_lost_by_each_of_its_members() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &users(&[&ana.native_id])).await.unwrap();
    assert!(delete(&world, &admins).await);
    assert!(!delete(&world, &admins).await);
    assert_eq!(world.history(admins.id).await, ["group.created", "group.deleted"]);
    assert_eq!(world.history(ana.identity_id).await.last().unwrap(), "membership.removed");
    assert!(world.sync.group("okta", &admins.native_id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_memberships_of_an_inactive_user_are_kept_and_of_a_deleted_one_are_not() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &users(&[&ana.native_id])).await.unwrap();
    world.set("okta", &ana.native_id, Standing::Inactive).await;
    assert_eq!(members(&world, &admins).await, sorted(&[&ana.native_id]));

    world.delete("okta", PLENTY, &ana.native_id).await;
    assert_eq!(members(&world, &admins).await, Vec::<String>::new());
    let back = world.create("okta", person("ana")).await;
    assert_eq!(back.native_id, ana.native_id);
    assert_eq!(members(&world, &admins).await, Vec::<String>::new(), "a rehire is not an administrator by memory");
    assert!(world.history(ana.identity_id).await.contains(&"membership.removed".to_owned()));
}

#[tokio::test]
async fn the_loss_of_a_large_group_goes_by_the_bulk_lane() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..101 {
        ids.push((world.create("okta", person(&format!("p{n}"))).await.native_id, false));
    }
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &ids).await.unwrap();
    patch(&world, &admins, MemberChange::RemoveAll).await;
    let bulk = "SELECT count(*) FROM ledger.events WHERE type = 'membership.removed' AND lane = 1 AND class = 2";
    assert_eq!(world.ask::<i64>(bulk).await, 101, "a fan-out of more than a hundred");
}

#[tokio::test]
async fn b1_28_only_what_a_reader_sees_is_a_new_revision() {
    let world = World::new().await;
    let (ana, bob) = (world.create("okta", person("ana")).await, world.create("okta", person("bob")).await);
    let (ana, bob, late) = (&ana.native_id, &bob.native_id, &"E-7".to_owned());
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &users(&[ana, late])).await.unwrap();
    let told = world.told().await.len();
    for same in [
        MemberChange::Add(users(&[ana, late])),
        MemberChange::Remove(vec![bob.clone()]),
        MemberChange::Replace(users(&[late, ana])),
        MemberChange::Add(vec![]),
    ] {
        let row = patch(&world, &staff, same.clone()).await;
        assert_eq!((row.revision, row.changed_at), (staff.revision, staff.changed_at), "{same:?}");
    }
    assert_eq!(world.told().await.len(), told);
    let mut last = staff.revision;
    for other in [
        MemberChange::Add(users(&[bob])),
        MemberChange::Remove(vec![late.clone()]),
        MemberChange::Replace(users(&[bob])),
        MemberChange::RemoveAll,
    ] {
        let row = patch(&world, &staff, other.clone()).await;
        assert!(row.revision > last && row.version == staff.version, "{other:?}");
        last = row.revision;
    }
    patch(&world, &staff, MemberChange::Add(users(&[bob]))).await;
    let before = world.sync.group("okta", &staff.native_id).await.unwrap().unwrap().revision;
    world.delete("okta", PLENTY, bob).await;
    let after = world.sync.group("okta", &staff.native_id).await.unwrap().unwrap().revision;
    assert!(after > before, "a member is gone with its user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_a_revision_that_is_over_changes_nothing() {
    let world = World::new().await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let writers = (0..8).map(|n| {
        let (world, staff) = (&world, &staff);
        async move {
            let read = staff.revision;
            let mine = move |row: &GroupRow| {
                let facts = GroupFacts { external_id: Some(n.to_string()), ..unchanged(row).unwrap() };
                if row.revision == read { Ok(facts) } else { Err("changed since") }
            };
            world.sync.change_group(&cause("okta"), FREE, &staff.native_id, mine, &[]).await.unwrap().unwrap().is_ok()
        }
    });
    let done = futures::future::join_all(writers).await;
    assert_eq!(done.iter().filter(|ok| **ok).count(), 1, "all had read the same revision");
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_27_writers_of_the_same_members_agree_and_each_change_is_told_once() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(world.create("okta", person(&format!("p{n}"))).await.native_id);
    }
    let all: Vec<&String> = ids.iter().collect();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let both = world.sync.create_group(&cause("okta"), &group("both"), &users(&all)).await.unwrap();
    let writers = (0..8).map(|n| {
        let (world, staff, both, mut mine) = (&world, &staff, &both, all.clone());
        async move {
            // Each in another order, and in two groups: nobody waits in a circle.
            mine.rotate_left(n % 6);
            patch(world, staff, MemberChange::Add(users(&mine))).await;
            patch(world, both, MemberChange::Remove(vec![mine[0].clone()])).await;
            patch(world, staff, MemberChange::Replace(users(&mine))).await;
        }
    });
    futures::future::join_all(writers).await;
    assert_eq!(members(&world, &staff).await, sorted(&all));
    assert_eq!(members(&world, &both).await, Vec::<String>::new());
    let count = async |what: &str| world.told().await.iter().filter(|t| t.what == what).count();
    assert_eq!((count("membership.added").await, count("membership.removed").await), (12, 6));
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_26_a_member_that_arrives_while_it_is_named_is_bound() {
    let world = World::new().await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let pairs = (0..16).map(|n| {
        let (world, staff) = (&world, &staff);
        async move {
            let name = format!("E-{n}");
            let facts = AccountFacts { external_id: Some(name.clone()), ..person(&format!("p{n}")) };
            let named = [(name, false)];
            let named = patch(world, staff, MemberChange::Add(named.to_vec()));
            futures::future::join(named, world.create("okta", facts)).await.1.native_id
        }
    });
    let mut ids = futures::future::join_all(pairs).await;
    ids.sort();
    assert_eq!(members(&world, &staff).await, ids, "whoever came first");
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.pending_members").await, 0);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn b1_26_a_group_that_is_not_stated_to_be_one_is_no_user_to_come() {
    let world = World::new().await;
    let inner = world.sync.create_group(&cause("okta"), &group("inner"), &[]).await.unwrap();
    let outer = world.sync.create_group(&cause("okta"), &group("outer"), &users(&[&inner.native_id])).await.unwrap();
    assert_eq!(world.sync.members(outer.id).await.unwrap(), [(inner.native_id.clone(), true)]);
    let again = patch(&world, &outer, MemberChange::Replace(users(&[&inner.native_id]))).await;
    assert_eq!(world.sync.members(outer.id).await.unwrap(), [(inner.native_id.clone(), true)]);
    assert_eq!(again.revision, outer.revision, "the same set");
    patch(&world, &outer, MemberChange::Replace(vec![])).await;
    assert_eq!(world.sync.members(outer.id).await.unwrap(), []);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.pending_members").await, 0);
}

#[tokio::test]
async fn a_deleted_user_who_is_named_and_then_returns_is_a_member() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.delete("okta", PLENTY, &ana.native_id).await;
    let twice = users(&[&ana.native_id, &"E-7".to_owned()]);
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &twice).await.unwrap();
    let back = world.create("okta", known_as("E-7", "ana")).await;
    assert_eq!(back.native_id, ana.native_id);
    assert_eq!(world.sync.members(staff.id).await.unwrap(), [(ana.native_id, false)]);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.memberships WHERE counted").await, 1);
    let joined = world.history(ana.identity_id).await.into_iter().filter(|what| what == "membership.added").count();
    assert_eq!(joined, 1, "named twice, and told once");
}

#[tokio::test]
async fn b1_20_the_memberships_of_an_inactive_user_are_in_force_when_it_returns() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.sync.create_group(&cause("okta"), &group("admins"), &users(&[&ana.native_id])).await.unwrap();
    for standing in [Standing::Inactive, Standing::Active] {
        world.set("okta", &ana.native_id, standing).await;
        let detail = world.console.identity_detail(ana.identity_id).await.unwrap().unwrap();
        assert_eq!(detail.groups, ["admins"], "{standing}");
    }
    assert!(!world.history(ana.identity_id).await.contains(&"membership.removed".to_owned()));
}
