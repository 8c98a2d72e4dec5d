//! PostgreSQL, and perhaps a cache in Redis, as Django 5.2 fills them.

use std::io::Write;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flate2::{Compression, write::ZlibEncoder};
use redis::AsyncCommands;
use serde_json::{Value, json};

use super::{Store, database::Database, keys::Keys, unique};

pub struct Django {
    pub database: Database,
    /// The cache of `cached_db`.
    pub cache: Option<Keys>,
}

impl Django {
    /// Sessions by the engine `db`, or by `cached_db`.
    pub async fn create(cached: bool) -> Self {
        let database = Database::create().await;
        database
            .run(
                "create table django_session (session_key varchar(40) primary key, session_data text not null, \
                 expire_date timestamptz not null)",
            )
            .await;
        let cache = if cached { Some(Keys::new().await) } else { None };
        Self { database, cache }
    }

    pub fn key(&self, id: &str) -> Option<String> {
        Some(format!("{}:1:django.contrib.sessions.cached_db{id}", self.cache.as_ref()?.prefix))
    }

    /// What a request does that finds the session in the table and not in the cache.
    pub async fn fill_cache(&self, id: &str) {
        if let (Some(cache), Some(key)) = (&self.cache, self.key(id)) {
            cache.set(&key, b"pickled").await;
        }
    }

    pub async fn insert(&self, id: &str, data: &str, expires: &str) {
        let mut connection = self.database.connection.lock().await;
        let sql = "insert into django_session values ($1, $2, now() + $3::text::interval)";
        sqlx::query(sql).bind(id).bind(data).bind(expires).execute(&mut *connection).await.unwrap();
    }
}

/// `django.core.signing.dumps(session, salt=…, compress=True)`.
pub fn signed(session: &Value) -> String {
    let json = session.to_string();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(json.as_bytes()).unwrap();
    let compressed = zlib.finish().unwrap();
    let payload = match compressed.len() < json.len() - 1 {
        true => format!(".{}", URL_SAFE_NO_PAD.encode(compressed)),
        false => URL_SAFE_NO_PAD.encode(json),
    };
    format!("{payload}:1vMJbe:GFMOBb3ruX8ldeh2xdJY23HQ1wZAYFOK4yb6iiGbVyk")
}

#[async_trait]
impl Store for Django {
    fn name(&self) -> &'static str {
        if self.cache.is_some() { "django, cached_db" } else { "django, db" }
    }

    fn config(&self) -> Value {
        let mut config = json!({ "type": "sql", "url": self.database.url(), "layout": "django" });
        if let (Some(cache), Some(prefix)) = (&self.cache, self.key("")) {
            config["cache"] = json!({ "url": cache.url, "prefix": prefix });
        }
        config
    }

    fn users(&self) -> [&'static str; 3] {
        ["7", "77", "bob@example.com"]
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = unique();
        let mut session = json!({ "_auth_user_id": user });
        // Without a hash, as an own backend may leave it, a session is too short to be worth compressing.
        if user != "77" {
            session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend".into();
            session["_auth_user_hash"] = "0".repeat(64).into();
        }
        self.insert(&id, &signed(&session), "14 days").await;
        self.fill_cache(&id).await;
        id
    }

    /// Saving fails where the row is gone; filling the cache does not.
    async fn write_back(&self, id: &str, _user: &str) {
        let mut connection = self.database.connection.lock().await;
        let sql = "update django_session set expire_date = now() + interval '14 days' where session_key = $1";
        sqlx::query(sql).bind(id).execute(&mut *connection).await.unwrap();
        drop(connection);
        self.fill_cache(id).await;
    }

    async fn ids(&self) -> Vec<String> {
        let mut ids = self.database.strings("select session_key from django_session").await;
        if let (Some(cache), Some(prefix)) = (&self.cache, self.key("")) {
            ids.extend(cache.below(&prefix).await);
        }
        let mut ids = super::sorted(ids);
        ids.dedup();
        ids
    }

    async fn url_that_may_only_read(&self) -> String {
        self.database.url_with(&["select on django_session"]).await
    }

    async fn remove(&self) {
        self.database.remove().await;
        if let Some(cache) = &self.cache {
            cache.remove().await;
        }
    }
}

impl Django {
    /// Whether the cache has the session.
    pub async fn is_cached(&self, id: &str) -> bool {
        let (cache, key) = (self.cache.as_ref().unwrap(), self.key(id).unwrap());
        cache.connection.clone().exists(key).await.unwrap()
    }
}
