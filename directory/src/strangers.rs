//! Strangers: subjects whom no source knows, each by what one downstream calls them. The id is random, so that it tells nobody
//! the value, not even somebody who guesses.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{Directory, Result};

impl Directory {
    /// The subject that a downstream calls so; the same each time.
    pub async fn stranger(&self, downstream: &str, value: &str) -> Result<Uuid> {
        Ok(sqlx::query_scalar!(
            "INSERT INTO ledger.strangers (downstream, value) VALUES ($1, $2)
             ON CONFLICT (downstream, value) DO UPDATE SET asked_at = clock_timestamp() RETURNING id",
            downstream,
            value
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// What the downstream calls those of these subjects who are strangers there.
    pub async fn strangers(&self, downstream: &str, subjects: &[Uuid]) -> Result<HashMap<Uuid, String>> {
        if subjects.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(sqlx::query!(
            "SELECT id, value FROM ledger.strangers WHERE downstream = $1 AND id = ANY($2)",
            downstream,
            subjects
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|r| (r.id, r.value))
        .collect())
    }

    /// Erases strangers of whom nothing was ever demanded: somebody only looked, some minutes ago.
    pub async fn forget_strangers(&self) -> Result<u64> {
        let done = sqlx::query!(
            "DELETE FROM ledger.strangers s
             WHERE s.asked_at <= clock_timestamp() - interval '5 minutes'
               AND NOT EXISTS (SELECT FROM ledger.cutoff_subjects c WHERE c.subject_id = s.id)
               AND NOT EXISTS (SELECT FROM ledger.requests r WHERE r.state = 'new' AND r.payload ->> 'subject' = s.id::text)"
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
