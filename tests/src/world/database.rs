//! A database of its own on the shared PostgreSQL, gone with the world.

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};
use url::Url;

use super::services::{unique, variable};

#[derive(Debug)]
pub struct Database {
    /// The shared server, which this has to be removed from; a server of the world's own goes with everything on it.
    shared: Option<String>,
    name: String,
    url: String,
}

impl Database {
    /// On the shared server.
    pub async fn create() -> Self {
        let admin = variable("LEAVER_TEST_DATABASE_URL");
        let mut database = Self::create_on(&admin).await;
        database.shared = Some(admin);
        database
    }

    /// On the server at `admin`, an address of its superuser.
    pub(super) async fn create_on(admin: &str) -> Self {
        let name = format!("leaver_test_{}", unique());
        let mut url = Url::parse(admin).expect("the address of a database is a URL");
        url.set_path(&name);
        let mut server = connect(admin).await;
        server
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .expect("a database can be created");
        Self { shared: None, name, url: url.into() }
    }

    /// How Leaver reaches it.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(2).connect(&self.url).await.expect("the world's database answers")
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the PostgreSQL of the tests answers")
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(admin) = self.shared.take() else { return };
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        super::process::aside(async move {
            if let Err(error) = connect(&admin).await.execute(sqlx::AssertSqlSafe(drop)).await {
                eprintln!("a database of a test is left behind: {error}");
            }
        });
    }
}
