//! Whose turn it is to read a source, where several workers have the same schedule.

use chrono::{DateTime, Utc};

use crate::{Directory, Result};

/// What other workers need to know of a source before they read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// When the last run ended, whoever made it.
    pub last_run: Option<DateTime<Utc>>,
    /// It failed, and is left alone until then.
    pub backed_off_until: Option<DateTime<Utc>>,
    /// A person wants nobody to read it.
    pub paused: bool,
}

impl Directory {
    /// What was done at a source last.
    pub async fn turn(&self, source: &str) -> Result<Turn> {
        let row = sqlx::query_as!(
            Turn,
            r#"SELECT w.last_run AS "last_run?", CASE WHEN w.state = 'backed_off' THEN w.next_run END AS "backed_off_until?",
                      s.paused_at IS NOT NULL AS "paused!"
               FROM directory.sources s LEFT JOIN working.source_status w ON w.source = s.name WHERE s.name = $1"#,
            source
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.unwrap_or_default())
    }

    /// Notes that a worker which just started will read a source at `next_run`. What another worker does with it now, and how
    /// long it is left alone, stays as it is.
    pub async fn note_start(
        &self,
        source: &str,
        state: &str,
        note: Option<&str>,
        next_run: Option<DateTime<Utc>>,
        holder: &str,
    ) -> Result<()> {
        sqlx::query!(
            "INSERT INTO working.source_status AS w (source, state, note, next_run) VALUES ($1, $2, $3, $4)
             ON CONFLICT (source) DO UPDATE SET state = excluded.state, note = excluded.note, next_run = excluded.next_run
             WHERE NOT (w.state = 'backed_off' AND w.next_run > clock_timestamp())
               AND NOT (w.state = 'running' AND EXISTS (
                   SELECT FROM working.leases l
                   WHERE l.name = 'source/' || w.source AND l.holder <> $5 AND l.until > clock_timestamp()))",
            source,
            state,
            note,
            next_run,
            holder
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
