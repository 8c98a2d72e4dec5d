//! Refused requests as they were sent, kept for a week so that they can be carried out again once somebody has mended the cause.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{Directory, Result};

/// How long a refused request is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How many requests are kept for one reason in one place: the cause shows in the first, and each may hold personal data.
const KEPT_FOR_ONE_REASON: i64 = 100;

/// A request that was refused.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    pub id: Uuid,
    pub method: String,
    /// Below the source, such as `/Users/{id}`.
    pub path: String,
    /// Without passwords.
    pub body: Option<Value>,
    pub received_at: DateTime<Utc>,
}

/// What is kept of a refusal. `original` is left out where it must not or cannot be kept.
#[derive(Debug)]
pub struct Refused<'a> {
    pub source: &'a str,
    pub place: &'a str,
    pub reason: &'a str,
    /// Redacted.
    pub example: Option<&'a Value>,
    pub method: &'a str,
    pub path: &'a str,
    pub original: Option<&'a Value>,
}

impl Directory {
    /// Parks a refused request; the same place and reason again is counted, and its example is then the latest.
    pub async fn park_refused(&self, refused: &Refused<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let parked = sqlx::query_scalar!(
            "INSERT INTO ledger.parked AS p (id, source, place, reason, example) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (source, place, reason) DO UPDATE
             SET times = p.times + 1, last_seen = clock_timestamp(), resolved_at = NULL, example = excluded.example
             RETURNING id",
            Uuid::now_v7(),
            refused.source,
            refused.place,
            refused.reason,
            refused.example
        )
        .fetch_one(&mut *tx)
        .await?;
        if let Some(original) = refused.original {
            // Whoever tries the same again and again means it once, and now.
            sqlx::query!(
                "DELETE FROM working.refused_requests WHERE parked = $1 AND method = $2 AND path = $3 AND body = $4",
                parked,
                refused.method,
                refused.path,
                original
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                "INSERT INTO working.refused_requests (id, parked, method, path, body)
                 SELECT $1, $2, $3, $4, $5
                 WHERE (SELECT count(*) FROM working.refused_requests WHERE parked = $2) < $6",
                Uuid::now_v7(),
                parked,
                refused.method,
                refused.path,
                original,
                KEPT_FOR_ONE_REASON
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The kept requests of a parked record, oldest first.
    pub async fn refused_requests(&self, parked: Uuid) -> Result<Vec<RefusedRequest>> {
        Ok(sqlx::query_as!(
            RefusedRequest,
            "SELECT id, method, path, body, received_at FROM working.refused_requests WHERE parked = $1
             ORDER BY received_at, id",
            parked
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Erases a request that was carried out.
    pub async fn forget_refused(&self, id: Uuid) -> Result<()> {
        sqlx::query!("DELETE FROM working.refused_requests WHERE id = $1", id).execute(&self.pool).await?;
        Ok(())
    }

    /// Erases what is older than [`KEPT_FOR`]. How many requests that were.
    pub async fn forget_old_refused(&self) -> Result<u64> {
        let done = sqlx::query!(
            "DELETE FROM working.refused_requests WHERE received_at < clock_timestamp() - make_interval(secs => $1)",
            KEPT_FOR.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Notes what came of a retry: nothing is left to do, or why something is.
    pub async fn retried(&self, parked: Uuid, error: Option<&str>) -> Result<()> {
        sqlx::query!(
            "UPDATE ledger.parked SET retried_at = clock_timestamp(), retry_error = $2,
                    resolved_at = CASE WHEN $2::text IS NULL THEN clock_timestamp() END
             WHERE id = $1",
            parked,
            error
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The version of a user or group, and when it came to be.
    pub async fn version_of(&self, source: &str, native_id: &str) -> Result<Option<(i64, DateTime<Utc>)>> {
        let row = sqlx::query!(
            "SELECT version AS \"version!\", changed_at AS \"changed_at!\" FROM (
                 SELECT version, changed_at FROM directory.accounts WHERE source = $1 AND native_id = $2
                 UNION ALL
                 SELECT revision, changed_at FROM directory.groups WHERE source = $1 AND native_id = $2) known",
            source,
            native_id
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.version, row.changed_at)))
    }

    /// Whether the source has said something since `at` of a user of this `userName` or `externalId`.
    pub async fn user_changed_since(
        &self,
        source: &str,
        user_name: Option<&str>,
        external_id: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM directory.accounts
                 WHERE source = $1 AND (lower(user_name) = lower($2) OR external_id = $3) AND changed_at > $4) AS \"changed!\"",
            source,
            user_name,
            external_id,
            at
        )
        .fetch_one(&self.pool)
        .await?)
    }
}
