//! The session index: it is quick, it is told what appears, and nothing is believed because of it.

use std::{sync::Arc, time::Duration};

use downstreams::{Appeared, Downstream, Error, Match, Subject};
use redis::cmd;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

use super::servers::{Server, session, until};
use crate::stores::{build, chain, end, find, ids, login, wire::Wire};

/// A server that tells of written sessions.
async fn telling() -> Server {
    Server::start(&["--save", "", "--notify-keyspace-events", "E$"]).await
}

fn config(port: u16) -> Value {
    let url = format!("redis://127.0.0.1:{port}");
    json!({ "type": "redis", "url": url, "layout": "connect-redis", "path": "passport.user", "session_index": true })
}

fn adapter(port: u16) -> Arc<dyn Downstream> {
    build(config(port), json!({}), Match::Exact)
}

/// What the index tells of next.
pub async fn appeared(told: &mut UnboundedReceiver<Appeared>) -> Appeared {
    timeout(Duration::from_secs(60), told.recv()).await.expect("it tells of nothing").unwrap()
}

/// Follows until the store breaks off, and then says why.
pub fn follow(adapter: &Arc<dyn Downstream>) -> (JoinHandle<Error>, UnboundedReceiver<Appeared>) {
    let (adapter, (tell, told)) = (adapter.clone(), unbounded_channel());
    let following = tokio::spawn(async move {
        let Err(error) = adapter.index().unwrap().follow(&tell).await;
        error
    });
    (following, told)
}

pub async fn sign_in(server: &Server, user: &str, id: &str) {
    server.run::<()>(cmd("SET").arg(format!("sess:{id}")).arg(session(user))).await;
}

pub async fn known(adapter: &Arc<dyn Downstream>, user: &str) -> Vec<String> {
    ids(&adapter.index().unwrap().known(&[Subject::new([user])]).await.unwrap()[0])
}

/// Waits until the index has these of a user.
pub async fn knows(adapter: &Arc<dyn Downstream>, user: &str, expected: &[&str]) {
    until("the index knows", async || (known(adapter, user).await == expected).then_some(())).await;
}

pub async fn is_told(adapter: &Arc<dyn Downstream>) {
    let state = || adapter.index().unwrap().state();
    until("the index is told of what is written", async || {
        (state().notified && state().walked_at.is_some()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_index_that_knows_nothing_hides_nobody() {
    let server = telling().await;
    let adapter = adapter(server.port);
    sign_in(&server, "ana", "one").await;
    assert_eq!(known(&adapter, "ana").await, Vec::<String>::new(), "nobody follows yet");
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), ["one"]);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
}

#[tokio::test]
async fn what_lives_and_what_begins_is_known_and_a_wrong_entry_is_nobodys() {
    let server = telling().await;
    sign_in(&server, "ana", "before").await;
    let adapter = adapter(server.port);
    let (_following, _) = follow(&adapter);
    knows(&adapter, "ana", &["before"]).await;
    is_told(&adapter).await;
    sign_in(&server, "ana", "after").await;
    server.run::<()>(cmd("SET").arg("other:key").arg(session("ana"))).await;
    knows(&adapter, "ana", &["after", "before"]).await;
    assert_eq!(adapter.index().unwrap().state().sessions, 2);

    // The index still has both under the first user.
    sign_in(&server, "bob", "before").await;
    server.run::<()>(cmd("DEL").arg("sess:after")).await;
    knows(&adapter, "bob", &["before"]).await;
    assert_eq!(known(&adapter, "ana").await, Vec::<String>::new());
    assert_eq!(adapter.index().unwrap().state().sessions, 3);
}

#[tokio::test]
async fn whoever_is_watched_is_told_of_at_once() {
    let server = telling().await;
    let adapter = adapter(server.port);
    let (_following, mut told) = follow(&adapter);
    is_told(&adapter).await;
    let ana = Uuid::from_u128(7);
    adapter.index().unwrap().watch(ana, Some(&Subject::new(["ana"])));
    sign_in(&server, "bob", "one").await;
    sign_in(&server, "ana", "two").await;
    let seen = appeared(&mut told).await;
    assert_eq!((seen.who, seen.session.id.expose()), (ana, "two"));
    adapter.index().unwrap().watch(ana, None);
    sign_in(&server, "ana", "three").await;
    knows(&adapter, "ana", &["three", "two"]).await;
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_tells_nothing_is_walked_over_and_the_probe_says_how_to_change_that() {
    let server = Server::start(&["--save", "", "--notify-keyspace-events", "Kg"]).await;
    sign_in(&server, "ana", "one").await;
    let adapter = adapter(server.port);
    let note = "The server does not tell of sessions that are written, so the session index learns of them by walks alone: \
                redis-cli CONFIG SET notify-keyspace-events 'gKE$'.";
    assert_eq!(adapter.probe().await.unwrap().notes, [note]);
    let (_following, _) = follow(&adapter);
    knows(&adapter, "ana", &["one"]).await;
    until("the walk is over", async || adapter.index().unwrap().state().walked_at).await;
    assert!(!adapter.index().unwrap().state().notified);

    server.ask::<()>("CONFIG SET notify-keyspace-events gKE$").await;
    assert_eq!(adapter.probe().await.unwrap().notes, Vec::<String>::new());
}

#[tokio::test]
async fn an_index_that_lost_its_server_says_so_and_learns_what_it_missed() {
    let server = telling().await;
    let wire = Wire::to(format!("127.0.0.1:{}", server.port)).await;
    let adapter = adapter(wire.address.port());
    let (following, _) = follow(&adapter);
    is_told(&adapter).await;
    wire.cut();
    let error = following.await.unwrap();
    assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
    assert!(!adapter.index().unwrap().state().notified);
    sign_in(&server, "ana", "meanwhile").await;
    wire.mend();
    let (_following, _) = follow(&adapter);
    knows(&adapter, "ana", &["meanwhile"]).await;
    is_told(&adapter).await;
}

#[tokio::test]
async fn the_rights_of_an_index_suffice_and_each_is_needed() {
    let server = telling().await;
    let rights = ["~sess:*", "+scan", "+mget", "+unlink", "+subscribe", "&__keyevent@0__:set"];
    let as_one_who_may = async |rights: &[&str]| {
        let mut order = cmd("ACL");
        order.arg("SETUSER").arg("leaver").arg(&["reset", "on", ">pw"][..]).arg(rights);
        server.run::<()>(&order).await;
        let url = login(&format!("redis://127.0.0.1:{}", server.port), "leaver", "pw");
        build(config(server.port), json!({ "url": url }), Match::Exact)
    };
    for missing in &rights[1..] {
        let granted: Vec<&str> = rights.iter().filter(|right| *right != missing).copied().collect();
        let error = as_one_who_may(&granted).await.probe().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized(_)), "{missing}: {}", chain(&error));
    }
    let adapter = as_one_who_may(&rights).await;
    let notes = adapter.probe().await.unwrap().notes;
    assert!(notes.len() == 1 && notes[0].contains("+config|get"), "{notes:?}");
    sign_in(&server, "ana", "one").await;
    let (_following, _) = follow(&adapter);
    knows(&adapter, "ana", &["one"]).await;
    sign_in(&server, "ana", "two").await;
    knows(&adapter, "ana", &["one", "two"]).await;

    let all = as_one_who_may(&[&rights[..], &["+config|get"]].concat()).await;
    assert_eq!(all.probe().await.unwrap().notes, Vec::<String>::new());
}
