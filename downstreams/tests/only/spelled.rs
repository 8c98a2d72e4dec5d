//! The session index of a store that has one by user itself, in every spelling of the user: `match: ignore_case`.

use std::{sync::Arc, time::SystemTime};

use downstreams::{Downstream, Error, Match, Subject};
use redis::cmd;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    following::is_complete,
    index::{appeared, follow, known, knows},
    servers::{Server, until},
};
use crate::stores::{Store, build, chain, end, find, generic::Generic, ids, login, sorted, spring::Spring};

async fn telling() -> Server {
    Server::start(&["--save", "", "--notify-keyspace-events", "Es"]).await
}

fn config(port: u16) -> Value {
    let url = format!("redis://127.0.0.1:{port}");
    let (index, session) = ("user:{subject}:sessions", "session:{id}");
    json!({ "type": "redis", "url": url, "layout": "generic", "index": index, "session": session, "session_index": true })
}

fn adapter(server: &Server) -> Arc<dyn Downstream> {
    build(config(server.port), json!({}), Match::IgnoreCase)
}

async fn sign_in(server: &Server, user: &str, id: &str) {
    server.run::<()>(cmd("SET").arg(format!("session:{id}")).arg("")).await;
    server.run::<()>(cmd("SADD").arg(format!("user:{user}:sessions")).arg(id)).await;
}

#[tokio::test]
async fn every_spelling_is_known_and_ended_without_a_walk() {
    let server = telling().await;
    sign_in(&server, "Ana", "before").await;
    let adapter = adapter(&server);
    let (_following, _) = follow(&adapter);
    is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
    knows(&adapter, "ana", &["before"]).await;
    sign_in(&server, "ANA", "after").await;
    sign_in(&server, "anna", "another").await;
    knows(&adapter, "aNA", &["after", "before"]).await;
    assert_eq!(adapter.index().unwrap().state().sessions, 3, "users, by their spellings");

    let walked = async || {
        let statistics: String = server.ask("INFO commandstats").await;
        statistics.lines().find(|line| line.starts_with("cmdstat_scan:")).map(str::to_owned)
    };
    let before = walked().await;
    let found = adapter.index().unwrap().known(&[Subject::new(["ana"])]).await.unwrap().remove(0);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 2);
    assert_eq!(sorted(server.ask::<Vec<String>>("KEYS *").await), ["session:another", "user:anna:sessions"]);
    assert_eq!(walked().await, before);
    assert_eq!(find(&*adapter, "ana").await.unwrap(), []);
}

#[tokio::test]
async fn an_index_of_spellings_that_knows_nothing_hides_nobody() {
    let server = telling().await;
    sign_in(&server, "Ana", "one").await;
    sign_in(&server, "ANA", "two").await;
    let adapter = adapter(&server);
    assert_eq!(known(&adapter, "ana").await, Vec::<String>::new(), "nobody follows yet");
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), ["one", "two"]);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 2);
    assert_eq!(server.ask::<Vec<String>>("KEYS *").await, Vec::<String>::new(), "nor do the indexes name them");
}

#[tokio::test]
async fn of_whoever_is_watched_what_lives_is_told_in_any_spelling() {
    let server = telling().await;
    let adapter = adapter(&server);
    let (_following, mut told) = follow(&adapter);
    is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
    adapter.index().unwrap().watch(Uuid::from_u128(7), Some(&Subject::new(["ana"])));
    sign_in(&server, "bob", "another's").await;
    // Its session is not there yet, or no longer.
    server.run::<()>(cmd("SADD").arg("user:ana:sessions").arg("named")).await;
    sign_in(&server, "Ana", "alive").await;
    let seen = appeared(&mut told).await;
    assert_eq!((seen.who, seen.session.id.expose()), (Uuid::from_u128(7), "alive"));
}

#[tokio::test]
async fn a_store_of_spring_and_a_cluster_are_followed_the_same_way() {
    let (spring, cluster) = (Spring::create(true).await, Generic::of_cluster().await);
    let stores: [&dyn Store; 3] = [&spring, &Spring::of_cluster().await, &cluster];
    for store in stores {
        let adapter = build(store.config(), json!({ "session_index": true }), Match::IgnoreCase);
        assert_eq!(adapter.probe().await.unwrap().notes, Vec::<String>::new(), "{}", store.name());
        let before = store.sign_in("Ana").await;
        let (_following, mut told) = follow(&adapter);
        is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
        knows(&adapter, "ana", &[&before]).await;
        adapter.index().unwrap().watch(Uuid::from_u128(7), Some(&Subject::new(["ana"])));
        let after = store.sign_in("ANA").await;
        assert_eq!(appeared(&mut told).await.session.id.expose(), after, "{}", store.name());
        let found = adapter.index().unwrap().known(&[Subject::new(["ana"])]).await.unwrap().remove(0);
        assert_eq!(ids(&found), sorted([before, after]), "{}", store.name());
        assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 2, "{}", store.name());
        assert_eq!(store.ids().await, Vec::<String>::new(), "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn the_rights_of_an_index_of_spellings_suffice_and_each_is_needed() {
    let server = telling().await;
    let rights = [
        "~user:*",
        "~session:*",
        "+smembers",
        "+exists",
        "+unlink",
        "+srem",
        "+scan",
        "+subscribe",
        "&__keyevent@0__:sadd",
    ];
    let as_one_who_may = async |rights: &[&str]| {
        let mut order = cmd("ACL");
        order.arg("SETUSER").arg("leaver").arg(&["reset", "on", ">pw"][..]).arg(rights);
        server.run::<()>(&order).await;
        let url = login(&format!("redis://127.0.0.1:{}", server.port), "leaver", "pw");
        build(config(server.port), json!({ "url": url }), Match::IgnoreCase)
    };
    for missing in &rights[2..] {
        let granted: Vec<&str> = rights.iter().filter(|right| *right != missing).copied().collect();
        let error = as_one_who_may(&granted).await.probe().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized(_)), "{missing}: {}", chain(&error));
    }
    let adapter = as_one_who_may(&rights).await;
    adapter.probe().await.unwrap();
    let (_following, _) = follow(&adapter);
    sign_in(&server, "Ana", "one").await;
    until("the index knows", async || (known(&adapter, "ana").await == ["one"]).then_some(())).await;
}
