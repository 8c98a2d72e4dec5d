//! What only the Keycloak adapter has to bear.

use std::{cell::Cell, time::Duration};

use chrono::Utc;
use downstreams::{Downstream, Ending, Error, SessionId, SessionKind, Subject};
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    server,
    stores::{Store, chain, end, find, ids, keycloak::Keycloak, sorted, wire::Wire},
};

/// A deadline for what takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(30);

/// Ends one session and says whether it was there.
async fn end_one(adapter: &dyn Downstream, user: &str, id: &str) -> bool {
    let (subject, sessions) = (Subject::new([user]), [SessionId::new(id)]);
    adapter.end(&[Ending { subject: &subject, sessions: &sessions }]).await.unwrap() == [1]
}

#[tokio::test]
async fn each_kind_of_session_is_found_with_its_beginning_and_ends_alone() {
    let store = Keycloak::create().await;
    let [ana, ..] = store.users();
    let adapter = store.adapter();
    let before = Utc::now();
    let (online, browser) = store.sign_in_at("portal", ana, false).await;
    let (offline, phone) = store.sign_in_at("mail", ana, true).await;

    let found = find(&*adapter, ana).await.unwrap();
    let kinds: Vec<_> = found.iter().map(|session| (session.kind, session.id.expose().to_owned())).collect();
    assert_eq!(kinds, [(SessionKind::Session, online.clone()), (SessionKind::Refresh, offline.clone())]);
    for session in &found {
        let began = session.auth_time.unwrap();
        assert!(began <= Utc::now() && (before - began).num_milliseconds() < 1_000, "whole seconds: {before} {began}");
    }

    assert!(store.realm.is_active("portal", &browser).await && store.realm.is_active("mail", &phone).await);
    assert!(end_one(&*adapter, ana, &online).await);
    assert!(!store.realm.is_active("portal", &browser).await);
    store.realm.refresh("portal", &browser).await.unwrap_err();
    let phone = store.realm.refresh("mail", &phone).await.expect("the offline session is another one");

    assert!(end_one(&*adapter, ana, &offline).await);
    assert!(!store.realm.is_active("mail", &phone).await);
    store.realm.refresh("mail", &phone).await.unwrap_err();
    assert_eq!(find(&*adapter, ana).await.unwrap(), []);
    store.remove().await;
}

/// Each question reads the session; one that began before the deletion may put it back into Keycloak's cache, where no list shows it.
/// Looking again, as sweeps do, ends it all the same.
#[tokio::test]
async fn a_session_that_ends_while_applications_ask_for_it_stays_ended() {
    let store = Keycloak::create().await;
    let [ana, ..] = store.users();
    let adapter = store.adapter();
    for round in 0..10 {
        let (id, tokens) = store.sign_in_at("portal", ana, false).await;
        let told = Cell::new(0);
        let asking = join_all((0..4).map(async |_| {
            while store.realm.is_active("portal", &tokens).await {}
            told.set(told.get() + 1);
        }));
        let ending = async {
            assert!(store.realm.is_active("portal", &tokens).await);
            assert!(end_one(&*adapter, ana, &id).await);
            // What the last questions put back is found by one look more.
            while !find(&*adapter, ana).await.unwrap().is_empty() || told.get() < 4 {}
        };
        // Each stops asking once it is told that the session has ended.
        let asked = timeout(SOON, join(asking, ending)).await;
        assert!(asked.is_ok(), "round {round}: the token still holds");
        assert!(!store.realm.is_active("portal", &tokens).await);
        store.realm.refresh("portal", &tokens).await.unwrap_err();
    }
    store.remove().await;
}

/// Here because it belongs to somebody else, otherwise because it is in Keycloak's cache alone.
#[tokio::test]
async fn what_was_ordered_to_end_is_ended_by_the_next_look_although_no_list_shows_it() {
    let store = Keycloak::create().await;
    let [ana, ben, _] = store.users();
    let wire = Wire::to(server(&store)).await;
    let adapter = store.adapter_with(json!({ "url": store.url_at(wire.address) }));
    let (id, tokens) = store.sign_in_at("portal", ana, false).await;
    let (subject, sessions) = (Subject::new([ben]), [SessionId::new(&*id)]);
    find(&*adapter, ben).await.unwrap();

    wire.cut();
    adapter.end(&[Ending { subject: &subject, sessions: &sessions }]).await.unwrap_err();
    wire.mend();
    assert!(store.realm.is_active("portal", &tokens).await);
    let back = find(&*adapter, ben).await.unwrap();
    assert_eq!((ids(&back), back[0].kind), (vec![id], SessionKind::Session));
    assert!(!store.realm.is_active("portal", &tokens).await);
    assert_eq!(find(&*adapter, ben).await.unwrap(), []);
    store.remove().await;
}

#[tokio::test]
async fn offline_sessions_of_every_client_are_found_disabled_ones_and_disabled_users_too() {
    let store = Keycloak::create().await;
    let [ana, ben, _] = store.users();
    let all = sorted([
        store.sign_in_at("portal", ana, true).await.0,
        store.sign_in_at("mail", ana, true).await.0,
        store.sign_in_at("mail", ana, true).await.0,
        store.sign_in_at("portal", ana, false).await.0,
    ]);
    let other = store.sign_in_at("mail", ben, true).await.0;
    let client = store.realm.get("/clients?clientId=mail").await[0].clone();
    let path = format!("/clients/{}", client["id"].as_str().unwrap());
    store.realm.admin(Method::PUT, &path, json!({ "clientId": "mail", "enabled": false })).await;
    store.realm.enable(ana, false).await;

    let adapter = store.adapter();
    let found = find(&*adapter, ana).await.unwrap();
    assert_eq!(ids(&found), all);
    assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 4);
    assert_eq!(store.ids().await, [other]);
    store.remove().await;
}

#[tokio::test]
async fn somebody_keycloak_does_not_know_has_no_sessions() {
    let store = Keycloak::create().await;
    let [ana, ..] = store.users();
    store.sign_in(ana).await;
    let adapter = store.adapter();
    for nobody in ["no-such-user", "", ".", "..", "../users", "a/b?c#d", "ana", "profile", "zoë"] {
        assert_eq!(find(&*adapter, nobody).await.unwrap(), [], "{nobody}");
    }
    store.realm.admin(Method::DELETE, &format!("/users/{ana}"), Value::Null).await;
    assert_eq!(find(&*adapter, ana).await.unwrap(), []);
    assert!(!end_one(&*adapter, ana, "online:gone").await);
    assert!(!end_one(&*adapter, ana, "not of ours").await);
    store.remove().await;
}

#[tokio::test]
async fn manage_users_suffices_and_what_lacks_is_named() {
    let store = Keycloak::create().await;
    let [ana, ..] = store.users();
    store.sign_in(ana).await;
    store.realm.add_client("least", &["manage-users"]).await;
    let adapter = store.adapter_with(store.realm.settings("least"));
    let probe = adapter.probe().await.unwrap();
    assert_eq!((probe.store.as_str(), probe.notes), ("Keycloak", vec![]));
    let found = find(&*adapter, ana).await.unwrap();
    assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 1);

    store.realm.add_client("less", &["view-users", "query-users", "view-realm"]).await;
    store.realm.add_client("none", &[]).await;
    for client in ["less", "none"] {
        let error = store.adapter_with(store.realm.settings(client)).probe().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized(_)), "{client}: {}", chain(&error));
        assert!(chain(&error).contains("lacks the role manage-users"), "{client}: {}", chain(&error));
    }
    store.remove().await;
}

#[tokio::test]
async fn a_token_that_the_server_no_longer_takes_is_replaced_within_the_call() {
    let store = Keycloak::create().await;
    let [ana, ..] = store.users();
    let adapter = store.adapter();
    assert_eq!(find(&*adapter, ana).await.unwrap(), []);
    store.sign_in(ana).await;
    // Every token from before this second is refused.
    let second = Utc::now().timestamp() + 1;
    store.realm.admin(Method::PUT, "", json!({ "notBefore": second })).await;
    while Utc::now().timestamp() <= second {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(find(&*adapter, ana).await.unwrap().len(), 1);
    store.remove().await;
}

#[tokio::test]
async fn a_hundred_people_are_looked_up_in_one_call() {
    let store = Keycloak::create().await;
    let users: Vec<Value> = (0..100)
        .map(|n| {
            let password = json!([{ "type": "password", "value": format!("pw-p{n}") }]);
            let mail = format!("p{n}@example.com");
            json!({ "username": format!("p{n}"), "enabled": true, "email": mail, "firstName": "P", "lastName": "P", "credentials": password })
        })
        .collect();
    store.realm.admin(Method::POST, "/partialImport", json!({ "ifResourceExists": "FAIL", "users": users })).await;
    let mut subjects = Vec::new();
    for n in 0..100 {
        subjects.push(Subject::new([store.realm.user_id(&format!("p{n}")).await]));
    }
    store.realm.sign_in("portal", "p77", "openid").await.unwrap();
    let found = store.adapter().find(&subjects).await.unwrap();
    let counts: Vec<_> = found.iter().enumerate().filter(|(_, found)| !found.is_empty()).collect();
    assert_eq!((found.len(), counts.len(), counts[0].0), (100, 1, 77));
    store.remove().await;
}
