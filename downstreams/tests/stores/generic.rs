//! Redis as an application of its own making fills it: a key per session, and a set of their ids per user.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Rights, Store, keys::Keys, unique};

pub struct Generic {
    name: &'static str,
    pub keys: Keys,
}

impl Generic {
    pub async fn create() -> Self {
        Self { name: "redis, generic", keys: Keys::new().await }
    }

    pub async fn of_cluster() -> Self {
        Self { name: "redis, generic, cluster", keys: Keys::of_cluster().await }
    }

    pub fn index(&self, user: &str) -> String {
        format!("{}user:{user}:sessions", self.keys.prefix)
    }
}

#[async_trait]
impl Store for Generic {
    fn name(&self) -> &'static str {
        self.name
    }

    fn config(&self) -> Value {
        let prefix = &self.keys.prefix;
        self.keys.config(json!({
            "layout": "generic",
            "index": format!("{prefix}user:{{subject}}:sessions"),
            "session": format!("{prefix}session:{{id}}"),
        }))
    }

    fn users(&self) -> [&'static str; 3] {
        ["ana", "an", "bob@example.com"]
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        self.write_back(&id, user).await;
        self.keys.run::<()>(redis::cmd("SADD").arg(self.index(user)).arg(&id)).await;
        id
    }

    /// A request in flight writes its session, and has no reason to touch the index.
    async fn write_back(&self, id: &str, user: &str) {
        self.keys.set(&format!("{}session:{id}", self.keys.prefix), user).await;
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.keys.below(&format!("{}session:", self.keys.prefix)).await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.keys.url_that_may(&["+smembers", "+exists"]).await
    }

    fn rights(&self) -> Option<Rights<'_>> {
        Some(Rights { keys: &self.keys, commands: &["smembers", "exists", "unlink", "srem"] })
    }

    async fn remove(&self) {
        self.keys.remove().await;
    }
}
