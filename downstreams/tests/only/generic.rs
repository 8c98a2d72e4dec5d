//! What only an index of the application's own making has to bear.

use downstreams::{Error, Finds, Match};
use redis::AsyncCommands;
use serde_json::json;

use crate::stores::{Store, build, chain, end, find, generic::Generic, ids};

#[tokio::test]
async fn an_ended_session_leaves_the_index_and_an_expired_one_is_passed_over() {
    let store = Generic::create().await;
    let (expired, live) = (store.sign_in("ana").await, store.sign_in("ana").await);
    let mut redis = store.keys.connection.clone();
    redis.del::<_, ()>(format!("{}session:{expired}", store.keys.prefix)).await.unwrap();
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), [live]);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
    let left: Vec<String> = redis.smembers(store.index("ana")).await.unwrap();
    assert_eq!(left, [expired], "what expired is the application's to tidy up");
    store.remove().await;
}

#[tokio::test]
async fn case_is_ignored_by_a_look_at_the_names_of_all_indexes() {
    let store = Generic::create().await;
    let ids_of_ana = crate::stores::sorted([store.sign_in("Ana@x").await, store.sign_in("ANA@x").await]);
    store.sign_in("ana@xy").await;
    let adapter = build(store.config(), json!({}), Match::IgnoreCase);
    assert_eq!(adapter.capabilities().finds, Finds::ScanOnly);
    let found = find(&*adapter, "ana@X").await.unwrap();
    assert_eq!(ids(&found), ids_of_ana);
    assert_eq!(end(&*adapter, "ana@X", &found).await.unwrap(), 2);
    let indexes = store.keys.below(&format!("{}user:", store.keys.prefix)).await;
    assert_eq!(indexes, ["ana@xy:sessions"], "in whatever spelling they stood");
    store.remove().await;
}

#[tokio::test]
async fn an_index_that_is_no_set_of_text_is_rejected_in_words_that_help() {
    let store = Generic::create().await;
    store.keys.set(&store.index("ana"), "[\"s1\"]").await;
    let error = find(&*store.adapter(), "ana").await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("wrong kind of value"), "{}", chain(&error));
    store.keys.connection.clone().sadd::<_, _, ()>(store.index("bob"), b"\xff").await.unwrap();
    let error = find(&*store.adapter(), "bob").await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("not UTF-8"), "{}", chain(&error));
    store.remove().await;
}
