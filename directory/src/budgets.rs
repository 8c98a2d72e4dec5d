//! Budgets of requests to vendors, shared by all workers: each reserves spans of time that no other one has, by the database's clock.

use std::time::Duration;

use crate::{Directory, Result};

impl Directory {
    /// Reserves the next free span of a budget, and tells how long it is until it begins. What nobody has reserved is lost: a
    /// quiet hour is no reason for a burst.
    pub async fn reserve(&self, budget: &str, span: Duration) -> Result<Duration> {
        let seconds = sqlx::query_scalar!(
            r#"INSERT INTO working.budgets AS b (name, reserved_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
               ON CONFLICT (name) DO UPDATE
                   SET reserved_until = greatest(b.reserved_until, clock_timestamp()) + make_interval(secs => $2)
               RETURNING extract(epoch FROM reserved_until - make_interval(secs => $2) - clock_timestamp())::float8 AS "wait!""#,
            budget,
            span.as_secs_f64()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Reserves nothing to anybody for as long: the vendor has asked one of those who share it to wait.
    pub async fn spare(&self, budget: &str, wait: Duration) -> Result<()> {
        sqlx::query!(
            "INSERT INTO working.budgets AS b (name, reserved_until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
             ON CONFLICT (name) DO UPDATE SET reserved_until = greatest(b.reserved_until, excluded.reserved_until)",
            budget,
            wait.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
