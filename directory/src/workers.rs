//! Which sync workers there are: each has a lease of its own as long as it lives.

use crate::{Directory, Result};

impl Directory {
    /// Says that the worker is there, for as long as a lease lasts.
    pub async fn be_there(&self, worker: &str) -> Result<()> {
        self.lease(&own(worker), worker).await.map(drop)
    }

    /// Says that it is not any more, so that nobody waits for it.
    pub async fn be_gone(&self, worker: &str) -> Result<()> {
        self.release_lease(&own(worker), worker).await
    }

    /// All that are there, as they name themselves in leases.
    pub async fn workers(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar!(
            "SELECT holder FROM working.leases WHERE starts_with(name, 'worker/') AND until > clock_timestamp() ORDER BY 1"
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

fn own(worker: &str) -> String {
    format!("worker/{worker}")
}
