//! Locks: the later word counts whatever order it arrives in, each has an end, and subscribers are told of both.

use std::time::Duration;

use chrono::Utc;
use directory::{EVERYWHERE, Ordered, RequestKind};
use lifecycle::{Action, SubjectKind};
use serde_json::json;
use uuid::Uuid;

use crate::decided::{WEB, delivery};
use crate::world::{World, number, person};

const HOUR: Duration = Duration::from_secs(3_600);

fn locking(scope: &str, lock_for: Duration) -> Ordered {
    let scopes = vec![(scope.to_owned(), vec![Action::Lock])];
    Ordered { scopes, downstreams: vec![WEB.to_owned()], lock_for: Some(lock_for), ..Ordered::default() }
}

/// Somebody asks for a lock, which is not carried out yet.
async fn asked(world: &World, subject: Uuid) -> Uuid {
    world.console.ask(RequestKind::Lock, &json!({"subject": subject}), "ciso").await.unwrap()
}

async fn carried_out(world: &World, request: Uuid, subject: Uuid, ordered: &Ordered) {
    let request = world.revoker.request(request).await.unwrap();
    world.revoker.revoke_by_hand(&request, (subject, SubjectKind::Identity), ordered, "INC-7").await.unwrap();
}

async fn unlocked(world: &World, subject: Uuid) -> serde_json::Value {
    let id = world.console.ask(RequestKind::Unlock, &json!({"subject": subject}), "ciso").await.unwrap();
    let request = world.revoker.request(id).await.unwrap();
    world.revoker.unlock(&request, subject, Some("found it")).await.unwrap();
    world.console.request(id).await.unwrap().result.unwrap()
}

async fn is_locked(world: &World, subject: Uuid) -> bool {
    let scopes = world.revoker.cutoffs(subject).await.unwrap();
    directory::in_force(&scopes, WEB).locked(Utc::now())
}

#[tokio::test]
async fn a_lock_is_owed_shown_with_who_asked_and_ends_with_an_unlock() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await.identity_id;
    let lock = asked(&world, ana).await;
    carried_out(&world, lock, ana, &locking(EVERYWHERE, HOUR)).await;
    assert!(is_locked(&world, ana).await);
    assert_eq!(delivery(&world, ana, WEB).await["waiting"], json!([lock]));
    let shown = world.console.identity_detail(ana).await.unwrap().unwrap().locks;
    assert_eq!(
        (shown.len(), shown[0].asked_by.as_deref(), shown[0].reason.as_deref()),
        (1, Some("ciso"), Some("INC-7"))
    );
    assert_eq!(shown[0].until - shown[0].at, chrono::Duration::hours(1));

    assert_eq!(unlocked(&world, ana).await, json!({"unlocked": 1}));
    assert!(!is_locked(&world, ana).await);
    assert!(world.console.locks(ana).await.unwrap().is_empty());
    assert_eq!(unlocked(&world, ana).await, json!({"unlocked": 0}));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn an_unlock_also_ends_a_lock_that_was_asked_for_before_and_arrives_after_it() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await.identity_id;
    let (late, there) = (asked(&world, ana).await, asked(&world, ana).await);
    unlocked(&world, ana).await;
    carried_out(&world, late, ana, &locking(EVERYWHERE, HOUR)).await;
    carried_out(&world, there, ana, &locking(WEB, HOUR)).await;
    assert!(!is_locked(&world, ana).await, "whether it was for everywhere or for one downstream");
    assert!(world.console.locks(ana).await.unwrap().is_empty());
    let again = asked(&world, ana).await;
    carried_out(&world, again, ana, &locking(WEB, HOUR)).await;
    assert!(is_locked(&world, ana).await, "and a lock that is asked for later holds");
}

#[tokio::test]
async fn whoever_survives_a_merge_is_shown_with_the_lock_of_the_other_and_is_unlocked_of_it() {
    let world = World::new().await;
    world.pull("hr", &[number("7", person("a.smith"))]).await;
    let okta = world.create("okta", person("ana")).await;
    let (survivor, merged) = (world.who("hr:a.smith").await.id, okta.identity_id);
    let lock = asked(&world, merged).await;
    carried_out(&world, lock, merged, &locking(WEB, HOUR)).await;
    let shown = async || world.console.identity_detail(survivor).await.unwrap().unwrap().locks;
    assert!(shown().await.is_empty());

    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    assert_eq!(shown().await.iter().map(|lock| lock.revocation).collect::<Vec<_>>(), [lock]);
    assert!(is_locked(&world, merged).await, "what she began by her old name is ended as before");
    assert_eq!(unlocked(&world, survivor).await, json!({"unlocked": 1}));
    assert!(!is_locked(&world, merged).await && shown().await.is_empty());
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_later_lock_takes_the_place_of_an_earlier_one_and_time_ends_the_last() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await.identity_id;
    let (long, short) = (asked(&world, ana).await, asked(&world, ana).await);
    carried_out(&world, long, ana, &locking(EVERYWHERE, HOUR)).await;
    carried_out(&world, short, ana, &locking(EVERYWHERE, Duration::from_millis(1))).await;
    assert_eq!(world.revoker.expire_locks().await.unwrap(), 1);
    assert_eq!(world.revoker.expire_locks().await.unwrap(), 0, "it is told once");
    let endings: Vec<String> =
        sqlx::query_scalar("SELECT ending FROM ledger.locks ORDER BY at").fetch_all(&world.owner).await.unwrap();
    assert_eq!(endings, ["replaced", "expired"]);
    assert!(!is_locked(&world, ana).await);
}
