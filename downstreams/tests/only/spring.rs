//! What only the layouts of Spring Session have to bear.

use downstreams::Error;
use redis::AsyncCommands;
use serde_json::json;

use crate::stores::{Store, chain, end, find, ids, spring::Spring};

#[tokio::test]
async fn an_ended_session_is_left_expired_and_what_leads_to_it_goes() {
    let store = Spring::create(true).await;
    let id = store.sign_in("ana").await;
    let mut redis = store.keys.connection.clone();
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
    let interval: Vec<u8> = redis.hget(store.session(&id), "maxInactiveInterval").await.unwrap();
    assert!(interval.ends_with(b"xp\0\0\0\0"), "{interval:x?}");
    let left: i64 = redis.ttl(store.session(&id)).await.unwrap();
    assert!(left > 2000, "for as long as it would have lived, no request can bring it back: {left}");
    let (expires, index): (bool, bool) =
        (redis.exists(store.expires(&id)).await.unwrap(), redis.exists(store.index("ana")).await.unwrap());
    assert_eq!((expires, index), (false, false));
    store.remove().await;
}

#[tokio::test]
async fn a_request_in_flight_that_sets_an_interval_of_its_own_is_seen() {
    let store = Spring::create(true).await;
    let id = store.sign_in("ana").await;
    let interval: Vec<u8> =
        store.keys.connection.clone().hget(store.session(&id), "maxInactiveInterval").await.unwrap();
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    end(&*adapter, "ana", &found).await.unwrap();
    store.field(&id, "maxInactiveInterval", interval).await;
    let seen = find(&*adapter, "ana").await.unwrap();
    assert_eq!(seen, found, "although no index leads to it");
    assert_eq!(end(&*adapter, "ana", &seen).await.unwrap(), 1);
    store.remove().await;
}

#[tokio::test]
async fn a_session_that_never_expired_may_expire_once_ended() {
    let store = Spring::create(true).await;
    let id = store.sign_in("ana").await;
    let mut redis = store.keys.connection.clone();
    redis.persist::<_, ()>(store.session(&id)).await.unwrap();
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    end(&*adapter, "ana", &found).await.unwrap();
    let left: i64 = redis.ttl(store.session(&id)).await.unwrap();
    assert!((1..=300).contains(&left), "{left}");
    store.remove().await;
}

#[tokio::test]
async fn a_session_that_is_gone_does_not_come_into_being_by_ending_it() {
    let store = Spring::create(true).await;
    let id = store.sign_in("ana").await;
    let mut redis = store.keys.connection.clone();
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    redis.del::<_, ()>(store.session(&id)).await.unwrap();
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 0);
    assert!(!redis.exists::<_, bool>(store.session(&id)).await.unwrap());
    store.remove().await;
}

#[tokio::test]
async fn a_serializer_of_the_applications_own_is_rejected_rather_than_passed_over() {
    let store = Spring::create(true).await;
    let id = store.sign_in("ana").await;
    store.field(&id, "maxInactiveInterval", "1800").await;
    let error = find(&*store.adapter(), "ana").await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("serializer"), "{}", chain(&error));
    store.keys.connection.clone().sadd::<_, _, ()>(store.index("bob"), "\"id\"").await.unwrap();
    let error = find(&*store.adapter(), "bob").await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("no text"), "{}", chain(&error));
    store.remove().await;
}

#[tokio::test]
async fn a_probe_says_which_of_the_two_repositories_it_is() {
    for (indexed, words) in [(true, "indexed repository"), (false, "None of 1 sessions looked at is indexed")] {
        let store = Spring::create(indexed).await;
        store.sign_in("ana").await;
        let notes = store.adapter_with(json!({ "indexed": !indexed })).probe().await.unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains(words), "{notes:?}");
        assert_eq!(store.adapter().probe().await.unwrap().notes, Vec::<String>::new());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_principal_that_cannot_be_read_is_told_of() {
    let store = Spring::create(false).await;
    let id = store.sign_in("ana").await;
    let other = store.sign_in("ana").await;
    store.field(&other, "sessionAttr:SPRING_SECURITY_CONTEXT", b"{\"@class\":\"SecurityContextImpl\"}").await;
    assert_eq!(ids(&find(&*store.adapter(), "ana").await.unwrap()), [id]);
    let notes = store.adapter().probe().await.unwrap().notes;
    assert_eq!(notes, ["In 1 of 2 sessions looked at, the principal is of a class that cannot be read."]);
    store.remove().await;
}

#[tokio::test]
async fn a_name_that_the_application_gave_to_the_index_goes_before_the_principal() {
    let store = Spring::create(false).await;
    let id = store.sign_in("0d0e").await;
    let index = "sessionAttr:org.springframework.session.FindByIndexNameSessionRepository.PRINCIPAL_NAME_INDEX_NAME";
    store.field(&id, index, b"\xac\xed\x00\x05t\x00\x03ana").await;
    assert_eq!(ids(&find(&*store.adapter(), "ana").await.unwrap()), [id]);
    assert_eq!(find(&*store.adapter(), "0d0e").await.unwrap(), []);
    store.remove().await;
}
