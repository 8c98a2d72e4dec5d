//! Strangers: whoever a downstream knows and no source does is out there, and nowhere else, by hand.

use directory::RequestKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

async fn asks(world: &World, stranger: Uuid) -> Uuid {
    let payload = json!({"subject": stranger, "kind": "stranger", "downstreams": ["web"], "reason": "left behind"});
    world.console.ask(RequestKind::Revoke, &payload, "ciso").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_out_at_that_downstream_alone_and_stays_out_when_a_session_comes_back() {
    let (web, shop) = (Store::new(), Store::new());
    let setup = Setup { break_glass: vec!["ghost".to_owned()], ..Setup::of([("web", &web), ("shop", &shop)]) };
    let world = setup.start().await;
    world.person("ana").await;
    web.sign_in("ghost", "w1");
    web.writes_later("ghost", "w1");
    web.sign_in("ana", "w2");
    shop.sign_in("ghost", "s1");
    let ghost = world.console.stranger("web", "ghost").await.unwrap();
    let revocation = asks(&world, ghost).await;
    let receipt = world.until(revocation, "web", "settled").await;
    assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&json!(2), &json!(1)), "{receipt:#}");
    assert_eq!(web.of_user("ghost"), Vec::<String>::new(), "break glass spares nobody by hand");
    assert_eq!((web.of_user("ana"), shop.of_user("ghost")), (vec!["w2".to_owned()], vec!["s1".to_owned()]));
    let receipts = world.console.revocation(revocation).await.unwrap().unwrap().receipts;
    assert_eq!(receipts.len(), 1, "nothing is asked of the shop: {receipts:?}");

    web.sign_in("ghost", "later");
    world.look_again().await;
    eventually("that look is over", || async {
        world.count("SELECT count(*) FROM working.deliveries WHERE due_at IS NOT NULL OR lease IS NOT NULL").await == 0
    })
    .await;
    assert_eq!(web.of_user("ghost"), ["later"], "who logs in after it may stay, as anybody");
    assert_eq!(world.revoker.reconcile_once(chrono::Utc::now()).await.unwrap(), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_stranger_counts_what_would_end_and_ends_nothing() {
    let (web, shop) = (Store::new(), Store::new());
    let world = Setup::of([("web", &web), ("shop", &shop)]).start().await;
    web.sign_in("ghost", "w1");
    let ghost = world.console.stranger("web", "ghost").await.unwrap();
    let payload = json!({"subject": ghost, "downstreams": ["web"], "would": ["revoke_sessions"]});
    let look = world.console.ask(RequestKind::Look, &payload, "ciso").await.unwrap();
    eventually("somebody looked", || async { world.console.look(look).await.unwrap().is_some() }).await;
    let seen = world.console.look(look).await.unwrap().unwrap();
    let downstreams = seen["downstreams"].as_array().unwrap();
    assert_eq!((downstreams.len(), &downstreams[0]["would_end"]), (1, &json!(1)), "{seen:#}");
    assert!(!seen.to_string().contains("ghost"));
    assert_eq!(web.of_user("ghost"), ["w1"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_whom_the_downstream_refuses_stays_owed_and_is_out_once_it_takes_them() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    web.sign_in("ghost", "w1");
    web.becomes(Mood::Refuses("ghost"));
    let ghost = world.console.stranger("web", "ghost").await.unwrap();
    let revocation = asks(&world, ghost).await;
    eventually("it is stuck", || async { !world.console.owed_rows(true, None, 10).await.unwrap().is_empty() }).await;
    let owed = world.console.owed_rows(true, None, 10).await.unwrap().remove(0);
    assert_eq!((owed.subject, owed.kind.as_str()), (ghost, "stranger"));
    assert!(!json!(owed).to_string().contains("ghost"), "{owed:?}");

    web.becomes(Mood::Well);
    world.look_again().await;
    let receipt: Value = world.until(revocation, "web", "verified").await;
    assert_eq!((&receipt["ended"], web.of_user("ghost").len()), (&json!(1), 0), "{receipt:#}");
    world.stop().await;
}
