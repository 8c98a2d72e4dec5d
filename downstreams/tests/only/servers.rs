//! Redis on several servers: a failover by Sentinel, and a cluster whose slots move. With servers of their own, which each test ends.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use downstreams::{Error, Match};
use redis::{Cmd, FromRedisValue, RedisResult, cmd};
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};

use crate::stores::{build, chain, end, find, ids, keys::connect, redis::Redis, unique};

pub struct Server {
    folder: PathBuf,
    pub port: u16,
    process: Child,
    url: String,
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

impl Server {
    pub async fn start(arguments: &[&str]) -> Self {
        let (folder, port) = (std::env::temp_dir().join(format!("leaver-redis-{}", unique())), free_port().await);
        fs::create_dir(&folder).unwrap();
        // A Sentinel wants a file that it can write to.
        fs::write(folder.join("redis.conf"), "").unwrap();
        let process = Command::new("redis-server")
            .arg(folder.join("redis.conf"))
            .args(arguments)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("redis://127.0.0.1:{port}");
        until("redis-server answers", async || {
            let mut connection = connect(&url).await.ok()?;
            cmd("PING").exec_async(&mut connection).await.ok()
        })
        .await;
        Self { folder, port, process, url }
    }

    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_run(command).await.unwrap()
    }

    pub async fn try_run<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        // A new connection: a server that becomes a primary closes those that it has.
        command.query_async(&mut connect(&self.url).await?).await
    }

    pub async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        self.try_ask(command).await.unwrap()
    }

    pub async fn try_ask<T: FromRedisValue>(&self, command: &str) -> RedisResult<T> {
        let mut words = command.split(' ');
        let mut order = cmd(words.next().unwrap());
        words.for_each(|word| {
            order.arg(word);
        });
        self.try_run(&order).await
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

pub async fn until<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub fn session(user: &str) -> String {
    json!({ "cookie": {}, "passport": { "user": user } }).to_string()
}

/// A primary with a replica, and a Sentinel that knows them as `shop`.
pub struct Shop {
    pub primary: Server,
    pub replica: Server,
    pub sentinel: Server,
}

impl Shop {
    pub async fn start(arguments: &[&str]) -> Self {
        let arguments = [&["--save", ""], arguments].concat();
        let primary = Server::start(&[&arguments[..], &["--repl-diskless-sync-delay", "0"]].concat()).await;
        let replica_of = format!("127.0.0.1 {}", primary.port);
        let replica = Server::start(&[&arguments[..], &["--replicaof", &replica_of]].concat()).await;
        follows(&replica).await;
        let sentinel = Server::start(&["--sentinel"]).await;
        sentinel.ask::<()>(&format!("SENTINEL MONITOR shop {replica_of} 1")).await;
        sentinel.ask::<()>("SENTINEL SET shop down-after-milliseconds 500").await;
        until("Sentinel knows the replica", async || {
            let known: Vec<Vec<String>> = sentinel.ask("SENTINEL REPLICAS shop").await;
            (known.len() == 1 && known[0].contains(&"ok".to_owned())).then_some(())
        })
        .await;
        Self { primary, replica, sentinel }
    }
}

async fn follows(replica: &Server) {
    until("the replica follows", async || {
        replica.ask::<String>("INFO replication").await.contains("master_link_status:up").then_some(())
    })
    .await;
}

/// A cluster of two primaries. The first has the slots up to 8000, `sess:{bar}` among them, and the second `sess:{foo}`.
pub struct Cluster {
    pub nodes: [Server; 2],
    bus: u16,
}

impl Cluster {
    pub async fn start(arguments: [&[&str]; 2]) -> Self {
        let buses = [free_port().await, free_port().await];
        let nodes = [cluster_node(buses[0], arguments[0]).await, cluster_node(buses[1], arguments[1]).await];
        nodes[0].ask::<()>("CLUSTER ADDSLOTSRANGE 0 8000").await;
        nodes[1].ask::<()>("CLUSTER ADDSLOTSRANGE 8001 16383").await;
        nodes[1].ask::<()>("CLUSTER SET-CONFIG-EPOCH 2").await;
        let cluster = Self { nodes, bus: buses[1] };
        cluster.admit(&cluster.nodes[0]).await;
        for node in &cluster.nodes {
            is_whole(node).await;
        }
        cluster
    }

    async fn admit(&self, node: &Server) {
        node.ask::<()>(&format!("CLUSTER MEET 127.0.0.1 {} {}", self.nodes[1].port, self.bus)).await;
    }

    /// A replica of the first node.
    pub async fn replica(&self, arguments: &[&str]) -> Server {
        let replica = cluster_node(free_port().await, arguments).await;
        self.admit(&replica).await;
        is_whole(&replica).await;
        let of: String = self.nodes[0].ask("CLUSTER MYID").await;
        until("the replica knows its primary", async || {
            replica.try_ask::<()>(&format!("CLUSTER REPLICATE {of}")).await.ok()
        })
        .await;
        follows(&replica).await;
        replica
    }

    /// Gives a slot of the first node, in which there is nothing, to the second.
    pub async fn move_slot(&self, slot: u64) {
        let taker: String = self.nodes[1].ask("CLUSTER MYID").await;
        for node in self.nodes.iter().rev() {
            node.ask::<()>(&format!("CLUSTER SETSLOT {slot} NODE {taker}")).await;
        }
    }
}

async fn cluster_node(bus: u16, arguments: &[&str]) -> Server {
    let bus = bus.to_string();
    let own = ["--save", "", "--cluster-enabled", "yes", "--cluster-port", &bus, "--repl-diskless-sync-delay", "0"];
    Server::start(&[&own, arguments].concat()).await
}

async fn is_whole(node: &Server) {
    until("the cluster is whole", async || {
        node.ask::<String>("CLUSTER INFO").await.contains("cluster_state:ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_ordered_while_a_primary_is_down_is_done_at_the_next_one() {
    let Shop { mut primary, replica, sentinel } = Shop::start(&[]).await;
    for id in ["one", "two"] {
        primary.run::<()>(cmd("SET").arg(format!("sess:{id}")).arg(session("ana"))).await;
    }
    until("the replica has the sessions", async || (replica.ask::<u64>("DBSIZE").await == 2).then_some(())).await;

    let url = format!("redis://127.0.0.1:{}", sentinel.port);
    let config =
        json!({ "type": "redis", "url": url, "master": "shop", "layout": "connect-redis", "path": "passport.user" });
    // Of Sentinels that are asked, one that is away costs nothing.
    let adapter = build(config.clone(), json!({ "sentinels": ["127.0.0.1:1"] }), Match::Exact);
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), ["one", "two"]);

    primary.kill();
    let error = end(&*adapter, "ana", &found).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
    let ended = until("the order is carried out", async || match end(&*adapter, "ana", &found).await {
        Ok(ended) => Some(ended),
        Err(error) => {
            assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
            None
        }
    })
    .await;
    assert_eq!(ended, 2);
    assert_eq!(find(&*adapter, "ana").await.unwrap(), []);
    assert_eq!(replica.ask::<Vec<String>>("KEYS *").await, Vec::<String>::new(), "it is the primary now");

    let unknown = build(config, json!({ "master": "shopp" }), Match::Exact).probe().await.unwrap_err();
    assert!(matches!(unknown, Error::Rejected(_)) && chain(&unknown).contains("`master`"), "{}", chain(&unknown));
}

#[tokio::test]
async fn a_replica_that_sentinel_takes_for_the_primary_is_not_believed() {
    let primary = Server::start(&["--save", "", "--repl-diskless-sync-delay", "0"]).await;
    let replica = Server::start(&["--save", "", "--replicaof", &format!("127.0.0.1 {}", primary.port)]).await;
    let sentinel = Server::start(&["--sentinel"]).await;
    sentinel.ask::<()>(&format!("SENTINEL MONITOR shop 127.0.0.1 {} 1", replica.port)).await;
    let url = format!("redis://127.0.0.1:{}", sentinel.port);
    let config = json!({ "type": "redis", "url": url, "master": "shop", "layout": "flask-session" });
    let error = find(&*build(config, json!({}), Match::Exact), "ana").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && chain(&error).contains("not, or not yet"), "{}", chain(&error));
}

#[tokio::test]
async fn slots_that_moved_since_the_last_look_are_followed() {
    let cluster = Cluster::start([&[], &[]]).await;
    let nodes = &cluster.nodes;
    let url = format!("redis://127.0.0.1:{}", nodes[0].port);
    let config =
        json!({ "type": "redis", "url": url, "cluster": [], "layout": "connect-redis", "path": "passport.user" });
    let adapter = build(config.clone(), json!({}), Match::Exact);
    assert_eq!(find(&*adapter, "ana").await.unwrap(), []);

    // One of the first node's: it moves while nothing is in it.
    let slot: u64 = nodes[0].ask("CLUSTER KEYSLOT sess:bar").await;
    assert!(slot <= 8000);
    cluster.move_slot(slot).await;
    nodes[1].run::<()>(cmd("SET").arg("sess:bar").arg(session("ana"))).await;
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), ["bar"]);
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);

    let mut alone = config;
    alone.as_object_mut().unwrap().remove("cluster");
    let error = build(alone, json!({}), Match::Exact).probe().await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains("set `cluster`"), "{}", chain(&error));
}

#[tokio::test]
async fn sessions_of_one_user_are_found_on_every_primary_of_a_cluster() {
    use crate::stores::Store;
    let store = Redis::of_cluster().await;
    let mut signed_in = Vec::new();
    for _ in 0..60 {
        signed_in.push(store.sign_in("ana").await);
    }
    let adapter = store.adapter();
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(ids(&found), crate::stores::sorted(signed_in));
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 60);
    assert_eq!(store.ids().await, Vec::<String>::new());
    store.remove().await;
}
