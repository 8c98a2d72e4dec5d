//! A Redis of a story's own with a replica, and a Sentinel that promotes the replica when the primary dies and it is told to mind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use redis::{FromRedisValue, cmd};
use tempfile::TempDir;

use super::services::{free_port, redis_at};
use super::{Process, SOON, until};

/// What the Sentinel calls the primary.
pub const MASTER: &str = "tests";

pub struct Sentinel {
    // End before their folder goes.
    sentinel: Server,
    primary: Server,
    replica: Server,
    _folder: TempDir,
}

struct Server {
    process: Process,
    port: u16,
}

impl Sentinel {
    /// All three. Until [`Sentinel::minds`] a primary may be silent for an hour.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let primary = Server::start(folder.path(), "primary", &["--repl-diskless-sync-delay", "0"]);
        let of = primary.port.to_string();
        let replica = Server::start(folder.path(), "replica", &["--replicaof", "127.0.0.1", &of]);
        let sentinel = Server::start(folder.path(), "sentinel", &["--sentinel"]);
        let monitor = ["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &of, "1"];
        until(SOON, "the primary answers", async || primary.ask::<String>(&["PING"]).await).await;
        until(SOON, "the Sentinel watches", async || sentinel.ask::<()>(&monitor).await).await;
        let started = Self { sentinel, primary, replica, _folder: folder };
        started.minds(Duration::from_secs(3_600)).await;
        until(SOON, "the replica follows, and the Sentinel knows it", async || {
            let known: Vec<Vec<String>> = started.sentinel.ask(&["SENTINEL", "REPLICAS", MASTER]).await?;
            let follows = |replica: &Vec<String>| replica.chunks(2).any(|pair| pair == ["master-link-status", "ok"]);
            known.iter().any(follows).then_some(())
        })
        .await;
        started
    }

    /// From now on a primary that was silent for so long is dead, and its replica promoted.
    pub async fn minds(&self, silence: Duration) {
        let silence = silence.as_millis().to_string();
        let set = ["SENTINEL", "SET", MASTER, "down-after-milliseconds", &silence];
        self.sentinel.ask::<()>(&set).await.expect("the Sentinel takes a setting");
    }

    /// Where to ask which is the primary.
    pub fn url(&self) -> String {
        self.sentinel.url()
    }

    /// What was the primary at first.
    pub fn primary(&self) -> String {
        self.primary.url()
    }

    /// What is to be promoted.
    pub fn replica(&self) -> String {
        self.replica.url()
    }

    /// Waits until the replica has as much as the primary.
    pub async fn replicated(&self) {
        until(SOON, "the replica has everything", async || {
            let size = ["DBSIZE"];
            (self.primary.ask::<u64>(&size).await? == self.replica.ask::<u64>(&size).await?).then_some(())
        })
        .await;
    }

    /// From now on the replica hears nothing of what is written: it stands still, and its connection is gone.
    pub async fn parts(&self) {
        self.replica.process.signal(Signal::SIGSTOP);
        let killed: u64 = self.primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]).await.expect("the primary answers");
        assert_eq!(killed, 1, "one replica followed");
    }

    /// Ends the primary as a power cut would. A replica that stood still goes on, with what it has.
    pub fn kill9_primary(&mut self) {
        self.primary.process.signal(Signal::SIGKILL);
        self.primary.process.reap();
        self.replica.process.signal(Signal::SIGCONT);
    }

    /// Whether the replica is the primary, and the Sentinel says so.
    pub async fn has_promoted(&self) -> bool {
        let told = self.sentinel.ask::<Vec<String>>(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await;
        let role = self.replica.ask::<String>(&["INFO", "replication"]).await;
        told.is_some_and(|told| told[1] == self.replica.port.to_string())
            && role.is_some_and(|role| role.contains("role:master"))
    }
}

impl Server {
    fn start(folder: &Path, name: &str, more: &[&str]) -> Self {
        let (own, port) = (folder.join(name), free_port());
        std::fs::create_dir(&own).expect("the folder can be written");
        // A Sentinel wants a file that it can write to.
        let file = own.join("redis.conf");
        std::fs::write(&file, "").expect("the folder can be written");
        let mut command = Command::new("redis-server");
        command.arg(file).args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(more).arg("--dir").arg(&own);
        Self { process: Process::start(command, folder, name), port }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it answers, if it does; over a new connection, since one that becomes a primary closes those that it has.
    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let mut connection = redis_at(&self.url()).await.ok()?;
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.ok()
    }
}
