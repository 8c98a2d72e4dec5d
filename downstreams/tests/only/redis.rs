//! What only the Redis adapter has to bear.

use crate::stores::{Store, build, end, find, ids, redis::Redis, sorted};
use downstreams::Match;
use serde_json::json;

#[tokio::test]
async fn a_store_of_many_pages_is_read_whole_and_each_session_once() {
    let store = Redis::with_names().await;
    let mut sessions = ::redis::pipe();
    for number in 0..5000 {
        let user = if number % 2 == 0 { "ana" } else { "bob" };
        let session = json!({ "cookie": {}, "passport": { "user": user } }).to_string();
        sessions.set(format!("{}{number}", store.prefix), session).ignore();
    }
    sessions.exec_async(&mut store.connection.clone()).await.unwrap();
    let adapter = build(store.config(), json!({}), Match::Exact);
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), sorted((0..2500).map(|number| (number * 2).to_string())));
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 2500);
    assert_eq!(store.ids().await.len(), 2500);
    store.remove().await;
}

#[tokio::test]
async fn keys_that_are_no_sessions_are_passed_over() {
    let store = Redis::with_names().await;
    let id = store.sign_in("ana").await;
    let key = |name: &str| format!("{}{name}", store.prefix);
    store.set(&key("text"), "not json").await;
    store.set(&key("visitor"), r#"{"cookie":{}}"#).await;
    for (command, arguments) in [("SADD", &["ana"][..]), ("HSET", &["user", "ana"]), ("RPUSH", &["ana"])] {
        let mut order = ::redis::cmd(command);
        order.arg(key(command)).arg(arguments).exec_async(&mut store.connection.clone()).await.unwrap();
    }
    let adapter = build(store.config(), json!({}), Match::Exact);
    assert_eq!(ids(&find(&*adapter, "ana").await.unwrap()), [id]);
    store.remove().await;
}

#[tokio::test]
async fn a_prefix_of_glob_characters_matches_only_itself() {
    let store = Redis::with_names().await;
    let session = json!({ "passport": { "user": "ana" } }).to_string();
    let prefix = format!("{}[a-c]*?\\:", store.prefix);
    store.set(&format!("{prefix}mine"), &session).await;
    store.set(&format!("{}axx\\:theirs", store.prefix), &session).await;
    store.set(&format!("{}b:theirs", store.prefix), &session).await;
    let adapter = build(store.config(), json!({ "prefix": prefix }), Match::Exact);
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), ["mine"]);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
    assert_eq!(store.ids().await.len(), 2);
    store.remove().await;
}

#[tokio::test]
async fn a_probe_says_when_the_path_leads_nowhere() {
    let store = Redis::with_names().await;
    for _ in 0..20 {
        store.sign_in("ana").await;
    }
    let adapter = build(store.config(), json!({ "path": "session.user" }), Match::Exact);
    let notes = adapter.probe().await.unwrap().notes;
    assert_eq!(notes, ["None of 20 sessions looked at has a user at `path`."]);
    store.remove().await;
}
