//! What only the layout of Laravel has to bear: browsers that are remembered.

use downstreams::{Downstream, SessionKind, Subject};
use lifecycle::Action;
use serde_json::json;

use crate::stores::{Store, end, find, ids, laravel::Laravel};

async fn verify(adapter: &dyn Downstream, user: &str) -> usize {
    adapter.verify(&[Subject::new([user])]).await.unwrap()[0].len()
}

#[tokio::test]
async fn a_remembered_user_has_what_refreshes_and_it_ends_by_itself() {
    let store = Laravel::create(true).await;
    let session = store.sign_in("ana").await;
    store.remember("ana").await;
    store.remember("bob").await;
    let before = store.tokens().await;
    let adapter = store.adapter();
    assert!(adapter.capabilities().actions.contains(&Action::RevokeRefresh));

    let found = find(&*adapter, "ana").await.unwrap();
    let (refresh, sessions): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|session| session.kind == SessionKind::Refresh);
    assert_eq!(ids(&sessions), std::slice::from_ref(&session));
    assert_eq!(refresh.len(), 1);
    assert!(!before.iter().any(|token| refresh[0].id.expose().contains(token)), "the token stays in the database");

    assert_eq!(end(&*adapter, "ana", &refresh).await.unwrap(), 1);
    assert_eq!(store.tokens().await, before[1..], "Bob is still remembered");
    assert_eq!(store.ids().await, std::slice::from_ref(&session), "sessions are measured by an instant of their own");
    assert_eq!(end(&*adapter, "ana", &refresh).await.unwrap(), 0);
    assert_eq!(verify(&*adapter, "ana").await, 1);
    assert_eq!(end(&*adapter, "ana", &sessions).await.unwrap(), 1);
    assert_eq!(verify(&*adapter, "ana").await, 0);
    store.remove().await;
}

#[tokio::test]
async fn a_token_that_a_login_made_after_the_look_is_kept() {
    let store = Laravel::create(true).await;
    store.remember("ana").await;
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    store.database.run("update users set remember_token = null").await;
    store.remember("ana").await;
    let new = store.tokens().await;
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 0);
    assert_eq!(store.tokens().await, new);
    store.remove().await;
}

#[tokio::test]
async fn a_user_without_a_token_or_with_an_empty_one_is_not_remembered() {
    let store = Laravel::create(true).await;
    store.sign_in("ana").await;
    let adapter = store.adapter();
    for token in ["null", "''"] {
        store.database.run(&format!("update users set remember_token = {token}")).await;
        let found = find(&*adapter, "ana").await.unwrap();
        assert_eq!(found.iter().map(|session| session.kind).collect::<Vec<_>>(), [SessionKind::Session], "{token}");
    }
    store.remove().await;
}

#[tokio::test]
async fn where_nobody_is_remembered_the_table_of_users_is_not_touched() {
    let store = Laravel::create(false).await;
    let id = store.sign_in("7").await;
    let url = store.database.url_with(&["select (id, user_id), delete on sessions"]).await;
    let adapter = store.adapter_with(json!({ "url": url, "remember": "none" }));
    adapter.probe().await.unwrap();
    assert!(!adapter.capabilities().actions.contains(&Action::RevokeRefresh));
    let found = find(&*adapter, "7").await.unwrap();
    assert_eq!(ids(&found), [id]);
    assert_eq!(end(&*adapter, "7", &found).await.unwrap(), 1);
    store.remove().await;
}

#[tokio::test]
async fn the_rights_that_the_manual_names_suffice() {
    let store = Laravel::create(true).await;
    store.sign_in("ana").await;
    store.remember("ana").await;
    let rights = [
        "select (id, user_id), delete on sessions",
        "select (id, email, remember_token), update (remember_token) on users",
    ];
    let adapter = store.adapter_with(json!({ "url": store.database.url_with(&rights).await }));
    adapter.probe().await.unwrap();
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 2);
    assert_eq!(verify(&*adapter, "ana").await, 0);
    store.remove().await;
}
