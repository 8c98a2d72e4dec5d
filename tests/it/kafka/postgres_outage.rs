//! PostgreSQL falls over: every process says so, survives, and goes on when it is back.

use serde_json::json;
use tests::world::{Person, Role, World, eventually};

use super::stage::{ONE_EACH, PATIENTLY, all_end, nothing_is_pending, secluded, signed_in, usual, works};

#[tokio::test]
async fn after_a_crash_of_postgres_every_process_goes_on() {
    let site = secluded(usual).await;
    let mut world = World::apart(site, &ONE_EACH).await;
    works(&world, 1).await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 2).await;
    let staff: Vec<Person> = people.iter().map(|one| one.person.clone()).collect();
    world.hr(&staff).await.expect_code(0);

    world.site_mut().postgres_mut().kill9();
    let off = json!({"op": "replace", "path": "active", "value": false});
    let refused = world.scim("okta").patch(&people[0].account, &off).await;
    assert!(refused.status >= 500, "what is not committed is not confirmed: {refused:?}");
    for (role, number) in [(Role::Console, 0), (Role::SyncWorker, 0), (Role::Revoker, 0)] {
        world.member(role, number).probes().get("/healthz").await.expect_status(200);
        world.member(role, number).probes().get("/readyz").await.expect_status(503);
    }
    assert!(store.lives(&people[0].session).await);

    world.site_mut().postgres_mut().start_again().await;
    for (role, number) in [(Role::Console, 0), (Role::SyncWorker, 0), (Role::Revoker, 0)] {
        let probes = world.member(role, number).probes();
        let ready = async || probes.get("/readyz").await.status == 200;
        eventually(PATIENTLY, &format!("{} is ready again", role.as_str()), ready).await;
        assert!(!world.member_mut(role, number).has_ended(), "{} survives", role.as_str());
    }
    // The identity provider tries again, as it does after any 5xx.
    let worker = world.scim("okta");
    let taken = async || worker.patch(&people[0].account, &off).await.status == 200;
    eventually(PATIENTLY, "the change is taken", taken).await;
    all_end(&store, &people[..1]).await;
    world.reached(&people[0].person.user, "web", "verified").await;
    world.hr(&[staff[0].clone(), staff[1].status("left")]).await.expect_code(0);
    all_end(&store, &people[1..]).await;
    world.reached(&people[1].person.user, "web", "verified").await;
    nothing_is_pending(&world).await;
}
