//! PostgreSQL with a table of sessions, as a framework of the application's choice would make it.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::Mutex;

use super::{Store, env, login, unique};

pub struct Sql {
    name: &'static str,
    database: String,
    user: &'static str,
    id: &'static str,
    connection: Mutex<PgConnection>,
}

fn url(database: &str) -> String {
    let mut url = url::Url::parse(&env("LEAVER_TEST_DATABASE_URL")).unwrap();
    url.set_path(database);
    url.into()
}

impl Sql {
    /// A database with a table of users of type `user` and session ids of type `id`.
    pub async fn create(name: &'static str, user: &'static str, id: &'static str) -> Self {
        let database = format!("leaver_downstreams_{}", unique());
        let mut admin = PgConnection::connect(&env("LEAVER_TEST_DATABASE_URL")).await.unwrap();
        let sql = format!("create database {database} template template0");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        let connection = Mutex::new(PgConnection::connect(&url(&database)).await.unwrap());
        let store = Self { name, database, user, id, connection };
        let table = format!(
            "create table sessions (id {id} primary key, user_name {user}, created_at timestamptz default now())"
        );
        store.run(&table).await;
        // Long enough to be recognized in the text of an error.
        store.run("create sequence ids start 100000000").await;
        store
    }

    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection.lock().await).await.unwrap();
    }

    pub async fn strings(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *self.connection.lock().await).await.unwrap()
    }

    /// A login with the given rights on the table.
    pub async fn url_with(&self, rights: &str) -> String {
        let (role, password) = (format!("leaver_{}", unique()), unique());
        self.run(&format!("create role {role} login password '{password}'; grant {rights} on sessions to {role}"))
            .await;
        login(&url(&self.database), &role, &password)
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
            "url": url(&self.database),
            "find": "select id from sessions where user_name = $1",
            "end": "delete from sessions where id = $2",
            "verify": "select id from sessions where user_name = $1",
        })
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
        self.url_with("select").await
    }

    async fn remove(&self) {
        let mut admin = PgConnection::connect(&env("LEAVER_TEST_DATABASE_URL")).await.unwrap();
        let roles = "select grantee::text from information_schema.role_table_grants where table_name = 'sessions' and grantee like 'leaver\\_%' group by 1";
        let roles = self.strings(roles).await;
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.database)))
            .execute(&mut admin)
            .await
            .unwrap();
        for role in roles {
            sqlx::query(AssertSqlSafe(format!("drop role {role}"))).execute(&mut admin).await.unwrap();
        }
    }
}
