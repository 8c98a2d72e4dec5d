//! What events oblige to: every urgent one is decided, break glass is spared, and what a store cannot do is said.

use chrono::Utc;
use lifecycle::{Action, Standing};
use policy::Policy;

use crate::store::Store;
use crate::world::Setup;

#[tokio::test(flavor = "multi_thread")]
async fn every_urgent_event_is_decided_and_a_bulk_one_only_if_a_rule_listens() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    let out = world.set(&ana, Standing::Inactive).await;
    let back = world.set(&ana, Standing::Active).await;
    assert_eq!(world.decision(out).await.0, ["leaver"]);
    assert_eq!(world.decision(back).await.0, Vec::<String>::new(), "decided as: nothing to end");
    let pending = || async { world.count("SELECT count(*) FROM ledger.pending").await == 0 };
    crate::world::eventually("the bus has everything", pending).await;
    let decided = "SELECT count(*) FROM ledger.decisions JOIN ledger.events e ON e.id = event WHERE lane = 1";
    assert_eq!(world.count(decided).await, 0, "nobody listens to identity.created");
    assert_eq!(world.count("SELECT count(*) FROM ledger.revocations").await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_listen_to_bulk_events() {
    let policy = "rules:\n  - { name: fresh, on: [identity.created], do: [revoke_sessions] }\n";
    let web = Store::new();
    web.sign_in("ana", "somebody else's");
    let world = Setup { policy: Policy::parse(policy).unwrap(), ..Setup::of([("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    world.quiet(&ana, "web").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    let out = world.set(&ana, Standing::Inactive).await;
    assert_eq!(world.decision(out).await.0, Vec::<String>::new(), "urgent, though no rule listens");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_privilege_ends_sessions_and_nobody_is_disabled_by_it() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.loses_privilege(&ana).await;
    world.until(event, "web", "verified").await;
    assert_eq!(world.decision(event).await.0, ["lost a privileged group"]);
    web.sign_in("ana", "w2");
    world.quiet(&ana, "web").await;
    assert_eq!(web.of_user("ana"), ["w2"], "she may come in again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_glass_identity_is_spared_by_policy_loudly_but_not_by_hand() {
    let web = Store::new();
    let setup = Setup { break_glass: vec!["Root@Example.com".to_owned()], ..Setup::of([("web", &web)]) };
    let world = setup.start().await;
    let root = world.person("root@example.com").await;
    web.sign_in("root@example.com", "w1");
    let event = world.set(&root, Standing::Inactive).await;
    let (rules, note) = world.decision(event).await;
    assert_eq!(rules, ["leaver"]);
    assert!(note.contains("break glass"), "{note}");
    assert_eq!(world.count("SELECT count(*) FROM ledger.revocations").await, 0);
    assert_eq!(web.of_user("root@example.com"), ["w1"]);
    let by_hand = world.revoke(&root).await;
    world.until(by_hand, "web", "verified").await;
    assert_eq!(web.of_user("root@example.com"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_cannot_do_is_noted_and_done_stronger_only_where_else_says_so() {
    let policy = "rules:
  - { name: recheck, on: [identity.suspended], do: [recheck], downstreams: [mute, web] }
  - { name: gone, on: [identity.departed], do: [recheck], downstreams: [mute, web], else: revoke_sessions }
";
    let (web, mute) = (Store::new(), Store::of(false, &[Action::Notify]));
    let setup = Setup::of([("mute", &mute), ("web", &web)]);
    let world = Setup { policy: Policy::parse(policy).unwrap(), ..setup }.start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    mute.sign_in("ana", "m1");
    let event = world.set(&ana, Standing::Inactive).await;
    let (rules, note) = world.decision(event).await;
    assert_eq!(rules, ["recheck"]);
    assert!(
        note.contains("recheck is unsupported by mute") && note.contains("recheck is unsupported by web"),
        "{note}"
    );
    assert_eq!(web.of_user("ana"), ["w1"], "nothing stronger than what was asked");

    let event = world.set(&ana, Standing::Gone).await;
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    assert!(world.decision(event).await.1.contains("unsupported by mute"));
    world.revoker.reconcile_once(Utc::now()).await.unwrap();
    assert!(world.delivery(&ana, "mute").await.is_null(), "nothing is owed where nothing can be done");
    assert_eq!(mute.of_user("ana"), ["m1"]);
    world.stop().await;
}
