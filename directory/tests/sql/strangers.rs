//! Strangers: one for each text at each downstream, in force there alone, told by an id that says nothing, and forgotten where
//! nothing was demanded of them.

use std::time::Duration;

use directory::{Ordered, Publishing, Request, RequestKind};
use lifecycle::{Action, SubjectKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{SHOP, WEB, delivery};
use crate::world::World;

async fn asked(world: &World, subject: Uuid) -> Request {
    let payload = json!({"subject": subject, "kind": "stranger", "downstreams": [WEB], "reason": "left behind"});
    let id = world.console.ask(RequestKind::Revoke, &payload, "ciso").await.unwrap();
    world.revoker.request(id).await.unwrap()
}

/// Their sessions at `web` are to end.
async fn revoked(world: &World, subject: Uuid) {
    let ordered = Ordered {
        scopes: vec![(WEB.to_owned(), vec![Action::RevokeSessions])],
        downstreams: vec![WEB.to_owned()],
        ..Ordered::default()
    };
    let request = asked(world, subject).await;
    world.revoker.revoke_by_hand(&request, (subject, SubjectKind::Stranger), &ordered, "left behind").await.unwrap();
}

async fn grows_old(world: &World) {
    let sql = "UPDATE ledger.strangers SET asked_at = asked_at - interval '1 hour'";
    sqlx::query(sql).execute(&world.owner).await.unwrap();
}

#[tokio::test]
async fn the_same_text_at_the_same_downstream_is_the_same_stranger_and_no_other() {
    let world = World::new().await;
    let ghost = world.console.stranger(WEB, "ghost").await.unwrap();
    assert_eq!(world.console.stranger(WEB, "ghost").await.unwrap(), ghost);
    assert_ne!(world.console.stranger(SHOP, "ghost").await.unwrap(), ghost);
    assert_ne!(world.console.stranger(WEB, "Ghost").await.unwrap(), ghost, "a downstream may tell them apart");
    let (here, there) = (world.revoker.strangers(WEB, &[ghost]).await, world.revoker.strangers(SHOP, &[ghost]).await);
    assert_eq!(here.unwrap().remove(&ghost).as_deref(), Some("ghost"));
    assert!(there.unwrap().is_empty(), "what one calls somebody is nothing to another");
    let twice = tokio::join!(world.console.stranger(WEB, "both"), world.console.stranger(WEB, "both"));
    assert_eq!(twice.0.unwrap(), twice.1.unwrap());
}

#[tokio::test]
async fn a_revoked_stranger_is_owed_at_that_downstream_alone_with_what_it_calls_them() {
    let world = World::new().await;
    let ghost = world.console.stranger(WEB, "ghost").await.unwrap();
    revoked(&world, ghost).await;
    let both = [WEB.to_owned(), SHOP.to_owned()];
    assert_eq!(world.revoker.reconcile_deliveries(&both, 10).await.unwrap().deliveries, 0, "nothing is missing");
    assert_eq!(delivery(&world, ghost, SHOP).await, Value::Null);

    let owed = world.console.owed_rows(false, None, 10).await.unwrap();
    assert_eq!((owed.len(), owed[0].kind.as_str(), owed[0].user_name.as_deref()), (1, "stranger", None));
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!((leased[0].subject, leased[0].stranger.as_deref()), (ghost, Some("ghost")));
    assert!(leased[0].identity.is_none());
    world.assert_clean_ledger().await;

    sqlx::query("DELETE FROM working.deliveries").execute(&world.owner).await.unwrap();
    assert_eq!(world.revoker.reconcile_deliveries(&both, 10).await.unwrap().deliveries, 1, "made anew from the ledger");
    assert_eq!(delivery(&world, ghost, WEB).await["subject_id"], json!(ghost));
}

#[tokio::test]
async fn subscribers_are_told_of_a_stranger_by_an_id_and_no_name() {
    let mut world = World::new().await;
    let names: directory::Naming = std::sync::Arc::new(|identity| {
        let name = identity.profile.user_name.clone().into_iter().collect();
        [("login".to_owned(), name)].into()
    });
    world.revoker = world.revoker.publishing(Publishing { names: Some(names), life: Duration::from_secs(86_400) });
    let ghost = world.console.stranger(WEB, "ghost").await.unwrap();
    revoked(&world, ghost).await;
    assert_eq!(world.revoker.rename(&[ghost]).await.unwrap(), 0);
    assert_eq!(
        world.revoker.rename_after(Uuid::nil(), 10).await.unwrap(),
        Some((ghost, 0)),
        "reconcile passes over them"
    );
    assert_eq!(world.revoker.publish_after(Uuid::nil(), 10).await.unwrap(), Some((ghost, 1)), "a new topic has them");

    let told = world.relay.pending_cutoffs(0, Uuid::nil(), 10).await.unwrap();
    assert_eq!((told.len(), told[0].subject, told[0].kind), (1, ghost, SubjectKind::Stranger));
    assert!(told[0].published.is_empty());
    assert_eq!(told[0].scopes.keys().collect::<Vec<_>>(), [WEB]);
    let receipts = world.relay.pending_receipts(0, 0, 10).await.unwrap();
    assert!(receipts[0].body.contains("stranger") && !receipts[0].body.contains("ghost"), "{}", receipts[0].body);
}

#[tokio::test]
async fn a_stranger_at_whom_somebody_only_looked_is_forgotten_and_one_who_was_or_will_be_revoked_is_not() {
    let world = World::new().await;
    let revoked_one = world.console.stranger(WEB, "revoked").await.unwrap();
    revoked(&world, revoked_one).await;
    let waits = world.console.stranger(WEB, "waits").await.unwrap();
    asked(&world, waits).await;
    let looked = world.console.stranger(WEB, "looked").await.unwrap();
    assert_eq!(world.revoker.forget_strangers().await.unwrap(), 0, "the look may go on");
    grows_old(&world).await;
    let fresh = world.console.stranger(WEB, "fresh").await.unwrap();
    assert_eq!(world.revoker.forget_strangers().await.unwrap(), 1);
    let left = world.revoker.strangers(WEB, &[revoked_one, waits, looked, fresh]).await.unwrap();
    let mut left: Vec<&str> = left.values().map(String::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["fresh", "revoked", "waits"]);
    assert_ne!(world.console.stranger(WEB, "looked").await.unwrap(), looked, "and begins anew");
}
