//! Two processes of each role, joined by nothing but PostgreSQL and Kafka, do what one does.

use serde_json::Value;
use tests::world::{Role, SOON, Site, World, eventually, person, until};

use super::stage::{about, nothing_is_pending, usual};

#[tokio::test]
async fn whoever_leaves_at_hr_or_at_the_identity_provider_is_out_with_two_processes_of_each_role() {
    let site = Site::new(usual).await;
    let world = World::apart(site, &[(Role::Console, 2), (Role::SyncWorker, 2), (Role::Revoker, 2)]).await;
    let staff = [person(1001, "ana"), person(1002, "ben"), person(1003, "cleo")];
    world.hr(&staff).await.expect_code(0);
    // Whatever one sync-worker has committed, the other one knows.
    let account = world.scim_at(0, "okta").create(&staff[0]).await;
    world.scim_at(1, "okta").get(&account).await.expect_status(200);
    let store = world.store("web").await;
    let (ana, ben, cleo) = (store.sign_in("ana").await, store.sign_in("ben").await, store.sign_in("cleo").await);
    assert_eq!(world.state_of("ana").await, "active");
    assert!(store.lives(&ana).await && store.lives(&ben).await && store.lives(&cleo).await);

    world.scim_at(1, "okta").deactivate(&account).await;
    world.hr(&[staff[0].clone(), staff[1].status("left"), staff[2].clone()]).await.expect_code(0);
    store.ends(&ana).await;
    store.ends(&ben).await;
    let revoke = ["revoke", "cleo", "--reason", "stolen laptop", "--wait", "verified"];
    world.cli(&revoke).await.expect_code(0);
    assert!(!store.lives(&cleo).await);
    for who in ["ana", "ben", "cleo"] {
        let receipt = world.reached(who, "web", "settled").await;
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{who}: {receipt:#}");
    }
    let states = [world.state_of("ana").await, world.state_of("ben").await, world.state_of("cleo").await];
    assert_eq!(states, ["suspended", "departed", "active"]);
    for number in 0..2 {
        world.member(Role::Console, number).probes().get("/readyz").await.expect_status(200);
    }
    nothing_is_pending(&world).await;

    let topics = world.site().names().topics();
    let (ana, ben, cleo) = (world.id_of("ana").await, world.id_of("ben").await, world.id_of("cleo").await);
    let events = topics.events().await;
    for (subject, event) in [(&ana, "identity.suspended"), (&ben, "identity.departed")] {
        let [message] = about(&events, subject, event)[..] else { panic!("{event} is not there once: {events:#?}") };
        assert!(message.topic.ends_with(".lifecycle.urgent.v1"), "{message:#?}");
        assert_eq!((&message.body["subject"], &message.body["lane"]), (&subject.as_str().into(), &"urgent".into()));
    }
    let revocations = topics.revocations().await;
    let disabled = |subject: &String| revocations[subject]["scopes"]["*"]["state"]["disabled"].clone();
    assert_eq!([disabled(&ana), disabled(&ben)], [Value::Bool(true), Value::Bool(true)], "{revocations:#?}");
    assert!(revocations[&cleo]["scopes"]["*"]["sessions_before"].is_string(), "{revocations:#?}");
    assert!(!disabled(&cleo).as_bool().unwrap_or_default(), "{revocations:#?}");
    for subject in [&ana, &ben, &cleo] {
        let told = async || {
            let receipts = topics.read("receipts.v1").await;
            ["revocation.requested", "revocation.verified", "revocation.settled"]
                .iter()
                .all(|told| about(&receipts, subject, told).len() == 1)
        };
        eventually(SOON, "the receipts topic tells each step once", told).await;
    }
}

#[tokio::test]
async fn each_role_says_where_it_is_serves_its_own_routes_and_stops_in_order() {
    let site = Site::new(usual).await;
    let mut world = World::apart(site, &[(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 1)]).await;
    world.leave_ledger_unchecked();
    for (role, serves) in [
        (Role::Console, &["admin", "pid", "probes", "role"][..]),
        (Role::SyncWorker, &["pid", "probes", "public", "role"]),
        (Role::Revoker, &["pid", "probes", "role"]),
    ] {
        let member = world.member(role, 0);
        let file = member.data().join("run").join(format!("{}.json", role.as_str()));
        let run: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let bound = run.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        let bound: Vec<&String> = bound.map(|(key, _)| key).collect();
        assert_eq!(bound, serves, "{run:#}");
        assert_eq!((&run["role"], &run["pid"]), (&role.as_str().into(), &member.process_id().into()));
        for path in ["/healthz", "/readyz", "/metrics"] {
            member.probes().get(path).await.expect_status(200);
        }
        assert_eq!(member.stdout(), ["ready"], "the only stdout");
        let token = member.data().join("admin.token").is_file();
        assert_eq!(token, role == Role::Console, "whoever serves the admin API makes its token");
    }
    for role in [Role::Revoker, Role::SyncWorker, Role::Console] {
        let member = world.member_mut(role, 0);
        assert_eq!(member.terminate().await, Some(0), "{}", role.as_str());
        let file = member.data().join("run").join(format!("{}.json", role.as_str()));
        until(SOON, "the file of addresses goes", async || (!file.exists()).then_some(())).await;
    }
}
