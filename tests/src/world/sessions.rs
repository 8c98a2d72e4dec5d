//! A downstream's sessions in Redis, written as connect-redis writes them.

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, cmd};
use serde_json::{Value, json};

use super::services::{redis_at, redis_url, unique};
use super::{Names, SOON, eventually};

/// Who is signed in at a downstream.
pub struct Store {
    redis: MultiplexedConnection,
    prefix: String,
}

impl Store {
    pub(super) async fn open(names: &Names, downstream: &str, url: &str) -> Self {
        Self { redis: connect(url).await, prefix: names.prefix(downstream) }
    }

    /// A session of `user`, as a login leaves it. Returns its id.
    pub async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        self.write(&id, user).await;
        id
    }

    /// Writes a session with this id: what a request in flight does to one that was ended meanwhile.
    pub async fn write(&self, id: &str, user: &str) {
        let session = json!({"cookie": {"originalMaxAge": Value::Null, "httpOnly": true, "path": "/"}, "passport": {"user": user}});
        let key = format!("{}{id}", self.prefix);
        self.redis.clone().set_ex::<_, _, ()>(key, session.to_string(), 86_400).await.expect("Redis keeps a key");
    }

    pub async fn lives(&self, id: &str) -> bool {
        self.redis.clone().exists(format!("{}{id}", self.prefix)).await.expect("Redis answers")
    }

    /// What stands under a key beside the sessions.
    pub async fn value(&self, key: &str) -> Option<String> {
        self.redis.clone().get(key).await.expect("Redis answers")
    }

    /// Waits until the session is gone.
    pub async fn ends(&self, id: &str) {
        eventually(SOON, "the session is gone from Redis", async || !self.lives(id).await).await;
    }
}

async fn connect(url: &str) -> MultiplexedConnection {
    redis_at(url).await.expect("the Redis of the tests answers")
}

/// Removes every key that begins so, whoever wrote it.
pub(super) async fn remove(prefix: String) {
    let (mut redis, pattern) = (connect(&redis_url()).await, format!("{prefix}*"));
    let mut cursor = 0_u64;
    loop {
        let scan =
            cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1_000).query_async(&mut redis).await;
        let (next, keys): (u64, Vec<String>) = scan.expect("Redis answers");
        if !keys.is_empty() {
            redis.unlink::<_, ()>(keys).await.expect("Redis answers");
        }
        if next == 0 {
            return;
        }
        cursor = next;
    }
}
