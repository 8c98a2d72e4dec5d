//! Reconcile takes no input: what truth demands and nobody owes, it makes owed; what is well, it leaves alone.

use chrono::Utc;
use directory::{Answer, EVERYWHERE, Outcome, Reconciled};
use serde_json::json;
use sqlx::Executor;

use crate::decided::{SHOP, WEB, by_hand, decide_all, delivery, lost, suspended};
use crate::world::{World, person};

fn both() -> Vec<String> {
    vec![WEB.to_owned(), SHOP.to_owned()]
}

#[tokio::test]
async fn deliveries_that_were_lost_come_back_with_the_revocations_that_wait() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let first = suspended(&world, &ana).await;
    decide_all(&world, &[first]).await;
    let leased = world.revoker.lease_deliveries(WEB, 2, 10, std::time::Duration::from_secs(60)).await.unwrap();
    let answer = Answer {
        subject: ana.identity_id,
        lease: leased[0].lease,
        turn: leased[0].turn,
        outcome: Outcome::Verified,
        revocations: vec![first],
        first: true,
        found: 0,
        ended: 0,
        resurrected: 0,
        collateral: 0,
        hashes: Vec::new(),
        delivered: leased[0].wanted,
        applied_at: Utc::now(),
        verified_at: Some(Utc::now()),
        sweeps_done: 0,
        due_at: None,
        note: None,
    };
    world.revoker.answer(WEB, &[answer]).await.unwrap();
    let second = lost(&world, &ana).await;
    decide_all(&world, &[second]).await;
    let wanted = delivery(&world, ana.identity_id, WEB).await["wanted"].take();
    world.owner.execute("DELETE FROM working.deliveries").await.unwrap();

    assert_eq!(world.revoker.reconcile_deliveries(&both(), 10).await.unwrap(), Reconciled { deliveries: 2 });
    let web = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!((&web["waiting"], &web["wanted"]), (&json!([second]), &wanted), "the first has its receipt");
    let shop = delivery(&world, ana.identity_id, SHOP).await;
    assert_eq!(shop["waiting"], json!([first]), "the second was for web alone");
    assert_eq!(world.revoker.owed().await.unwrap().len(), 2);
    assert_eq!(world.revoker.reconcile_deliveries(&both(), 10).await.unwrap(), Reconciled { deliveries: 0 });
}

#[tokio::test]
async fn a_downstream_configured_later_owes_a_look_but_no_first_pass() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    let downstreams = [both(), vec!["new".to_owned()]].concat();
    assert_eq!(world.revoker.reconcile_deliveries(&downstreams, 10).await.unwrap(), Reconciled { deliveries: 1 });
    let leased = world.revoker.lease_deliveries("new", 2, 10, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!((leased.len(), leased[0].waiting.len(), leased[0].answered.len()), (1, 0, 0));
    assert!(leased[0].wanted.disabled(), "whoever is suspended has nothing to look for there either");
}

#[tokio::test]
async fn a_ledger_in_which_nothing_is_missing_has_nothing_to_repair() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    by_hand(&world, ana.identity_id, WEB, &[WEB]).await;
    let bob = world.create("okta", person("bob")).await;
    by_hand(&world, bob.identity_id, WEB, &[WEB]).await;
    assert_eq!(world.revoker.reconcile_deliveries(&both(), 10).await.unwrap(), Reconciled { deliveries: 0 });
    by_hand(&world, bob.identity_id, EVERYWHERE, &both().iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(world.revoker.reconcile_deliveries(&both(), 10).await.unwrap(), Reconciled { deliveries: 0 });
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_delivery_behind_its_cutoffs_is_brought_up_to_them() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    decide_all(&world, &[event]).await;
    let wanted = delivery(&world, ana.identity_id, WEB).await["wanted"].take();
    world.owner.execute(r#"UPDATE working.deliveries SET revision = 0, wanted = '{"generation": 0}'"#).await.unwrap();
    assert_eq!(world.revoker.reconcile_deliveries(&both(), 10).await.unwrap(), Reconciled { deliveries: 2 });
    let web = delivery(&world, ana.identity_id, WEB).await;
    assert_eq!((&web["wanted"], &web["waiting"], &web["turn"]), (&wanted, &json!([event]), &json!(2)));
}
