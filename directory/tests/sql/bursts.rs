//! Bursts: of many deactivations pushed at once the first apply and the rest wait for a person.

use std::convert::Infallible;
use std::time::Duration;

use directory::{AccountRow, Burst};
use lifecycle::brake::Counts;
use lifecycle::{AccountFacts, Standing};
use serde_json::json;

use crate::world::{World, cause, person, standing};

const TWO: Burst = Burst { count: 2, window: Duration::from_secs(3_600) };
/// A window that is over as soon as it began.
const OVER: Burst = Burst { count: 1, window: Duration::ZERO };

async fn deactivate(world: &World, account: &AccountRow, burst: Burst) -> AccountRow {
    say(world, account, burst, &standing(Standing::Inactive, person(account.profile.user_name.as_deref().unwrap())))
        .await
}

async fn say(world: &World, account: &AccountRow, burst: Burst, facts: &AccountFacts) -> AccountRow {
    let native_id = account.native_id.clone();
    let says = AccountFacts { native_id: native_id.clone(), ..facts.clone() };
    let change = move |_: &AccountRow| Ok::<_, Infallible>(says.clone());
    world.sync.change_user(&cause("okta"), burst, &native_id, change).await.unwrap().unwrap().unwrap().account
}

#[tokio::test]
async fn what_goes_beyond_the_burst_waits_and_is_approved_as_a_plan() {
    let world = World::new().await;
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    for person in &people[..3] {
        deactivate(&world, person, TWO).await;
    }
    assert!(world.delete("okta", TWO, &people[3].native_id).await);
    let mut states = Vec::new();
    for person in &people {
        states.push(world.identity(person.identity_id).await.state);
    }
    assert_eq!(states, ["suspended", "suspended", "active", "active"]);
    assert_eq!(world.waiting("okta").await, Counts { disable: 1, delete: 1, ..Counts::default() });
    assert_eq!(world.sync.unplanned("okta").await.unwrap(), 2);

    let plan = world.sync.hold(&cause("okta"), None, &Counts::default(), &[], 0, "push").await.unwrap().plan;
    assert_eq!(world.sync.unplanned("okta").await.unwrap(), 0);
    assert_eq!(world.approve(plan).await, (2, 0));
    assert_eq!(world.identity(people[2].identity_id).await.state, "suspended");
    assert_eq!(world.identity(people[3].identity_id).await.state, "departed");
}

#[tokio::test]
async fn a_new_window_is_a_new_burst() {
    let world = World::new().await;
    for n in 0..3 {
        let account = world.create("okta", person(&format!("p{n}"))).await;
        deactivate(&world, &account, OVER).await;
        assert_eq!(world.identity(account.identity_id).await.state, "suspended");
    }
}

#[tokio::test]
async fn a_held_deactivation_does_not_slip_through_when_the_window_is_over() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let none = Burst { count: 0, ..TWO };
    deactivate(&world, &ana, none).await;
    let more = AccountFacts { attributes: json!({"desk": 7}), ..standing(Standing::Inactive, person("ana")) };
    say(&world, &ana, OVER, &more).await;
    assert_eq!(world.identity(ana.identity_id).await.state, "active", "nobody has let it through");
    assert_eq!(world.waiting("okta").await.disable, 1);
    say(&world, &ana, none, &person("ana")).await;
    assert_eq!(world.waiting("okta").await.disable, 0, "and the source may take it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_the_same_moment_share_one_burst() {
    let world = World::new().await;
    let mut people = Vec::new();
    for n in 0..8 {
        people.push(world.create("okta", person(&format!("p{n}"))).await);
    }
    futures::future::join_all(people.iter().map(|p| deactivate(&world, p, TWO))).await;
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.identities WHERE state = 'suspended'").await, 2);
    assert_eq!(world.waiting("okta").await.disable, 6);
}
