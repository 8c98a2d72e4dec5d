//! Leases: plain rows by the database's clock. They save double work; nothing relies on them for correctness.

use std::time::Duration;

use crate::{Directory, Result};

/// How long a lease lasts unless renewed.
pub const TTL: Duration = Duration::from_secs(10);

impl Directory {
    /// Takes or renews a lease for [`TTL`]. The same holder takes its own back at once.
    pub async fn lease(&self, name: &str, holder: &str) -> Result<bool> {
        let taken = sqlx::query!(
            "INSERT INTO working.leases AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + interval '10 seconds')
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE l.holder = excluded.holder OR l.until < clock_timestamp()",
            name,
            holder
        )
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives a lease back, so that the next holder need not wait.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<()> {
        sqlx::query!("DELETE FROM working.leases WHERE name = $1 AND holder = $2", name, holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
