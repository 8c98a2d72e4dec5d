//! Redis, perhaps a cluster or found by a Sentinel, as express-session with connect-redis fills it.

use std::ops::Deref;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Rights, Store, keys::Keys, unique};

pub struct Redis {
    name: &'static str,
    keys: Keys,
    numbers: bool,
    /// Whether we keep an index beside it.
    index: bool,
}

impl Deref for Redis {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        &self.keys
    }
}

impl Redis {
    pub async fn with_names() -> Self {
        Self { name: "redis, names", keys: Keys::new().await, numbers: false, index: false }
    }

    /// The application keeps its users' numbers as JSON numbers.
    pub async fn with_numbers() -> Self {
        Self { name: "redis, numbers", keys: Keys::new().await, numbers: true, index: false }
    }

    pub async fn with_index() -> Self {
        Self { name: "redis, session index", keys: Keys::new().await, numbers: false, index: true }
    }

    pub async fn of_cluster() -> Self {
        Self { name: "redis, cluster", keys: Keys::of_cluster().await, numbers: false, index: false }
    }

    pub async fn of_cluster_with_index() -> Self {
        Self { name: "redis, cluster, session index", keys: Keys::of_cluster().await, numbers: false, index: true }
    }

    pub async fn of_sentinel() -> Self {
        Self { name: "redis, sentinel", keys: Keys::of_sentinel().await, numbers: false, index: false }
    }
}

#[async_trait]
impl Store for Redis {
    fn name(&self) -> &'static str {
        self.name
    }

    fn config(&self) -> Value {
        let layout = json!({
            "layout": "connect-redis", "prefix": self.prefix, "path": "passport.user", "session_index": self.index,
        });
        self.keys.config(layout)
    }

    fn users(&self) -> [&'static str; 3] {
        if self.numbers { ["7", "77", "-7"] } else { ["ana", "an", "bob@example.com"] }
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        self.write_back(&id, user).await;
        id
    }

    async fn write_back(&self, id: &str, user: &str) {
        let user = if self.numbers { json!(user.parse::<i64>().unwrap()) } else { json!(user) };
        let session = json!({
            "cookie": { "originalMaxAge": 86_400_000, "expires": "2030-01-01T00:00:00.000Z", "httpOnly": true, "path": "/" },
            "passport": { "user": user },
        });
        self.set(&format!("{}{id}", self.prefix), session.to_string()).await;
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.below(&self.prefix).await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.url_that_may(&["+scan", "+mget"]).await
    }

    fn rights(&self) -> Option<Rights<'_>> {
        let commands =
            if self.index { &["scan", "mget", "unlink", "subscribe"][..] } else { &["scan", "mget", "unlink"] };
        Some(Rights { keys: &self.keys, commands })
    }

    async fn remove(&self) {
        self.keys.remove().await;
    }
}
