//! Locks, by hand and by policy: whoever logs in meanwhile is out at the next sweep.

use lifecycle::Action;
use policy::Policy;
use serde_json::json;

use crate::store::Store;
use crate::world::{Setup, World, eventually};

async fn asks(world: &World, kind: directory::RequestKind, payload: serde_json::Value) -> uuid::Uuid {
    world.console.ask(kind, &payload, "ciso").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_during_a_lock_ends_at_the_next_sweep_and_one_after_the_unlock_lives() {
    let web = Store::of(false, &[Action::RevokeSessions, Action::Lock]);
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let payload = json!({"subject": ana.identity_id, "reason": "INC-7", "lock_for_ms": 3_600_000});
    let lock = asks(&world, directory::RequestKind::Lock, payload).await;
    world.until(lock, "web", "settled").await;
    assert!(web.of_user("ana").is_empty(), "the session before it is dead too");
    let due = world.delivery(&ana, "web").await["due_at"].clone();
    assert!(due.is_string(), "the sweeps go on after the series");

    web.sign_in("ana", "during");
    world.look_again().await;
    eventually("the login during the lock ends", || async { web.of_user("ana").is_empty() }).await;

    asks(&world, directory::RequestKind::Unlock, json!({"subject": ana.identity_id})).await;
    world.quiet(&ana, "web").await;
    web.sign_in("ana", "after");
    world.look_again().await;
    world.quiet(&ana, "web").await;
    assert_eq!(web.of_user("ana"), ["after"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_locks_for_as_long_as_it_says() {
    let web = Store::of(false, &[Action::RevokeSessions, Action::Lock]);
    let text =
        "rules:\n  - { name: lost it, on: [membership.removed], when: group.privileged, do: [lock], lock_for: 2h }\n";
    let policy = Policy::parse(text).unwrap();
    let world = Setup { policy, ..Setup::of([("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.loses_privilege(&ana).await;
    world.until(event, "web", "verified").await;
    assert!(web.of_user("ana").is_empty());
    let locks = world.console.locks(ana.identity_id).await.unwrap();
    assert_eq!((locks.len(), locks[0].until - locks[0].at), (1, chrono::Duration::hours(2)));
    assert_eq!(locks[0].asked_by, None, "nobody but the policy");
    world.stop().await;
}
