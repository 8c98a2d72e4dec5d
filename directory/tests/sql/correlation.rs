//! Which accounts are one person: found by the rules, never twice under concurrency, merged when found later.

use lifecycle::Standing;
use uuid::Uuid;

use crate::world::{Told, World, number, person, standing};

#[tokio::test]
async fn accounts_are_one_person_by_number_or_by_name_without_case() {
    let world = World::new().await;
    world.pull("hr", &[number("1", person("a.smith")), person("Bob")]).await;
    let by_number = world.create("okta", number("1", person("ana"))).await;
    let by_name = world.create("okta", person("BOB")).await;
    assert_eq!(by_number.identity_id, world.who("hr:a.smith").await.id);
    assert_eq!(by_name.identity_id, world.who("hr:Bob").await.id);
    let stranger = world.create("partner", number("1", person("bob"))).await;
    assert_eq!(world.identity(stranger.identity_id).await.accounts.len(), 1, "a source without rules links to nobody");
    let other = world.create("okta", number("2", person("a.smith"))).await;
    assert_ne!(other.identity_id, by_number.identity_id, "another number is another person, in spite of the name");
}

#[tokio::test]
async fn names_beyond_ascii_are_found_whatever_the_database_knows_of_their_case() {
    let world = World::new().await;
    world.pull("hr", &[person("ÅSA"), person("øyvind")]).await;
    let same = world.create("okta", person("ÅSA")).await;
    let lowered = world.create("okta", person("ØYVIND")).await;
    assert_eq!(same.identity_id, world.who("hr:ÅSA").await.id);
    assert_eq!(lowered.identity_id, world.who("hr:øyvind").await.id);
    assert_eq!(world.found("okta", "userName eq \"ÅSA\"").await, 1, "an identity provider finds whom it sent");
}

#[tokio::test]
async fn an_ambiguous_match_stands_alone_and_its_deactivation_still_acts() {
    let world = World::new().await;
    world.pull("hr", &[number("1", person("x"))]).await;
    world.create("partner", number("1", person("y"))).await;
    let okta = world.create("okta", number("1", person("z"))).await;
    let identity = world.identity(okta.identity_id).await;
    assert!(identity.unresolved);
    assert_eq!(identity.accounts.len(), 1);
    world.set("okta", &okta.native_id, Standing::Inactive).await;
    assert_eq!(world.identity(okta.identity_id).await.state, "suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_that_bring_the_same_new_people_at_once_make_each_of_them_once() {
    let world = World::new().await;
    let people: Vec<_> = (0..200).map(|n| number(&n.to_string(), person(&format!("p{n}")))).collect();
    let (hr, badge) = (world.begin("hr").await, world.begin("badge").await);
    for page in people.chunks(20) {
        let reversed: Vec<_> = page.iter().rev().cloned().collect();
        let (ours, theirs) = (hr.page(page), badge.page(&reversed));
        let (a, b) =
            tokio::join!(world.sync.apply_page(&hr.cause, &ours), world.sync.apply_page(&badge.cause, &theirs));
        a.unwrap();
        b.unwrap();
    }
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.accounts").await, 400);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.identities").await, 200);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn people_of_one_page_who_match_each_other_are_one() {
    let world = World::new().await;
    let two = [number("1", person("ana")), number("1", person("ana-admin"))];
    world.pull("hr", &two).await;
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.identities").await, 1);
}

#[tokio::test]
async fn a_match_found_later_is_a_merge_told_on_both_sides() {
    let world = World::new().await;
    world.pull("hr", &[number("7", person("a.smith"))]).await;
    let okta = world.create("okta", person("ana")).await;
    let (survivor, merged) = (world.who("hr:a.smith").await.id, okta.identity_id);
    assert_ne!(survivor, merged);

    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    let gone = world.identity(merged).await;
    assert_eq!((gone.state.as_str(), gone.accounts.len()), ("merged", 0));
    assert_eq!(world.who(&merged.to_string()).await.id, survivor, "the old id still leads to the person");
    let mut sources: Vec<String> = world.identity(survivor).await.accounts.into_iter().map(|a| a.source).collect();
    sources.sort();
    assert_eq!(sources, ["hr", "okta"]);
    assert_eq!(named(&world.told_of(merged).await, "identity.merged").data()["into"], survivor.to_string());
    assert_eq!(named(&world.told_of(survivor).await, "identity.merged").data()["merged"], merged.to_string());
    world.assert_clean_ledger().await;

    world.set("okta", &okta.native_id, Standing::Inactive).await;
    assert_eq!(world.identity(survivor).await.state, "suspended", "the moved account counts for the survivor");
    assert_eq!(world.identity(merged).await.state, "merged");
}

#[tokio::test]
async fn the_survivor_of_a_merge_inherits_a_denial() {
    let world = World::new().await;
    world.pull("hr", &[number("7", person("a.smith"))]).await;
    let okta = world.create("okta", person("ana")).await;
    world.set("okta", &okta.native_id, Standing::Inactive).await;
    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    let survivor = world.who("hr:a.smith").await;
    assert_eq!(survivor.state, "suspended");
    assert!(world.history(survivor.id).await.contains(&"identity.suspended".to_owned()));
}

#[tokio::test]
async fn numbers_that_move_on_within_one_page_leave_every_account_a_living_identity() {
    let world = World::new().await;
    world.create("okta", number("2", person("s"))).await;
    world.pull("hr", &[number("1", person("a")), number("5", person("b"))]).await;
    // a takes the number of s, and b the number that a has had until now.
    world.pull("hr", &[number("2", person("a")), number("1", person("b"))]).await;
    let lost: i64 = world
        .ask("SELECT count(*) FROM directory.accounts JOIN directory.identities i ON i.id = identity_id WHERE i.state = 'merged'")
        .await;
    assert_eq!(lost, 0, "an account on a merged identity would leave without an event");
    world.pull("hr", &[number("2", person("a")), standing(Standing::Inactive, number("1", person("b")))]).await;
    assert_eq!(world.who("hr:b").await.state, "suspended");
    assert_eq!(world.who("hr:a").await.state, "active");
}

#[tokio::test]
async fn any_source_may_deny_but_only_authority_gives_access_back() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    let okta = world.create("okta", person("ana")).await;
    let ana = okta.identity_id;
    world.set("okta", &okta.native_id, Standing::Inactive).await;
    assert_eq!(world.identity(ana).await.state, "suspended");
    world.pull("hr", &[number("9", person("ana"))]).await;
    assert_eq!(world.identity(ana).await.state, "suspended", "hr says active as before; the denial stands");
    world.set("okta", &okta.native_id, Standing::Active).await;
    assert_eq!(world.identity(ana).await.state, "active", "nobody denies, and hr says active");

    world.pull("hr", &[standing(Standing::Unknown, number("9", person("ana")))]).await;
    world.set("okta", &okta.native_id, Standing::Gone).await;
    world.set("okta", &okta.native_id, Standing::Active).await;
    assert_eq!(world.identity(ana).await.state, "active", "an unknown keeps what hr said last");
}

#[tokio::test]
async fn a_source_that_ignores_lifecycle_neither_ends_nor_gives_access() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    world.pull("badge", &[person("ana"), person("bob")]).await;
    let ana = world.who("hr:ana").await;
    world.pull("badge", &[standing(Standing::Gone, person("ana"))]).await;
    let after = world.who("hr:ana").await;
    assert_eq!((after.state.as_str(), after.version), ("active", ana.version), "no event at all");
    assert_eq!(world.who("badge:bob").await.state, "staged");
}

fn named<'a>(told: &'a [Told], what: &str) -> &'a Told {
    told.iter().find(|t| t.what == what).unwrap_or_else(|| panic!("no {what} in {told:?}"))
}

#[tokio::test]
async fn an_id_that_nobody_has_leads_to_nobody() {
    let world = World::new().await;
    let resolved = world.console.resolve(&Uuid::new_v4().to_string(), false).await.unwrap();
    assert!(matches!(resolved, directory::Resolved::Nobody), "{resolved:?}");
}
