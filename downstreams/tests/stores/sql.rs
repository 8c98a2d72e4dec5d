//! PostgreSQL with a table of sessions, as a framework of the application's choice would make it.

use std::ops::Deref;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{Store, database::Database, unique};

pub struct Sql {
    name: &'static str,
    database: Database,
    user: &'static str,
    id: &'static str,
}

impl Deref for Sql {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Sql {
    /// A database with a table of users of type `user` and session ids of type `id`.
    pub async fn create(name: &'static str, user: &'static str, id: &'static str) -> Self {
        let store = Self { name, database: Database::create().await, user, id };
        let table = format!(
            "create table sessions (id {id} primary key, user_name {user}, created_at timestamptz default now())"
        );
        store.run(&table).await;
        // Long enough to be recognized in the text of an error.
        store.run("create sequence ids start 100000000").await;
        store
    }
}

#[async_trait]
impl Store for Sql {
    fn name(&self) -> &'static str {
        self.name
    }

    fn config(&self) -> Value {
        json!({
            "type": "sql",
            "url": self.database.url(),
            "find": "select id from sessions where user_name = $1",
            "end": "delete from sessions where id = $2",
            "verify": "select id from sessions where user_name = $1",
        })
    }

    fn folded(&self) -> Value {
        let mut config = self.config();
        for statement in ["find", "verify"] {
            config[statement] = "select id from sessions where lower(user_name) = lower($1)".into();
        }
        config
    }

    fn users(&self) -> [&'static str; 3] {
        match self.user {
            "int4" => ["7", "77", "-7"],
            "uuid" => [
                "0d0e0000-0000-4000-8000-000000000001",
                "0d0e0000-0000-4000-8000-000000000002",
                "0d0e0000-0000-4000-8000-000000000003",
            ],
            _ => ["ana", "an", "bob@example.com"],
        }
    }

    async fn sign_in(&self, user: &str) -> String {
        let id = match self.id {
            "int4" | "int8" => self.strings("select nextval('ids')::text").await.remove(0),
            "uuid" => uuid::Uuid::new_v4().to_string(),
            _ => unique(),
        };
        self.write_back(&id, user).await;
        id
    }

    async fn write_back(&self, id: &str, user: &str) {
        let sql = format!(
            "insert into sessions values ($1::text::{}, $2::text::{}) on conflict do nothing",
            self.id, self.user
        );
        let mut connection = self.connection.lock().await;
        sqlx::query(AssertSqlSafe(sql)).bind(id).bind(user).execute(&mut *connection).await.unwrap();
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.strings("select id::text from sessions").await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.url_with(&["select on sessions"]).await
    }

    async fn remove(&self) {
        self.database.remove().await;
    }
}
