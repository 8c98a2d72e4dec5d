//! A session index where there are several servers: every primary of a cluster is heard, and whoever takes over is followed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use downstreams::{Appeared, Downstream, Error, Match, Subject};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{
    index::{appeared, follow, knows, sign_in},
    servers::{Cluster, Shop, until},
};
use crate::stores::{build, chain};

/// So that a server tells of written sessions.
const TELLING: &[&str] = &["--notify-keyspace-events", "E$"];

fn adapter(port: u16, place: Value) -> Arc<dyn Downstream> {
    let url = format!("redis://127.0.0.1:{port}");
    let config = json!({ "type": "redis", "url": url, "layout": "connect-redis", "path": "passport.user", "session_index": true });
    build(config, place, Match::Exact)
}

fn of_cluster(cluster: &Cluster) -> Arc<dyn Downstream> {
    // The second node is asked as well, so the first may be gone.
    adapter(cluster.nodes[0].port, json!({ "cluster": [format!("127.0.0.1:{}", cluster.nodes[1].port)] }))
}

/// Follows again whenever the store breaks off, as the revoker does.
fn keep(adapter: &Arc<dyn Downstream>) -> (JoinHandle<()>, UnboundedReceiver<Appeared>) {
    let (adapter, (tell, told)) = (adapter.clone(), unbounded_channel());
    let keeping = tokio::spawn(async move {
        loop {
            let Err(error) = adapter.index().unwrap().follow(&tell).await;
            assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
            sleep(Duration::from_millis(20)).await;
        }
    });
    (keeping, told)
}

/// Waits until the index is told, and complete since. What it learns from then on, for ten minutes, no walk has shown it.
pub async fn is_complete(adapter: &Arc<dyn Downstream>, since: SystemTime) {
    until("the index is told, and has walked", async || {
        let state = adapter.index().unwrap().state();
        (state.notified && state.walked_at.is_some_and(|at| at > since)).then_some(())
    })
    .await;
}

fn watch_ana(adapter: &Arc<dyn Downstream>) {
    adapter.index().unwrap().watch(Uuid::from_u128(7), Some(&Subject::new(["ana"])));
}

#[tokio::test]
async fn every_primary_of_a_cluster_is_walked_over_and_heard() {
    let cluster = Cluster::start([TELLING, TELLING]).await;
    let [first, second] = &cluster.nodes;
    sign_in(first, "ana", "{bar}1").await;
    sign_in(second, "ana", "{foo}1").await;
    let adapter = of_cluster(&cluster);
    let begun = SystemTime::now();
    let (_following, mut told) = follow(&adapter);
    is_complete(&adapter, begun).await;
    knows(&adapter, "ana", &["{bar}1", "{foo}1"]).await;
    assert_eq!(adapter.index().unwrap().state().sessions, 2);

    watch_ana(&adapter);
    for (node, id) in [(first, "{bar}2"), (second, "{foo}2")] {
        sign_in(node, "ana", id).await;
        assert_eq!(appeared(&mut told).await.session.id.expose(), id);
    }
    knows(&adapter, "ana", &["{bar}1", "{bar}2", "{foo}1", "{foo}2"]).await;
    assert_eq!(adapter.index().unwrap().state().sessions, 4);
}

#[tokio::test]
async fn a_primary_that_tells_nothing_is_named_and_keeps_the_index_from_being_told() {
    let cluster = Cluster::start([TELLING, &[]]).await;
    let [first, second] = &cluster.nodes;
    let adapter = of_cluster(&cluster);
    let port = second.port;
    let note = format!(
        "The server at 127.0.0.1:{port} does not tell of sessions that are written, so the session index learns of them by walks \
         alone: redis-cli -h 127.0.0.1 -p {port} CONFIG SET notify-keyspace-events 'E$'."
    );
    assert_eq!(adapter.probe().await.unwrap().notes, [note]);
    let (_following, mut told) = follow(&adapter);
    watch_ana(&adapter);
    until("the walk is over", async || adapter.index().unwrap().state().walked_at).await;
    sign_in(first, "ana", "{bar}").await;
    appeared(&mut told).await;
    assert!(!adapter.index().unwrap().state().notified, "one of two tells");

    second.ask::<()>("CONFIG SET notify-keyspace-events E$").await;
    assert_eq!(adapter.probe().await.unwrap().notes, Vec::<String>::new());
    sign_in(second, "ana", "{foo}").await;
    appeared(&mut told).await;
    assert!(adapter.index().unwrap().state().notified, "what it tells shows that it tells");
}

#[tokio::test]
async fn slots_that_have_moved_are_noticed_and_heard_where_they_are_now() {
    let cluster = Cluster::start([TELLING, TELLING]).await;
    let [first, second] = &cluster.nodes;
    let adapter = of_cluster(&cluster);
    let (following, _) = follow(&adapter);
    is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
    let slot: u64 = first.ask("CLUSTER KEYSLOT sess:{bar}").await;
    let moved = SystemTime::now();
    cluster.move_slot(slot).await;
    let error = timeout(Duration::from_secs(60), following).await.expect("it goes on").unwrap();
    assert!(matches!(error, Error::Unavailable(_)) && chain(&error).contains("at other servers"), "{}", chain(&error));
    assert!(!adapter.index().unwrap().state().notified);

    sign_in(second, "ana", "{bar}1").await;
    let (_keeping, mut told) = keep(&adapter);
    is_complete(&adapter, moved).await;
    knows(&adapter, "ana", &["{bar}1"]).await;
    watch_ana(&adapter);
    sign_in(second, "ana", "{bar}2").await;
    assert_eq!(appeared(&mut told).await.session.id.expose(), "{bar}2");
}

#[tokio::test]
async fn a_replica_that_takes_over_in_a_cluster_is_heard() {
    let mut cluster = Cluster::start([TELLING, TELLING]).await;
    let replica = cluster.replica(TELLING).await;
    let adapter = of_cluster(&cluster);
    let (_keeping, mut told) = keep(&adapter);
    is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
    cluster.nodes[0].kill();
    until("nothing is said to be told by a server that is gone", async || {
        (!adapter.index().unwrap().state().notified).then_some(())
    })
    .await;
    let gone = SystemTime::now();
    replica.ask::<()>("CLUSTER FAILOVER TAKEOVER").await;
    is_complete(&adapter, gone).await;
    watch_ana(&adapter);
    sign_in(&replica, "ana", "{bar}").await;
    assert_eq!(appeared(&mut told).await.session.id.expose(), "{bar}");
}

#[tokio::test]
async fn the_next_primary_that_sentinel_names_is_heard() {
    let mut shop = Shop::start(TELLING).await;
    sign_in(&shop.primary, "ana", "before").await;
    until("the replica has it", async || (shop.replica.ask::<u64>("DBSIZE").await == 1).then_some(())).await;
    let adapter = adapter(shop.sentinel.port, json!({ "master": "shop" }));
    let (_keeping, mut told) = keep(&adapter);
    is_complete(&adapter, SystemTime::UNIX_EPOCH).await;
    shop.primary.kill();
    until("nothing is said to be told by a server that is gone", async || {
        (!adapter.index().unwrap().state().notified).then_some(())
    })
    .await;
    is_complete(&adapter, SystemTime::now()).await;
    knows(&adapter, "ana", &["before"]).await;
    watch_ana(&adapter);
    sign_in(&shop.replica, "ana", "after").await;
    assert_eq!(appeared(&mut told).await.session.id.expose(), "after");
}
