//! Changes of more members than one transaction may have: the set is a fact at once, and each member's event follows in a chunk.

use directory::{FanOut, GroupBrake, GroupRow, MemberChange};
use lifecycle::AccountFacts;
use lifecycle::brake::Limits;

use crate::groups::{group, patch, unchanged};
use crate::world::{World, cause, person};

const MANY: usize = 2_300;

async fn everybody(world: &World) -> Vec<(String, bool)> {
    let people: Vec<AccountFacts> = (0..MANY).map(|n| person(&format!("p{n}"))).collect();
    world.pull("okta", &people).await;
    people.into_iter().map(|p| (p.native_id, false)).collect()
}

async fn size(world: &World, group: &GroupRow) -> usize {
    world.sync.members(group.id).await.unwrap().len()
}

/// (added, removed)
async fn told(world: &World) -> (i64, i64) {
    let added = "SELECT count(*) FROM ledger.events WHERE type = 'membership.added'";
    let removed = "SELECT count(*) FROM ledger.events WHERE type = 'membership.removed'";
    (world.ask(added).await, world.ask(removed).await)
}

async fn work_off(world: &World) -> Vec<usize> {
    let mut chunks = Vec::new();
    while let Some(done) = world.sync.fan_out().await.unwrap() {
        match done {
            FanOut::Worked(chunk) => chunks.push(chunk),
            FanOut::Failed { error, .. } => panic!("{error:?}"),
        }
    }
    assert!(!world.sync.fans_out().await.unwrap());
    chunks
}

#[tokio::test]
async fn a_first_push_of_many_members_is_read_at_once_and_told_in_chunks() {
    let world = World::new().await;
    let all = everybody(&world).await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    patch(&world, &staff, MemberChange::Replace(all.clone())).await;
    assert_eq!((size(&world, &staff).await, told(&world).await), (MANY, (0, 0)));
    assert!(matches!(world.sync.fan_out().await.unwrap(), Some(FanOut::Worked(1_000))));
    assert_eq!(told(&world).await, (1_000, 0), "a crash here leaves the rest to the next start");

    // What is said meanwhile goes before: one of them leaves, and who was never told to be in leaves without a word.
    let waits = "SELECT a.native_id FROM directory.memberships m JOIN directory.accounts a ON a.id = m.account_id
                 WHERE NOT m.counted LIMIT 1";
    let unheard: String = world.ask(waits).await;
    let counts = "SELECT a.native_id FROM directory.memberships m JOIN directory.accounts a ON a.id = m.account_id
                  WHERE m.counted LIMIT 1";
    let heard: String = world.ask(counts).await;
    patch(&world, &staff, MemberChange::Remove(vec![unheard, heard])).await;
    assert_eq!(told(&world).await, (1_000, 1));
    assert_eq!(work_off(&world).await, [1_000, 299]);
    assert_eq!((size(&world, &staff).await, told(&world).await), (MANY - 2, (2_299, 1)));
    let bulk = "SELECT count(*) FROM ledger.events WHERE type = 'membership.added' AND lane = 1 AND class = 2";
    assert_eq!(world.ask::<i64>(bulk).await, 2_299);

    // The same with one change is one change.
    let others: Vec<(String, bool)> = all[..MANY - 2].to_vec();
    patch(&world, &staff, MemberChange::Replace(others.clone())).await;
    work_off(&world).await;
    let before = told(&world).await;
    patch(&world, &staff, MemberChange::Replace(others[1..].to_vec())).await;
    assert!(!world.sync.fans_out().await.unwrap());
    assert_eq!(told(&world).await, (before.0, before.1 + 1));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn many_who_leave_within_the_brake_are_told_in_chunks_and_may_come_back_before_it() {
    let world = World::new().await;
    let all = everybody(&world).await;
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &all).await.unwrap();
    assert_eq!(work_off(&world).await, [1_000, 1_000, 300]);
    patch(&world, &admins, MemberChange::RemoveAll).await;
    assert_eq!((size(&world, &admins).await, told(&world).await), (0, (2_300, 0)));
    assert!(matches!(world.sync.fan_out().await.unwrap(), Some(FanOut::Worked(1_000))));
    patch(&world, &admins, MemberChange::Replace(all)).await;
    // 1,300 never left; 1,000 join anew.
    work_off(&world).await;
    assert_eq!((size(&world, &admins).await, told(&world).await), (MANY, (3_300, 1_000)));
    let privileged = "SELECT count(*) FROM ledger.events WHERE type = 'membership.removed'
                      AND (body::jsonb -> 'data' ->> 'privileged')::bool";
    assert_eq!(world.ask::<i64>(privileged).await, 1_000);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_held_removal_of_many_is_approved_in_chunks() {
    let world = World::new().await;
    let all = everybody(&world).await;
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &all).await.unwrap();
    work_off(&world).await;
    let brake = GroupBrake { limits: Limits::default(), burst: 50 };
    let change = [MemberChange::RemoveAll];
    let done = world.sync.change_group(&cause("okta"), brake, &staff.native_id, unchanged, &change).await;
    let plan = done.unwrap().unwrap().unwrap().held.expect("more than 115 of 2,300");
    assert!(!world.sync.fans_out().await.unwrap());
    assert_eq!((size(&world, &staff).await, told(&world).await), (0, (2_300, 0)));
    assert_eq!(world.approve(plan).await, (MANY, 0));
    assert_eq!(told(&world).await, (2_300, 2_300));
    let largest = "SELECT max(n) FROM (SELECT count(*) AS n FROM ledger.events WHERE type LIKE 'membership.%'
                                       GROUP BY xid) AS t";
    assert_eq!(world.ask::<i64>(largest).await, 1_000, "at most so many subjects in a transaction");
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_fan_out_that_keeps_failing_holds_up_no_other() {
    let world = World::new().await;
    let all = everybody(&world).await;
    let broken = world.sync.create_group(&cause("okta"), &group("broken"), &all).await.unwrap();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &all).await.unwrap();
    let fault = format!(
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$;
         CREATE TRIGGER fault BEFORE UPDATE ON directory.memberships FOR EACH ROW
         WHEN (NEW.group_id = '{}') EXECUTE FUNCTION fault()",
        broken.id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(fault)).execute(&world.owner).await.unwrap();
    let fails = async || match world.sync.fan_out().await.unwrap() {
        Some(FanOut::Failed { group, news, .. }) => (group, news),
        other => panic!("{other:?}"),
    };
    assert_eq!(fails().await, (broken.id, true));
    // However long the other takes, this one is not due again meanwhile.
    let later = "UPDATE directory.fan_outs SET due_at = due_at + interval '1 hour' WHERE failures > 0";
    sqlx::query(later).execute(&world.owner).await.unwrap();
    assert_eq!(work_off(&world).await, [1_000, 1_000, 300]);
    assert_eq!(told(&world).await.0, 2_300, "staff alone");

    let due = "UPDATE directory.fan_outs SET due_at = clock_timestamp()";
    sqlx::query(due).execute(&world.owner).await.unwrap();
    assert_eq!(fails().await, (broken.id, false), "for the same reason");
    let (failures, error, waits): (i32, String, bool) =
        sqlx::query_as("SELECT failures, error, due_at > clock_timestamp() FROM directory.fan_outs")
            .fetch_one(&world.owner)
            .await
            .unwrap();
    assert_eq!((failures, error.as_str(), waits), (2, "the database refused a statement: 22012", true));

    sqlx::raw_sql("DROP TRIGGER fault ON directory.memberships").execute(&world.owner).await.unwrap();
    sqlx::query(due).execute(&world.owner).await.unwrap();
    assert!(matches!(world.sync.fan_out().await.unwrap(), Some(FanOut::Worked(1_000))));
    assert_eq!(world.ask::<i32>("SELECT failures FROM directory.fan_outs").await, 0);
    assert_eq!(work_off(&world).await, [1_000, 300]);
    assert_eq!((size(&world, &broken).await, size(&world, &staff).await, told(&world).await), (MANY, MANY, (4_600, 0)));
    world.assert_clean_ledger().await;
}
