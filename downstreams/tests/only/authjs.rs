//! What only the layout of Auth.js has to bear.

use downstreams::Error;
use serde_json::json;

use crate::stores::{
    Store,
    authjs::{Authjs, USERS},
    chain, end, find, ids,
};

#[tokio::test]
async fn the_rights_that_the_manual_names_suffice_and_no_token_is_read() {
    let store = Authjs::create(true).await;
    store.sign_in("ana@example.com").await;
    let rights = ["select (id, \"userId\", expires), delete on sessions", "select (id, email) on users"];
    let adapter = store.adapter_with(json!({ "url": store.database.url_with(&rights).await }));
    adapter.probe().await.unwrap();
    let found = find(&*adapter, "ana@example.com").await.unwrap();
    assert_eq!(end(&*adapter, "ana@example.com", &found).await.unwrap(), 1);
    store.remove().await;
}

#[tokio::test]
async fn a_session_that_has_expired_is_none() {
    let store = Authjs::create(true).await;
    let (expired, live) = (store.sign_in("ana").await, store.sign_in("ana").await);
    store
        .database
        .run(&format!("update sessions set expires = now() - interval '1 second' where id = {expired}"))
        .await;
    assert_eq!(ids(&find(&*store.adapter(), "ana").await.unwrap()), [live]);
    store.remove().await;
}

#[tokio::test]
async fn a_statement_for_users_may_end_in_a_semicolon_and_has_to_fit() {
    let store = Authjs::create(true).await;
    let id = store.sign_in("ana").await;
    let adapter = store.adapter_with(json!({ "users": format!("{USERS};\n") }));
    assert_eq!(ids(&find(&*adapter, "ana").await.unwrap()), [id]);
    let adapter = store.adapter_with(json!({ "users": "select name from users where email = $1" }));
    let error = adapter.probe().await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("42883"), "{}", chain(&error));
    store.remove().await;
}
