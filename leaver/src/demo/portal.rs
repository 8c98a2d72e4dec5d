//! An application's own session store: a table in a second database of the embedded PostgreSQL.

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

const NAME: &str = "portal";

/// The portal, as its own developers see it.
pub struct Portal {
    pool: PgPool,
    url: String,
}

impl Portal {
    /// Creates the database anew.
    pub async fn create(leaver: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = leaver.parse().context("the address of the embedded PostgreSQL")?;
        let maintenance = options.clone().username("postgres").database("postgres");
        let admin = PgPoolOptions::new().max_connections(1).connect_with(maintenance).await?;
        sqlx::query("DROP DATABASE IF EXISTS portal WITH (FORCE)").execute(&admin).await?;
        sqlx::query("CREATE DATABASE portal OWNER leaver").execute(&admin).await?;
        admin.close().await;
        let pool = PgPoolOptions::new().max_connections(4).connect_with(options.database(NAME)).await?;
        sqlx::query("CREATE TABLE sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_name text NOT NULL)")
            .execute(&pool)
            .await?;
        sqlx::query("CREATE INDEX ON sessions (user_name)").execute(&pool).await?;
        let mut url = url::Url::parse(leaver).context("the address of the embedded PostgreSQL")?;
        url.set_path(NAME);
        Ok(Self { pool, url: url.to_string() })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// One to three sessions for everybody. Returns how many there are.
    pub async fn log_everybody_in(&self, names: impl Iterator<Item = &str>) -> anyhow::Result<u64> {
        let names: Vec<String> = names.map(str::to_owned).collect();
        let done = sqlx::query(
            "INSERT INTO sessions (user_name)
             SELECT name FROM UNNEST($1::text[]) WITH ORDINALITY AS p(name, n), generate_series(1, 1 + (n % 3)::int)",
        )
        .bind(names)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    pub async fn log_in(&self, name: &str) -> anyhow::Result<()> {
        sqlx::query("INSERT INTO sessions (user_name) VALUES ($1)").bind(name).execute(&self.pool).await?;
        Ok(())
    }

    pub async fn count(&self, name: &str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE user_name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    pub async fn close(self) {
        self.pool.close().await;
    }
}
