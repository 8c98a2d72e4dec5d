//! A schema of its own on the shared PostgreSQL, which is as good as a database and comes far sooner; and logins for it.

use std::sync::Mutex as Lock;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::Mutex;

use super::{env, login, unique};

pub struct Database {
    schema: String,
    pub connection: Mutex<PgConnection>,
    roles: Lock<Vec<String>>,
}

fn url(schema: &str) -> String {
    let mut url = url::Url::parse(&env("LEAVER_TEST_DATABASE_URL")).unwrap();
    url.query_pairs_mut().append_pair("options", &format!("-c search_path={schema}"));
    // A space is `%20` to PostgreSQL's clients, and `+` a plus.
    url.as_str().replace('+', "%20")
}

impl Database {
    pub async fn create() -> Self {
        let schema = format!("leaver_downstreams_{}", unique());
        let connection = Mutex::new(PgConnection::connect(&url(&schema)).await.unwrap());
        let database = Self { schema, connection, roles: Lock::default() };
        database.run(&format!("create schema {}", database.schema)).await;
        database
    }

    pub fn url(&self) -> String {
        url(&self.schema)
    }

    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.connection.lock().await).await.unwrap();
    }

    pub async fn strings(&self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *self.connection.lock().await).await.unwrap()
    }

    /// A login with the given rights, such as `select on sessions`.
    pub async fn url_with(&self, rights: &[&str]) -> String {
        let (role, password) = (format!("leaver_{}", unique()), unique());
        self.run(&format!("create role {role} login password '{password}'")).await;
        for right in rights.iter().copied().chain([&*format!("usage on schema {}", self.schema)]) {
            self.run(&format!("grant {right} to {role}")).await;
        }
        let url = login(&self.url(), &role, &password);
        self.roles.lock().unwrap().push(role);
        url
    }

    pub async fn remove(&self) {
        self.run(&format!("drop schema {} cascade", self.schema)).await;
        let roles = std::mem::take(&mut *self.roles.lock().unwrap());
        for role in roles {
            self.run(&format!("drop owned by {role}; drop role {role}")).await;
        }
    }
}
