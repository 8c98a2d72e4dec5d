//! Memberships that a pulled source states beside its accounts, and the loss of privileged ones, which the brake may hold.

use lifecycle::AccountFacts;
use lifecycle::brake::Counts;

use crate::world::{Told, World, in_groups, person};

fn ana(groups: &[&str]) -> AccountFacts {
    in_groups(groups, person("ana"))
}

/// (type, group's name, lane, privileged) of ana's membership events.
async fn memberships(world: &World) -> Vec<(String, String, i16, bool)> {
    let told: Vec<Told> = world.told_of(world.who("ana").await.id).await;
    let mut all = Vec::new();
    for event in told.into_iter().filter(|t| t.what.starts_with("membership.")) {
        let name: String = sqlx::query_scalar("SELECT display_name FROM directory.groups WHERE id::text = $1")
            .bind(event.data()["group"].as_str().unwrap())
            .fetch_one(&world.owner)
            .await
            .unwrap();
        let privileged = event.data()["privileged"].as_bool().unwrap();
        all.push((event.what, name, event.lane, privileged));
    }
    all
}

fn row(what: &str, group: &str, lane: i16, privileged: bool) -> (String, String, i16, bool) {
    (format!("membership.{what}"), group.to_owned(), lane, privileged)
}

#[tokio::test]
async fn a_lost_group_counts_at_once_and_a_lost_privileged_one_waits() {
    let world = World::new().await;
    world.pull("hr", &[ana(&["staff", "admins", "prod-db"])]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[ana(&["prod-db"])]).await;
    assert_eq!(memberships(&world).await, [row("removed", "staff", 1, false)]);
    assert_eq!(world.waiting("hr").await, Counts { privileged_loss: 1, ..Counts::default() });

    world.sync.release_all(&run.cause, &run.fence).await.unwrap();
    assert_eq!(memberships(&world).await[1..], [row("removed", "admins", 0, true)], "and is urgent");
    assert_eq!(world.waiting("hr").await, Counts::default());
}

#[tokio::test]
async fn a_held_loss_can_be_approved_or_taken_back() {
    let world = World::new().await;
    world.pull("hr", &[ana(&["admins"])]).await;
    let plan = world.pull_and_hold("hr", &[ana(&[])]).await;
    assert_eq!(memberships(&world).await, []);
    assert_eq!(world.console.identity_detail(world.who("ana").await.id).await.unwrap().unwrap().groups, ["admins"]);
    assert_eq!(world.approve(plan).await, (1, 0));
    assert_eq!(memberships(&world).await, [row("removed", "admins", 0, true)]);

    world.pull("hr", &[ana(&["admins"])]).await;
    let plan = world.pull_and_hold("hr", &[ana(&[])]).await;
    let run = world.begin("hr").await;
    run.read(&world, &[ana(&["admins"])]).await;
    assert_eq!(world.waiting("hr").await.privileged_loss, 0, "the source states it again");
    assert_eq!(world.approve(plan).await, (0, 1));
    let said: Vec<String> = memberships(&world).await.into_iter().map(|m| m.0).collect();
    assert_eq!(said, ["membership.removed", "membership.added"], "what was held and taken back was never told");
}

#[tokio::test]
async fn groups_come_from_the_names_once_each() {
    let world = World::new().await;
    let page = [ana(&["admins", "staff"]), in_groups(&["staff"], person("bob"))];
    world.pull("hr", &page).await;
    world.pull("hr", &page).await;
    let (groups, told): (i64, i64) = (
        world.ask("SELECT count(*) FROM directory.groups").await,
        world.ask("SELECT count(*) FROM ledger.events WHERE type = 'group.created'").await,
    );
    assert_eq!((groups, told), (2, 2));
    let privileged: String = world.ask("SELECT display_name FROM directory.groups WHERE privileged").await;
    assert_eq!(privileged, "admins");
}

#[tokio::test]
async fn a_source_that_does_not_speak_of_groups_takes_none_away() {
    let world = World::new().await;
    world.pull("hr", &[ana(&["admins"])]).await;
    world.pull("hr", &[AccountFacts { external_id: Some("7".to_owned()), ..person("ana") }]).await;
    assert_eq!(world.waiting("hr").await, Counts::default());
    assert_eq!(memberships(&world).await, []);
}
