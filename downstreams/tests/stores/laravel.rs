//! PostgreSQL as Laravel 13 fills it, with the tables as the migrations of a new application make them.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Store, database::Database, unique};

const SCHEMA: &str = "
create table users (
    id bigserial primary key,
    name varchar(255) not null,
    email varchar(255) not null unique,
    email_verified_at timestamp(0),
    password varchar(255) not null,
    remember_token varchar(100),
    created_at timestamp(0),
    updated_at timestamp(0)
);
create table sessions (
    id varchar(255) primary key,
    user_id bigint,
    ip_address varchar(45),
    user_agent text,
    payload text not null,
    last_activity int not null
);
create index sessions_user_id_index on sessions (user_id);
create index sessions_last_activity_index on sessions (last_activity)";

pub struct Laravel {
    pub database: Database,
    /// Whether users are looked for by their addresses; else by the numbers that they have here.
    by_email: bool,
}

impl Laravel {
    pub async fn create(by_email: bool) -> Self {
        let database = Database::create().await;
        database.run(SCHEMA).await;
        Self { database, by_email }
    }

    async fn user(&self, user: &str) -> i64 {
        if !self.by_email {
            return user.parse().unwrap();
        }
        let mut connection = self.database.connection.lock().await;
        let sql = "insert into users (name, email, password) values ('', $1, '') \
                   on conflict (email) do update set name = '' returning id";
        sqlx::query_scalar(sql).bind(user).fetch_one(&mut *connection).await.unwrap()
    }

    /// Signs in with "remember me", which keeps a token that is there.
    pub async fn remember(&self, user: &str) {
        let (id, token) = (self.user(user).await, format!("{}{}", unique(), &unique()[..28]));
        let mut connection = self.database.connection.lock().await;
        let sql = "update users set remember_token = $2 where id = $1 and coalesce(remember_token, '') = ''";
        sqlx::query(sql).bind(id).bind(token).execute(&mut *connection).await.unwrap();
    }

    pub async fn tokens(&self) -> Vec<String> {
        self.database.strings("select remember_token from users where remember_token is not null order by email").await
    }

    async fn insert(&self, id: &str, user: i64) {
        let mut connection = self.database.connection.lock().await;
        let sql =
            "insert into sessions values ($1, $2, '127.0.0.1', 'test', 'YTowOnt9', 1780000000) on conflict do nothing";
        sqlx::query(sql).bind(id).bind(user).execute(&mut *connection).await.unwrap();
    }
}

#[async_trait]
impl Store for Laravel {
    fn name(&self) -> &'static str {
        if self.by_email { "laravel, addresses" } else { "laravel, ids" }
    }

    fn config(&self) -> Value {
        let mut config = json!({ "type": "sql", "url": self.database.url(), "layout": "laravel" });
        if self.by_email {
            config["users"] = "select id from users where email = $1".into();
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
        let id = format!("{}{}", unique(), &unique()[..8]);
        self.insert(&id, self.user(user).await).await;
        id
    }

    /// A request in flight that had its session get a new id inserts it under that one.
    async fn write_back(&self, id: &str, user: &str) {
        self.insert(&self.comes_back_as(id), self.user(user).await).await;
    }

    fn comes_back_as(&self, id: &str) -> String {
        id.chars().rev().collect()
    }

    async fn ids(&self) -> Vec<String> {
        super::sorted(self.database.strings("select id from sessions").await)
    }

    async fn url_that_may_only_read(&self) -> String {
        self.database.url_with(&["select on sessions", "select on users"]).await
    }

    async fn remove(&self) {
        self.database.remove().await;
    }
}
