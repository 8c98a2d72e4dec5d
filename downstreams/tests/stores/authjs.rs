//! PostgreSQL as Auth.js fills it by its own adapter, with the schema that the adapter brings.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Store, database::Database, unique};

const SCHEMA: &str = r#"
create table sessions (
    id serial primary key,
    "userId" integer not null,
    expires timestamptz not null,
    "sessionToken" varchar(255) not null
);
create table users (
    id serial primary key,
    name varchar(255),
    email varchar(255),
    "emailVerified" timestamptz,
    image text
);
alter sequence sessions_id_seq restart 100000000"#;

/// The statement of the manual.
pub const USERS: &str = "select id from users where email = $1";

pub struct Authjs {
    pub database: Database,
    /// Whether users are looked for by their addresses; else by the numbers that they have here.
    by_email: bool,
}

impl Authjs {
    pub async fn create(by_email: bool) -> Self {
        let database = Database::create().await;
        database.run(SCHEMA).await;
        Self { database, by_email }
    }

    async fn user(&self, user: &str) -> i32 {
        if !self.by_email {
            return user.parse().unwrap();
        }
        let mut connection = self.database.connection.lock().await;
        let known = sqlx::query_scalar("select id from users where email = $1").bind(user);
        if let Some(id) = known.fetch_optional(&mut *connection).await.unwrap() {
            return id;
        }
        let new = sqlx::query_scalar("insert into users (email) values ($1) returning id").bind(user);
        new.fetch_one(&mut *connection).await.unwrap()
    }
}

#[async_trait]
impl Store for Authjs {
    fn name(&self) -> &'static str {
        if self.by_email { "authjs, addresses" } else { "authjs, ids" }
    }

    fn config(&self) -> Value {
        let mut config = json!({ "type": "sql", "url": self.database.url(), "layout": "authjs" });
        if self.by_email {
            config["users"] = USERS.into();
        }
        config
    }

    fn folded(&self) -> Value {
        let mut config = self.config();
        config["users"] = "select id from users where lower(email) = lower($1)".into();
        config
    }

    fn users(&self) -> [&'static str; 3] {
        if self.by_email { ["ana@example.com", "an", "bob"] } else { ["7", "77", "-7"] }
    }

    async fn sign_in(&self, user: &str) -> String {
        let user = self.user(user).await;
        let mut connection = self.database.connection.lock().await;
        let sql = "insert into sessions (\"userId\", expires, \"sessionToken\") \
                   values ($1, now() + interval '30 days', $2) returning id::text";
        sqlx::query_scalar(sql).bind(user).bind(unique()).fetch_one(&mut *connection).await.unwrap()
    }

    /// The library only updates a session that is not new.
    async fn write_back(&self, id: &str, _user: &str) {
        let mut connection = self.database.connection.lock().await;
        let sql = "update sessions set expires = now() + interval '30 days' where id::text = $1";
        sqlx::query(sql).bind(id).execute(&mut *connection).await.unwrap();
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.database.strings("select id::text from sessions").await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.database.url_with(&["select on sessions", "select on users"]).await
    }

    async fn remove(&self) {
        self.database.remove().await;
    }
}
