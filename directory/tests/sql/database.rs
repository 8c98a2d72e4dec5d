//! A database of its own for one test, gone with it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use directory::{Directory, Role, Sources, Wake};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

/// An empty database until [`Database::migrated`].
pub struct Database {
    admin: String,
    name: String,
    url: String,
}

impl Database {
    pub async fn empty() -> Self {
        let database = Self::unmade();
        database.make("").await;
        database
    }

    fn unmade() -> Self {
        let admin = std::env::var("LEAVER_TEST_DATABASE_URL").unwrap_or_else(|_| {
            panic!("LEAVER_TEST_DATABASE_URL is not set: run make services and source the file that it names")
        });
        let name = format!("leaver_test_{}", Uuid::new_v4().simple());
        let server = admin.rsplit_once('/').expect("the address ends in a database").0;
        let url = format!("{server}/{name}");
        Self { admin, name, url }
    }

    async fn make(&self, options: &str) {
        let make = format!("CREATE DATABASE {} {options}", self.name);
        connect(&self.admin).await.execute(AssertSqlSafe(make)).await.unwrap();
    }

    pub async fn migrated() -> Self {
        let database = Self::unmade();
        let template = template(&database.admin).await;
        database.make(&format!("TEMPLATE {template}")).await;
        database
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn migrate(&self) -> directory::Result<String> {
        directory::migrate(&self.url).await
    }

    /// A pool of a part of Leaver; `wake` is shared by the parts of one process.
    pub async fn open(&self, role: Role, sources: &Arc<Sources>, wake: &Wake) -> Directory {
        Directory::connect(&self.url, role, 8, sources.clone(), wake.clone()).await.unwrap()
    }

    /// The database as its owner sees it, for looking at rows and for doing what no part of Leaver does.
    pub async fn owner(&self) -> PgPool {
        PgPoolOptions::new().max_connections(3).connect(&self.url).await.unwrap()
    }
}

/// A database with our schema, of which the server copies those of the tests: a tenth of the time of migrating each. Whoever comes
/// first makes it; it stays on the server of the tests, under a name that says which migrations it has.
async fn template(admin: &str) -> String {
    let mut hasher = DefaultHasher::new();
    directory::MIGRATOR.iter().for_each(|migration| migration.checksum.hash(&mut hasher));
    let name = format!("leaver_template_{:016x}", hasher.finish());
    let mut server = connect(admin).await;
    server.execute("SELECT pg_advisory_lock(hashtext('leaver_template'))").await.unwrap();
    let there = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    if !sqlx::query_scalar::<_, bool>(there).bind(&name).fetch_one(&mut server).await.unwrap() {
        // It gets its name when it is whole.
        let half = Database::empty().await;
        half.migrate().await.unwrap();
        let rename = format!("ALTER DATABASE {} RENAME TO {name}", half.name);
        server.execute(AssertSqlSafe(rename)).await.unwrap();
    }
    server.close().await.unwrap();
    name
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the PostgreSQL of LEAVER_TEST_DATABASE_URL answers")
}

impl Drop for Database {
    /// On a thread and runtime of its own: a test that fails is unwinding on its own.
    fn drop(&mut self) {
        let (admin, drop) = (self.admin.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&admin).await.execute(AssertSqlSafe(drop)).await.map(|_| ()) })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("a test's database is left behind: {}", self.name);
        }
    }
}
