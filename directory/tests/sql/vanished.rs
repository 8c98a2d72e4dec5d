//! Groups that a complete snapshot no longer names: neither deleted by anybody's word, nor left by everybody.

use directory::Missing;
use lifecycle::{AccountFacts, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, in_groups, person, standing};

/// A complete run that is applied, at a source that has these groups as well.
async fn pull(world: &World, everybody: &[AccountFacts], listed: &[&str]) -> usize {
    let run = world.begin("hr").await;
    run.read(world, everybody).await;
    world.sync.release_all(&run.cause, &run.fence).await.unwrap();
    let listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
    let vanished = world.sync.vanish_groups(&run.cause, &run.fence, &listed).await.unwrap();
    run.finish(world, true).await;
    vanished
}

async fn group(world: &World, name: &str) -> Uuid {
    let query = "SELECT id FROM directory.groups WHERE display_name = $1";
    sqlx::query_scalar(query).bind(name).fetch_one(&world.owner).await.unwrap()
}

#[tokio::test]
async fn a_group_that_nobody_is_said_to_be_in_has_vanished_once_and_may_come_back() {
    let world = World::new().await;
    let both = [in_groups(&["admins", "staff"], person("ana")), in_groups(&["staff"], person("bob"))];
    assert_eq!(pull(&world, &both, &[]).await, 0);
    let one = [in_groups(&["staff"], person("ana")), in_groups(&["staff"], person("bob"))];
    assert_eq!(pull(&world, &one, &[]).await, 1);
    let admins = group(&world, "admins").await;
    let told = world.told_of(admins).await;
    let what: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
    assert_eq!(what, ["group.created", "group.vanished"]);
    assert_eq!(told[1].data(), &json!({"source": "hr", "privileged": true, "via": "test"}));
    let lost = world.told().await;
    let lost = lost.iter().find(|told| told.what == "membership.removed").unwrap();
    assert_eq!(lost.subject, world.who("hr:ana").await.id, "that she left it is said of her, as ever");

    assert_eq!(pull(&world, &one, &[]).await, 0, "once");
    assert_eq!(pull(&world, &both, &[]).await, 0);
    assert_eq!(world.history(admins).await, ["group.created", "group.vanished", "group.created"]);
    assert!(world.sync.group("hr", "admins").await.unwrap().is_some(), "it is the same one");
    assert_eq!(world.history(group(&world, "staff").await).await, ["group.created"]);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_group_that_everybody_has_left_is_there_as_long_as_its_source_lists_it() {
    let world = World::new().await;
    pull(&world, &[in_groups(&["staff"], person("ana"))], &["staff"]).await;
    assert_eq!(pull(&world, &[in_groups(&[], person("ana"))], &["staff"]).await, 0);
    assert_eq!(pull(&world, &[in_groups(&[], person("ana"))], &["other"]).await, 1);
}

#[tokio::test]
async fn who_is_missing_names_no_group_and_who_could_not_be_understood_still_does() {
    let world = World::new().await;
    let page = [in_groups(&["staff"], person("ana")), in_groups(&["ops"], person("bob"))];
    pull(&world, &page, &[]).await;
    let run = world.begin("hr").await;
    let mut roll = run.roll(&world).await;
    roll.saw(&["bob".to_owned()]);
    world.sync.mark_absent(&run.fence, Missing::Silent(&roll), Standing::Inactive).await.unwrap();
    assert_eq!(world.sync.vanish_groups(&run.cause, &run.fence, &[]).await.unwrap(), 1);
    assert_eq!(world.history(group(&world, "staff").await).await.last().unwrap(), "group.vanished");
    assert_eq!(world.history(group(&world, "ops").await).await, ["group.created"]);
}

#[tokio::test]
async fn whoever_is_suspended_keeps_a_group_from_vanishing() {
    let world = World::new().await;
    pull(&world, &[in_groups(&["staff"], person("ana"))], &[]).await;
    let suspended = standing(Standing::Inactive, in_groups(&["staff"], person("ana")));
    assert_eq!(pull(&world, &[suspended], &[]).await, 0);
}

#[tokio::test]
async fn more_groups_than_one_transaction_may_have_vanish_all_the_same() {
    let world = World::new().await;
    let names: Vec<String> = (0..1_001).map(|n| format!("g{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pull(&world, &[in_groups(&names, person("ana"))], &[]).await;
    assert_eq!(pull(&world, &[in_groups(&[], person("ana"))], &[]).await, 1_001);
    world.assert_clean_ledger().await;
}
