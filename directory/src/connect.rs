//! Pools in their roles.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::bursts::Windows;
use crate::group_calls::GroupCall;
use crate::growth::Growth;
use crate::publishing::Publishing;
use crate::sources::Sources;
use crate::together::Together;
use crate::wake::Wake;
use crate::writes::Write;
use crate::{Error, Result, suspicion};

/// Of every connection. A page out of order is taken to cost little more than the next one, as on today's disks and in memory:
/// the default, of spinning disks, reads whole tables rather than a few rows by an index.
const SETTINGS: &str = "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
                        SET random_page_cost = 1.1";

/// Which part of Leaver a pool belongs to, and so what Postgres lets it write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Sync,
    Revoker,
    Relay,
    Console,
}

impl Role {
    fn set_role(self) -> &'static str {
        match self {
            Role::Sync => "SET ROLE leaver_sync",
            Role::Revoker => "SET ROLE leaver_revoker",
            // The pending set is read by its primary key, whatever the statistics say at the moment. A DELETE that a crash
            // undoes is only a record that comes again.
            Role::Relay => {
                "SET ROLE leaver_relay; SET enable_mergejoin = off; SET enable_hashjoin = off; SET enable_bitmapscan = off; \
                 SET enable_seqscan = off; SET enable_sort = off; SET jit = off; SET max_parallel_workers_per_gather = 0; \
                 SET synchronous_commit = off"
            }
            Role::Console => "SET ROLE leaver_console",
        }
    }
}

/// A pool in one role. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    pub(crate) pool: PgPool,
    pub(crate) sources: Arc<Sources>,
    pub(crate) windows: Arc<Windows>,
    pub(crate) writes: Arc<Together<Write>>,
    pub(crate) calls: Arc<Together<GroupCall>>,
    pub(crate) growth: Arc<Growth>,
    pub(crate) publishing: Option<Arc<Publishing>>,
    pub(crate) holder: Arc<str>,
    pub wake: Wake,
}

impl Directory {
    /// Opens a pool of at most `connections`; the first connection is made now, so that a wrong address shows at once.
    pub async fn connect(url: &str, role: Role, connections: u32, sources: Arc<Sources>, wake: Wake) -> Result<Self> {
        let options: PgConnectOptions = url.parse().map_err(Error::Statement)?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .before_acquire(|connection, idle| {
                Box::pin(async move { Ok(!suspicion::is_on(idle.idle_for) || connection.ping().await.is_ok()) })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(role.set_role()).execute(&mut *connection).await?;
                    sqlx::raw_sql(SETTINGS).execute(connection).await?;
                    Ok(())
                })
            })
            .connect_with(options.application_name("leaver"))
            .await?;
        Ok(Self {
            pool,
            sources,
            windows: Arc::default(),
            writes: Arc::default(),
            calls: Arc::default(),
            growth: Arc::default(),
            publishing: None,
            holder: "".into(),
            wake,
        })
    }

    /// The same under a name that stands in leases of deliveries: a process takes those of its earlier life back.
    #[must_use]
    pub fn held_by(self, holder: &str) -> Self {
        Self { holder: holder.into(), ..self }
    }

    /// That name.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// One round trip, for readiness.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!("SELECT 1 AS one").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<chrono::DateTime<chrono::Utc>> {
        Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&self.pool).await?)
    }

    /// Closes every connection of the pool.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// For tests that look at what a role may do.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}
