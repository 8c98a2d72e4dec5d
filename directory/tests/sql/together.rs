//! Writes and calls of SCIM clients that arrive at the same moment share a transaction, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use directory::{AccountRow, Burst, Cause, Error, GroupRow, MemberChange};
use lifecycle::{AccountFacts, GroupFacts, Standing};
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;

use crate::groups::{group, members, unchanged};
use crate::world::{FREE, PLENTY, World, cause, person, standing};

/// A request of its own, known by its trace.
fn traced(n: usize) -> Cause {
    Cause { trace: Some(format!("00-{n:032x}-0000000000000001-01")), ..cause("okta") }
}

type Posted = JoinHandle<Result<AccountRow, Error>>;

fn post(world: &World, n: usize, facts: AccountFacts) -> Posted {
    let (sync, facts) = (world.sync.clone(), AccountFacts { native_id: directory::new_id(), ..facts });
    tokio::spawn(async move { Ok(sync.create_user(&traced(n), PLENTY, &facts).await?.account) })
}

fn deactivate(world: &World, account: &AccountRow, burst: Burst) -> Posted {
    let (sync, id) = (world.sync.clone(), account.native_id.clone());
    let facts = standing(Standing::Inactive, person(account.profile.user_name.as_deref().unwrap()));
    let facts = AccountFacts { native_id: id.clone(), ..facts };
    let change = move |_: &AccountRow| Ok::<_, std::convert::Infallible>(facts.clone());
    tokio::spawn(
        async move { Ok(sync.change_user(&cause("okta"), burst, &id, change).await?.unwrap().unwrap().account) },
    )
}

/// Nobody writes an account before this ends.
async fn nobody_writes(world: &World) -> Transaction<'static, Postgres> {
    let mut tx = world.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE directory.accounts IN EXCLUSIVE MODE").execute(&mut *tx).await.unwrap();
    tx
}

/// Until so many connections wait for a lock.
async fn wait_for_waiters(world: &World, count: i64) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let until = async {
        while world.ask::<i64>(waiting).await < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until).await.expect("somebody waits for a lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_come_while_others_are_written_are_written_together_each_under_its_own_trace() {
    let world = World::new().await;
    let held = nobody_writes(&world).await;
    let mut posts: Vec<Posted> = (0..2).map(|n| post(&world, n, person(&format!("p{n}")))).collect();
    wait_for_waiters(&world, 1).await;
    posts.extend((2..30).map(|n| post(&world, n, person(&format!("p{n}")))));
    tokio::task::yield_now().await;
    held.rollback().await.unwrap();
    for (n, posted) in posts.into_iter().enumerate() {
        let row = posted.await.unwrap().unwrap();
        assert_eq!(row.profile.user_name.as_deref(), Some(format!("p{n}").as_str()), "each is answered its own row");
        let trace: Option<String> = sqlx::query_scalar("SELECT trace FROM ledger.events WHERE subject_id = $1")
            .bind(row.identity_id)
            .fetch_one(&world.owner)
            .await
            .unwrap();
        assert_eq!(trace, traced(n).trace);
    }
    let transactions = world.ask::<i64>("SELECT count(DISTINCT xid) FROM ledger.events").await;
    assert!(transactions < 15, "{transactions} transactions for 30 people");
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_refused_and_spoils_nothing_that_came_with_it() {
    let world = World::new().await;
    world.create("okta", person("taken")).await;
    let held = nobody_writes(&world).await;
    let mut posts: Vec<Posted> = (0..2).map(|n| post(&world, n, person(&format!("p{n}")))).collect();
    wait_for_waiters(&world, 1).await;
    posts.push(post(&world, 2, person("nul\0")));
    posts.push(post(&world, 3, person("TAKEN")));
    posts.extend((4..8).map(|n| post(&world, n, person(&format!("p{n}")))));
    held.rollback().await.unwrap();
    for (n, posted) in posts.into_iter().enumerate() {
        match (n, posted.await.unwrap()) {
            (2, Err(Error::Unstorable { .. })) | (3, Err(Error::Taken { .. })) => {}
            (2 | 3, other) => panic!("{n}: {other:?}"),
            (_, other) => drop(other.unwrap()),
        }
    }
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.accounts").await, 7);
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_delays_nobody_but_its_own_writer() {
    let world = World::new().await;
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    let mut holder = world.owner.begin().await.unwrap();
    // As many as there are transactions of one line at a time, and one more.
    let held: Vec<uuid::Uuid> = people[..3].iter().map(|person| person.id).collect();
    sqlx::query("SELECT FROM directory.accounts WHERE id = ANY($1) FOR UPDATE")
        .bind(held)
        .execute(&mut *holder)
        .await
        .unwrap();
    let waits: Vec<Posted> = people[..3].iter().map(|person| deactivate(&world, person, PLENTY)).collect();
    wait_for_waiters(&world, 2).await;
    for person in &people[3..] {
        let answered = tokio::time::timeout(Duration::from_secs(60), deactivate(&world, person, PLENTY)).await;
        assert_eq!(answered.expect("nobody holds this one").unwrap().unwrap().fact, Standing::Inactive);
    }
    assert!(waits.iter().all(|waits| !waits.is_finished()));
    holder.rollback().await.unwrap();
    for waits in waits {
        assert_eq!(waits.await.unwrap().unwrap().fact, Standing::Inactive);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_done_again_spends_the_burst_once() {
    let world = World::new().await;
    let burst = Burst { count: 8, window: Duration::from_secs(3_600) };
    let mut people = Vec::new();
    for n in 0..8 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    // The first tries fail, as if another writer were in the way.
    let fault = "CREATE SEQUENCE faults; GRANT USAGE ON SEQUENCE faults TO PUBLIC;
         CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('faults') <= 4 THEN RAISE serialization_failure; END IF; RETURN NEW; END $$;
         CREATE TRIGGER fault BEFORE UPDATE ON directory.identities FOR EACH ROW EXECUTE FUNCTION fault()";
    sqlx::raw_sql(fault).execute(&world.owner).await.unwrap();
    let changes: Vec<Posted> = people.iter().map(|person| deactivate(&world, person, burst)).collect();
    for change in changes {
        change.await.unwrap().unwrap();
    }
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.identities WHERE state = 'suspended'").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_takes_nothing_from_the_others() {
    let world = Arc::new(World::new().await);
    let held = nobody_writes(&world).await;
    let posts: Vec<Posted> = (0..6).map(|n| post(&world, n, person(&format!("p{n}")))).collect();
    wait_for_waiters(&world, 1).await;
    posts[0].abort();
    posts[3].abort();
    held.rollback().await.unwrap();
    for (n, posted) in posts.into_iter().enumerate().filter(|(n, _)| ![0, 3].contains(n)) {
        assert!(posted.await.unwrap().is_ok(), "{n}");
    }
}

type Called = JoinHandle<Option<GroupRow>>;

/// A call that is refused where the group is at another revision than `only_at`.
fn call(world: &World, n: usize, group: &GroupRow, only_at: Option<i64>, change: MemberChange) -> Called {
    let (sync, id) = (world.sync.clone(), group.native_id.clone());
    let facts = move |row: &GroupRow| -> Result<GroupFacts, ()> {
        if only_at.is_some_and(|wanted| wanted != row.revision) { Err(()) } else { Ok(unchanged(row).unwrap()) }
    };
    tokio::spawn(async move {
        let done = sync.change_group(&traced(n), FREE, &id, facts, &[change]).await.unwrap().unwrap();
        done.ok().map(|changed| changed.row)
    })
}

fn add(account: &AccountRow) -> MemberChange {
    MemberChange::Add(vec![(account.native_id.clone(), false)])
}

fn remove(account: &AccountRow) -> MemberChange {
    MemberChange::Remove(vec![account.native_id.clone()])
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_on_one_group_go_together_and_each_has_its_revision_and_its_trace() {
    let world = World::new().await;
    let mut people = Vec::new();
    for n in 0..20 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    let first: Vec<(String, bool)> = people[..10].iter().map(|p| (p.native_id.clone(), false)).collect();
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &first).await.unwrap();
    let mut held = world.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM directory.groups FOR UPDATE").execute(&mut *held).await.unwrap();
    let mut calls = vec![call(&world, 0, &staff, None, remove(&people[0]))];
    wait_for_waiters(&world, 1).await;
    for (n, person) in people.iter().enumerate().skip(1) {
        calls.push(call(&world, n, &staff, None, if n < 10 { remove(person) } else { add(person) }));
    }
    tokio::task::yield_now().await;
    held.rollback().await.unwrap();
    let mut revisions = Vec::new();
    for called in calls {
        revisions.push(called.await.unwrap().unwrap().revision);
    }
    revisions.sort_unstable();
    assert_eq!(revisions, Vec::from_iter(staff.revision + 1..=staff.revision + 20), "no two clients hold the same one");
    let mut there: Vec<String> = people[10..].iter().map(|p| p.native_id.clone()).collect();
    there.sort();
    assert_eq!(members(&world, &staff).await, there);
    for (n, person) in people.iter().enumerate() {
        let trace: Option<String> =
            sqlx::query_scalar("SELECT trace FROM ledger.events WHERE subject_id = $1 ORDER BY id DESC LIMIT 1")
                .bind(person.identity_id)
                .fetch_one(&world.owner)
                .await
                .unwrap();
        assert_eq!(trace, traced(n).trace, "{n}");
    }
    let transactions = "SELECT count(DISTINCT xid) FROM ledger.events WHERE trace IS NOT NULL";
    assert!(world.ask::<i64>(transactions).await < 10);
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_calls_that_want_the_group_as_they_read_it_one_succeeds_however_they_come() {
    let world = World::new().await;
    let mut people = Vec::new();
    for n in 0..8 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let mut held = world.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM directory.groups FOR UPDATE").execute(&mut *held).await.unwrap();
    // The first is written alone; the others come together, and want it as the first leaves it.
    let first = call(&world, 0, &staff, None, add(&people[0]));
    wait_for_waiters(&world, 1).await;
    let wanted = Some(staff.revision + 1);
    let calls: Vec<Called> = (1..8).map(|n| call(&world, n, &staff, wanted, add(&people[n]))).collect();
    tokio::task::yield_now().await;
    held.rollback().await.unwrap();
    first.await.unwrap().unwrap();
    let mut done = 0;
    for called in calls {
        done += usize::from(called.await.unwrap().is_some());
    }
    assert_eq!((done, members(&world, &staff).await.len()), (1, 2));
}

#[tokio::test]
async fn what_is_said_of_one_member_twice_is_done_in_the_order_in_which_it_was_said() {
    let world = World::new().await;
    let (ana, bob) = (world.create("okta", person("ana")).await, world.create("okta", person("bob")).await);
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &[]).await.unwrap();
    let mut held = world.owner.begin().await.unwrap();
    sqlx::query("SELECT FROM directory.groups FOR UPDATE").execute(&mut *held).await.unwrap();
    let mut calls = vec![call(&world, 0, &staff, None, add(&ana))];
    wait_for_waiters(&world, 1).await;
    for (n, change) in
        [add(&bob), remove(&bob), add(&bob), remove(&ana), add(&ana), remove(&ana)].into_iter().enumerate()
    {
        calls.push(call(&world, n + 1, &staff, None, change));
        // In the line before the next one comes.
        tokio::task::yield_now().await;
    }
    held.rollback().await.unwrap();
    for called in calls {
        called.await.unwrap();
    }
    assert_eq!(members(&world, &staff).await, [bob.native_id]);
}
