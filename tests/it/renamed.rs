//! Somebody's sessions may still be kept by a name that she has lost.

use serde_json::json;
use tests::world::{World, person};

#[tokio::test]
async fn b1_17_who_was_renamed_before_she_left_is_refused_under_every_name_she_had() {
    let world = World::start(|names| names.usual()).await;
    let (okta, store) = (world.scim("okta"), world.store("web").await);
    let ana = okta.create(&person(1001, "ana")).await;
    let before = store.sign_in("ana").await;
    okta.patch(&ana, &json!({"op": "Replace", "path": "userName", "value": "ana.lee"})).await.expect_status(200);
    let after = store.sign_in("ana.lee").await;
    okta.patch(&ana, &json!({"op": "Replace", "value": {"userName": "ana.ito", "active": false}}))
        .await
        .expect_status(200);
    store.ends(&before).await;
    store.ends(&after).await;
    assert_eq!(world.reached("ana.ito", "web", "settled").await["ended"], 2);
}

#[tokio::test]
async fn whoever_has_the_name_of_a_leaver_now_keeps_the_session() {
    let world = World::start(|names| names.usual()).await;
    let (okta, store) = (world.scim("okta"), world.store("web").await);
    let ben = okta.create(&person(1001, "ben")).await;
    okta.patch(&ben, &json!({"op": "Replace", "path": "userName", "value": "ben.old"})).await.expect_status(200);
    okta.create(&person(1002, "ben")).await;
    let (old, new) = (store.sign_in("ben.old").await, store.sign_in("ben").await);
    okta.deactivate(&ben).await;
    store.ends(&old).await;
    world.reached("ben.old", "web", "settled").await;
    assert!(store.lives(&new).await, "the other Ben works on");
}
