//! Looks: what a revoker saw of somebody's sessions when a person asked. The asking is kept, the answer is for minutes.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Directory, Result, requests};

impl Directory {
    /// Answers a request to look.
    pub async fn answer_look(&self, request: Uuid, answer: &Value) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO scratch.looks (request, answer) VALUES ($1, $2) ON CONFLICT (request) DO NOTHING",
            request,
            answer
        )
        .execute(&mut *tx)
        .await?;
        requests::finish(&mut tx, request, true, &json!({"looked": true})).await?;
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }

    /// What was seen; `None`: nobody has looked yet, or it is too long ago.
    pub async fn look(&self, request: Uuid) -> Result<Option<Value>> {
        Ok(sqlx::query_scalar!(
            "SELECT answer FROM scratch.looks
             WHERE request = $1 AND answered_at > clock_timestamp() - interval '5 minutes'",
            request
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Erases what was seen longer ago.
    pub async fn forget_looks(&self) -> Result<u64> {
        let done =
            sqlx::query!("DELETE FROM scratch.looks WHERE answered_at <= clock_timestamp() - interval '5 minutes'")
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}
