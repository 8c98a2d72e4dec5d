//! From one process to Kafka: only the configuration changes, and subscribers learn of what was before.

use sqlx::Executor;
use tests::world::{DATABASE, Role, Site, World, person, until};

use super::stage::{ONE_EACH, PATIENTLY, about, database, nothing_is_pending, usual};

#[tokio::test]
async fn with_a_kafka_in_the_configuration_all_goes_on_and_earlier_revocations_are_told() {
    let mut world = World::at(Site::new(|names| names.usual()).await).await;
    let staff = [person(1001, "ana"), person(1002, "ben"), person(1003, "cleo"), person(1004, "dan")];
    world.hr(&staff).await.expect_code(0);
    let okta = world.scim("okta");
    let account = okta.create(&staff[0]).await;
    let store = world.store("web").await;
    let (ana, cleo) = (store.sign_in("ana").await, store.sign_in("cleo").await);
    okta.deactivate(&account).await;
    store.ends(&ana).await;
    world.reached("ana", "web", "settled").await;
    let revoke = ["revoke", "ben", "--reason", "stolen laptop", "--wait", "verified"];
    world.cli(&revoke).await.expect_code(0);
    let (ana, ben) = (world.id_of("ana").await, world.id_of("ben").await);

    assert_eq!(world.terminate().await, Some(0));
    let site = world.site();
    site.configure(&format!("{DATABASE}{}{}", site.names().usual(), site.names().kafka()));
    world.restart().await;
    let topics = world.site().names().topics();
    let told = until(PATIENTLY, "both revocations are told", async || {
        Some(topics.revocations().await).filter(|told| told.contains_key(&ana) && told.contains_key(&ben))
    })
    .await;
    assert_eq!(told.len(), 2, "nobody else was revoked: {told:#?}");
    assert_eq!(told[&ana]["scopes"]["*"]["state"]["disabled"], true, "{told:#?}");
    assert!(told[&ben]["scopes"]["*"]["sessions_before"].is_string(), "{told:#?}");

    // It goes on, in one process and then in several.
    assert!(store.lives(&cleo).await);
    let [_, ben_now, cleo_now, dan_now] = &staff;
    world.hr(&[staff[0].clone(), ben_now.clone(), cleo_now.status("left"), dan_now.clone()]).await.expect_code(0);
    store.ends(&cleo).await;
    world.reached("cleo", "web", "verified").await;
    world.add(Role::SyncWorker).await;
    world.add(Role::Revoker).await;
    world.add(Role::Console).await;
    assert_eq!(world.member_mut(Role::Up, 0).terminate().await, Some(0));
    let dan = store.sign_in("dan").await;
    world
        .hr(&[staff[0].clone(), ben_now.clone(), cleo_now.status("left"), dan_now.status("left")])
        .await
        .expect_code(0);
    store.ends(&dan).await;
    world.reached("dan", "web", "verified").await;
    nothing_is_pending(&world).await;
    for who in ["cleo", "dan"] {
        let subject = world.id_of(who).await;
        assert_eq!(about(&topics.events().await, &subject, "identity.departed").len(), 1, "{who}");
        assert_eq!(topics.revocations().await[&subject]["scopes"]["*"]["state"]["disabled"], true, "{who}");
    }
}

#[tokio::test]
async fn a_topic_of_revocations_that_was_lost_is_filled_again_with_every_cutoff() {
    let mut world = World::apart(Site::new(usual).await, &ONE_EACH).await;
    let okta = world.scim("okta");
    let (ana, ben) = (okta.create(&person(1001, "ana")).await, okta.create(&person(1002, "ben")).await);
    okta.deactivate(&ana).await;
    okta.deactivate(&ben).await;
    world.reached("ana", "web", "verified").await;
    world.reached("ben", "web", "verified").await;
    nothing_is_pending(&world).await;
    // So long ago that nothing of it counts as having been on its way.
    let mut database = database(world.site()).await;
    database.execute("UPDATE ledger.cutoff_subjects SET changed_at = changed_at - interval '1 day'").await.unwrap();
    let topics = world.site().names().topics();
    assert_eq!(topics.revocations().await.len(), 2);

    world.kill9();
    topics.delete_one("revocations.v1").await;
    assert!(topics.revocations().await.is_empty());
    world.restart().await;
    let told = until(PATIENTLY, "both revocations are told again", async || {
        Some(topics.revocations().await).filter(|told| told.len() == 2)
    })
    .await;
    for who in ["ana", "ben"] {
        assert_eq!(told[&world.id_of(who).await]["scopes"]["*"]["state"]["disabled"], true, "{told:#?}");
    }
}
