//! A part of the shared Redis, or of the shared cluster: the keys under one prefix, and logins for them.

use std::{sync::Mutex, time::Duration};

use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult, aio::MultiplexedConnection, cmd};
use serde_json::{Value, json};

use super::{env, login, unique};

pub struct Keys {
    pub url: String,
    pub prefix: String,
    /// The server, or the first node.
    pub connection: MultiplexedConnection,
    /// All but the first.
    others: Vec<MultiplexedConnection>,
    /// What the configuration says beyond the address.
    found: Value,
    logins: Mutex<Vec<String>>,
}

/// Host, port, id, and what else is known of it.
type Node = (String, u16, String, Vec<String>);

impl Keys {
    pub async fn new() -> Self {
        Self::at(env("LEAVER_TEST_REDIS_URL")).await
    }

    /// Of three primaries without replicas.
    pub async fn of_cluster() -> Self {
        let mut keys = Self::at(env("LEAVER_TEST_REDIS_CLUSTER_URL")).await;
        keys.found = json!({ "cluster": [] });
        let slots: Vec<(u16, u16, Node)> =
            cmd("CLUSTER").arg("SLOTS").query_async(&mut keys.connection.clone()).await.unwrap();
        for (_, _, (host, port, ..)) in slots {
            let url = format!("redis://{host}:{port}");
            if url != keys.url {
                keys.others.push(connect(&url).await.unwrap());
            }
        }
        keys
    }

    /// The shared Redis, by a Sentinel.
    pub async fn of_sentinel() -> Self {
        let mut keys = Self::new().await;
        keys.found = json!({ "master": "tests" });
        keys.url = env("LEAVER_TEST_REDIS_SENTINEL_URL");
        keys
    }

    async fn at(url: String) -> Self {
        let (connection, prefix) = (connect(&url).await.unwrap(), format!("t{}:", unique()));
        Self { url, prefix, connection, others: Vec::new(), found: json!({}), logins: Mutex::default() }
    }

    /// The configuration of a layout on these keys.
    pub fn config(&self, layout: Value) -> Value {
        let mut config = json!({ "type": "redis", "url": self.url });
        for part in [&self.found, &layout] {
            config.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        config
    }

    /// Rights that finding the servers takes.
    pub fn rights(&self) -> &'static [&'static str] {
        match self.found.as_object().unwrap().keys().next().map(String::as_str) {
            Some("cluster") => &["cluster|slots"],
            Some("master") => &["role"],
            _ => &[],
        }
    }

    fn nodes(&self) -> impl Iterator<Item = MultiplexedConnection> {
        std::iter::once(&self.connection).chain(&self.others).cloned()
    }

    /// Runs a command with one key where that key is.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        for mut node in self.nodes() {
            match command.query_async(&mut node).await {
                Err(error) if error.code() == Some("MOVED") => {}
                answer => return answer.unwrap(),
            }
        }
        panic!("no node has the key");
    }

    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.run::<()>(cmd("SET").arg(key).arg(value.as_ref())).await;
    }

    /// All keys that begin with `prefix`, without it.
    pub async fn below(&self, prefix: &str) -> Vec<String> {
        self.all(prefix).await.into_iter().map(|key| key[prefix.len()..].to_owned()).collect()
    }

    async fn all(&self, prefix: &str) -> Vec<String> {
        let mut all = Vec::new();
        for mut node in self.nodes() {
            let keys: Vec<String> = cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut node).await.unwrap();
            all.extend(keys);
        }
        all
    }

    /// A login with the given rights over these keys.
    pub async fn url_with(&self, rights: &[&str]) -> String {
        let (user, password) = (unique(), unique());
        let mut order = cmd("ACL");
        order.arg("SETUSER").arg(&user).arg("on").arg(format!(">{password}")).arg(format!("~{}*", self.prefix));
        order.arg("&__keyevent@0__:*");
        for mut node in self.nodes() {
            order.clone().arg(rights).exec_async(&mut node).await.unwrap();
        }
        let url = login(&self.url, &user, &password);
        self.logins.lock().unwrap().push(user);
        url
    }

    /// Like [`url_with`](Self::url_with), with what finding the servers takes.
    pub async fn url_that_may(&self, rights: &[&str]) -> String {
        let found: Vec<String> = self.rights().iter().map(|right| format!("+{right}")).collect();
        self.url_with(&[rights, &found.iter().map(String::as_str).collect::<Vec<_>>()].concat()).await
    }

    pub async fn remove(&self) {
        for key in self.all(&self.prefix).await {
            self.run::<()>(cmd("DEL").arg(key)).await;
        }
        let logins = std::mem::take(&mut *self.logins.lock().unwrap());
        for mut node in self.nodes().filter(|_| !logins.is_empty()) {
            cmd("ACL").arg("DELUSER").arg(&logins).exec_async(&mut node).await.unwrap();
        }
    }
}

/// By itself the client gives up after half a second, which is soon over on a busy machine.
pub async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let minute = Some(Duration::from_secs(60));
    let patient = AsyncConnectionConfig::new().set_connection_timeout(minute).set_response_timeout(minute);
    Client::open(url)?.get_multiplexed_async_connection_with_config(&patient).await
}
