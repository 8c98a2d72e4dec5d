//! Redis as Flask-Session 0.8 with Flask-Login fills it.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Rights, Store, keys::Keys, unique};

pub struct Flask {
    keys: Keys,
    /// `SESSION_SERIALIZATION_FORMAT`.
    json: bool,
}

impl Flask {
    pub async fn create(json: bool) -> Self {
        Self { keys: Keys::new().await, json }
    }
}

#[async_trait]
impl Store for Flask {
    fn name(&self) -> &'static str {
        if self.json { "flask-session, json" } else { "flask-session, msgpack" }
    }

    fn config(&self) -> Value {
        json!({ "type": "redis", "url": self.keys.url, "layout": "flask-session", "prefix": self.keys.prefix })
    }

    fn users(&self) -> [&'static str; 3] {
        ["ana", "an", "bob@example.com"]
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        self.write_back(&id, user).await;
        id
    }

    async fn write_back(&self, id: &str, user: &str) {
        let session =
            json!({ "_permanent": true, "_fresh": true, "_id": "b".repeat(128), "_user_id": user, "basket": [1, 2.5] });
        let session = if self.json { session.to_string().into_bytes() } else { rmp_serde::to_vec(&session).unwrap() };
        self.keys.set(&format!("{}{id}", self.keys.prefix), session).await;
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.keys.below(&self.keys.prefix).await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.keys.url_with(&["+scan", "+mget"]).await
    }

    fn rights(&self) -> Option<Rights<'_>> {
        Some(Rights { keys: &self.keys, commands: &["scan", "mget", "unlink"] })
    }

    async fn remove(&self) {
        self.keys.remove().await;
    }
}
