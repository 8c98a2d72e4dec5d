//! Sessions that a rule shortens: they live until their time has come, and only those that were meant end then.

use chrono::{Duration, Utc};
use lifecycle::{Action, Standing};
use policy::Policy;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

const CAN: &[Action] = &[Action::RevokeSessions, Action::ShortenTtl];

fn policy(rule: &str) -> Policy {
    Policy::parse(&format!(
        "rules:\n  - {{ name: lost it, on: [membership.removed], when: group.privileged, {rule} }}\n"
    ))
    .unwrap()
}

async fn open(world: &World) -> i64 {
    world.count("SELECT count(*) FROM ledger.shortenings WHERE ended_at IS NULL").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_before_ends_at_its_time_and_a_later_login_stays() {
    let (web, blind) = (Store::of(true, CAN), Store::of(false, CAN));
    let policy = policy("do: [shorten_ttl], shorten_to: 2s");
    let world = Setup { policy, ..Setup::of([("blind", &blind), ("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    web.signed_in_at("ana", "before", Utc::now() - Duration::hours(1));
    blind.sign_in("ana", "old");
    let event = world.loses_privilege(&ana).await;
    world.decision(event).await;
    assert_eq!(open(&world).await, 1);
    // Well beyond the skew, as far as the store says.
    web.signed_in_at("ana", "after", Utc::now() + Duration::seconds(5));
    blind.sign_in("ana", "new");
    assert_eq!((web.of_user("ana").len(), blind.of_user("ana").len()), (2, 2), "nothing ends at once");
    let receipt = world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), ["after"], "{receipt}");
    world.until(event, "blind", "settled").await;
    assert!(blind.of_user("ana").is_empty(), "nobody knows when these began");
    let early = "SELECT count(*) FROM ledger.receipts c JOIN ledger.shortenings s ON s.revocation = c.revocation
                 WHERE c.applied_at < s.due_at";
    assert_eq!(world.count(early).await, 0);
    assert_eq!(open(&world).await, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_that_time_owes_it() {
    let web = Store::of(true, CAN);
    let world =
        Setup { policy: policy("do: [shorten_ttl], shorten_to: 1s"), ..Setup::of([("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    web.signed_in_at("ana", "before", Utc::now() - Duration::hours(1));
    web.becomes(Mood::Away);
    let event = world.loses_privilege(&ana).await;
    eventually("it is owed", || async { world.delivery(&ana, "web").await["attempts"].as_i64() > Some(0) }).await;
    assert_eq!(web.of_user("ana"), ["before"]);
    web.becomes(Mood::Well);
    world.until(event, "web", "verified").await;
    assert!(web.of_user("ana").is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_meanwhile_is_out_at_once_and_the_time_passes_without_a_further_end() {
    let web = Store::of(false, CAN);
    let rules = "rules:
  - { name: lost it, on: [membership.removed], when: group.privileged, do: [shorten_ttl], shorten_to: 1s }
  - { name: leaver, on: [identity.suspended], do: [revoke_sessions] }
";
    let world = Setup { policy: Policy::parse(rules).unwrap(), ..Setup::of([("web", &web)]) }.start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "before");
    let shortened = world.loses_privilege(&ana).await;
    world.decision(shortened).await;
    let left = world.set(&ana, Standing::Inactive).await;
    world.until(left, "web", "verified").await;
    assert!(web.of_user("ana").is_empty());
    let back = world.set(&ana, Standing::Active).await;
    world.decision(back).await;
    world.quiet(&ana, "web").await;
    web.sign_in("ana", "rehired");
    eventually("its time has come", || async { open(&world).await == 0 }).await;
    world.quiet(&ana, "web").await;
    assert_eq!(web.of_user("ana"), ["rehired"], "that would be stronger than what was asked");
    assert!(world.console.revocation(shortened).await.unwrap().is_none());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_is_spared_here_as_well() {
    let web = Store::of(true, CAN);
    let setup = Setup { policy: policy("do: [shorten_ttl], shorten_to: 1s"), ..Setup::of([("web", &web)]) };
    let world = Setup { break_glass: vec!["root".to_owned()], ..setup }.start().await;
    let root = world.person("root").await;
    let event = world.loses_privilege(&root).await;
    let (_, note) = world.decision(event).await;
    assert!(note.contains("break glass"), "{note}");
    assert_eq!(world.count("SELECT count(*) FROM ledger.shortenings").await, 0);
    world.stop().await;
}
