//! Bursts: so many pushed deactivations of a source apply within a window; what goes beyond waits for a person.

use std::time::Duration;

use sqlx::PgConnection;

use crate::Result;

/// How many, and within how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    pub count: u64,
    pub window: Duration,
}

/// Counts one deactivation; whether it still applies. The row's lock orders concurrent ones, so none slips through.
pub(crate) async fn spend(tx: &mut PgConnection, source: &str, burst: Burst) -> Result<bool> {
    let spent = sqlx::query_scalar!(
        "INSERT INTO scratch.bursts AS b (source, began, spent) VALUES ($1, clock_timestamp(), 1)
         ON CONFLICT (source) DO UPDATE SET
             began = CASE WHEN b.began + make_interval(secs => $2) < clock_timestamp() THEN clock_timestamp() ELSE b.began END,
             spent = CASE WHEN b.began + make_interval(secs => $2) < clock_timestamp() THEN 1 ELSE b.spent + 1 END
         RETURNING spent",
        source,
        burst.window.as_secs_f64()
    )
    .fetch_one(tx)
    .await?;
    Ok(spent.unsigned_abs() <= burst.count)
}
