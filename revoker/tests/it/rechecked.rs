//! Marks by which applications ask again who somebody is: owed until they are left, and no session ends by one.

use chrono::{DateTime, Utc};
use directory::{EVERYWHERE, Ordered, Request, RequestKind};
use lifecycle::{Action, Standing, SubjectKind};
use policy::Policy;
use serde_json::json;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

const CAN: &[Action] = &[Action::RevokeSessions, Action::Recheck];
const RULES: &str = "rules:\n  - { name: lost it, on: [membership.removed], when: group.privileged, do: [recheck] }\n";

async fn world(stores: [(&'static str, &std::sync::Arc<Store>); 2]) -> World {
    Setup { policy: Policy::parse(RULES).unwrap(), ..Setup::of(stores) }.start().await
}

fn instant(row: &serde_json::Value) -> DateTime<Utc> {
    serde_json::from_value(row["wanted"]["recheck_before"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_left_where_the_store_takes_them_and_every_session_lives() {
    let (web, plain) = (Store::of(false, CAN), Store::new());
    let world = world([("web", &web), ("plain", &plain)]).await;
    let ana = world.person("ana").await;
    // What was ended once must not make the mark a reason to end what has come since.
    let revoked = world.revoke(&ana).await;
    world.until(revoked, "web", "settled").await;
    for store in [&web, &plain] {
        store.sign_in("ana", "s1");
    }
    let event = world.loses_privilege(&ana).await;
    let receipt = world.until(event, "web", "settled").await;
    assert_eq!(receipt["ended"], json!(0), "{receipt}");
    assert_eq!(web.mark_of("ana"), Some(instant(&world.delivery(&ana, "web").await)));
    assert_eq!((web.of_user("ana"), plain.of_user("ana")), (vec!["s1".to_owned()], vec!["s1".to_owned()]));
    assert_eq!(plain.mark_of("ana"), None);
    let (_, note) = world.decision(event).await;
    assert!(note.contains("recheck is unsupported by plain"), "{note}");

    web.loses_marks();
    world.look_again().await;
    eventually("a store that lost it has it again", || async { web.mark_of("ana").is_some() }).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_owed_until_the_store_has_taken_it() {
    let (web, other) = (Store::of(false, CAN), Store::new());
    let world = world([("web", &web), ("other", &other)]).await;
    let ana = world.person("ana").await;
    web.becomes(Mood::Away);
    let event = world.loses_privilege(&ana).await;
    eventually("it was tried", || async { world.delivery(&ana, "web").await["attempts"].as_i64() > Some(0) }).await;
    assert_eq!((web.mark_of("ana"), &world.receipt(event, "web").await["state"]), (None, &json!("owed")));
    web.becomes(Mood::Well);
    world.until(event, "web", "verified").await;
    assert!(web.mark_of("ana").is_some());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_comes_after_the_reinstatement_that_followed_it_still_fails_closed() {
    let (web, other) = (Store::of(false, CAN), Store::new());
    let world = Setup::of([("web", &web), ("other", &other)]).start().await;
    let ana = world.person("ana").await;
    let left = world.set(&ana, Standing::Inactive).await;
    world.until(left, "web", "settled").await;
    let asked_at = world.revoker.directory.now().await.unwrap();
    let back = world.set(&ana, Standing::Active).await;
    world.decision(back).await;
    world.quiet(&ana, "web").await;
    web.sign_in("ana", "who knows since when");
    // Not of a kind that the revoker takes by itself.
    let id = world.console.ask(RequestKind::Sync, &json!({}), "ciso").await.unwrap();
    let request = Request { asked_at, ..world.revoker.directory.request(id).await.unwrap() };
    let ordered = Ordered {
        scopes: vec![(EVERYWHERE.to_owned(), vec![Action::RevokeSessions])],
        downstreams: vec!["web".to_owned()],
        ..Ordered::default()
    };
    let whose = (ana.identity_id, SubjectKind::Identity);
    world.revoker.directory.revoke_by_hand(&request, whose, &ordered, "late").await.unwrap();
    world.until(id, "web", "verified").await;
    assert!(web.of_user("ana").is_empty());
    world.stop().await;
}
