//! Groups as a SCIM client changes them: set operations, idempotent, and exact under many writers at once.

use std::convert::Infallible;

use directory::{GroupRow, MemberChange};
use lifecycle::{GroupFacts, Standing};
use serde_json::json;

use crate::world::{FREE, PLENTY, World, cause, person};

fn group(name: &str) -> GroupFacts {
    GroupFacts {
        native_id: directory::new_id(),
        external_id: None,
        display_name: name.to_owned(),
        attributes: json!({}),
    }
}

fn unchanged(row: &GroupRow) -> Result<GroupFacts, Infallible> {
    Ok(GroupFacts {
        native_id: row.native_id.clone(),
        external_id: row.external_id.clone(),
        display_name: row.display_name.clone(),
        attributes: row.attributes.clone(),
    })
}

async fn change(
    world: &World,
    group: &GroupRow,
    facts: impl Fn(&GroupRow) -> Result<GroupFacts, Infallible> + Sync,
    members: &[MemberChange],
) -> GroupRow {
    let changed = world.sync.change_group(&cause("okta"), FREE, &group.native_id, facts, members).await.unwrap();
    changed.expect("the group is there").unwrap().row
}

fn users(ids: &[&String]) -> Vec<(String, bool)> {
    ids.iter().map(|id| ((*id).clone(), false)).collect()
}

async fn patch(world: &World, group: &GroupRow, members: MemberChange) -> GroupRow {
    change(world, group, unchanged, &[members]).await
}

async fn delete(world: &World, group: &GroupRow) -> bool {
    let any = |_: &GroupRow| Ok::<_, Infallible>(());
    world.sync.delete_group(&cause("okta"), FREE, &group.native_id, any).await.unwrap().is_some()
}

async fn members(world: &World, group: &GroupRow) -> Vec<String> {
    let mut members: Vec<String> = world.sync.members(group.id).await.unwrap().into_iter().map(|(id, _)| id).collect();
    members.sort();
    members
}

fn sorted(ids: &[&String]) -> Vec<String> {
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

    world.sync.delete_user(&cause("okta"), PLENTY, &ana.native_id).await.unwrap();
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
