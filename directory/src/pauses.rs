//! Pauses: a person stops a source from being read, until a person lets it be read again.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Directory, Result};

/// Why a source is not read.
#[derive(Debug, Clone, Serialize)]
pub struct Pause {
    #[serde(serialize_with = "crate::instant::ms")]
    pub since: DateTime<Utc>,
    pub by: String,
    pub reason: Option<String>,
}

impl Directory {
    /// Pauses a source; a pause that it has already stays as it is. A run that is under way can write nothing more: nobody is
    /// missing because of what it has not read.
    pub async fn pause(&self, source: &str, by: &str, reason: Option<&str>) -> Result<()> {
        let mut tx = self.begin().await?;
        let paused = sqlx::query!(
            "UPDATE directory.sources SET paused_at = clock_timestamp(), paused_by = $2, pause_reason = $3
             WHERE name = $1 AND paused_at IS NULL",
            source,
            by,
            reason
        )
        .execute(&mut *tx)
        .await?;
        if paused.rows_affected() > 0 {
            // The turn that the run holds is over.
            sqlx::query!("UPDATE working.checkpoints SET turn = turn + 1 WHERE source = $1", source)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Lets a source be read again, from where it was read to. Whether it was paused.
    pub async fn resume(&self, source: &str) -> Result<bool> {
        let resumed = sqlx::query!(
            "UPDATE directory.sources SET paused_at = NULL, paused_by = NULL, pause_reason = NULL
             WHERE name = $1 AND paused_at IS NOT NULL",
            source
        )
        .execute(&self.pool)
        .await?;
        Ok(resumed.rows_affected() > 0)
    }

    /// The pause of a source, if it has one.
    pub async fn paused(&self, source: &str) -> Result<Option<Pause>> {
        Ok(sqlx::query_as!(
            Pause,
            r#"SELECT paused_at AS "since!", coalesce(paused_by, '') AS "by!", pause_reason AS reason
               FROM directory.sources WHERE name = $1 AND paused_at IS NOT NULL"#,
            source
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}
