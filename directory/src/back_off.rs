//! How the runs of a source end, with the event where that is another state than before: backed off, or recovered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::EventType;
use serde_json::json;
use sqlx::PgConnection;

use crate::apply::Cause;
use crate::runs::{emit, lock_source};
use crate::{Directory, Result};

impl Directory {
    /// Notes that a run failed, and for how long the source is left alone: that is told once for each `reason`, which is a
    /// class of errors. `note` is for people who look at it. `pause` makes of the number of failures in a row how long.
    pub async fn back_off(
        &self,
        cause: &Cause,
        reason: &str,
        note: &str,
        pause: impl Fn(i32) -> Duration,
    ) -> Result<Duration> {
        let source = cause.source();
        let mut tx = self.begin().await?;
        let mut head = lock_source(&mut tx, source).await?;
        let before = last_failures(&mut tx, source).await?;
        let failures = before.failures.saturating_add(1);
        let pause = pause(failures);
        sqlx::query!(
            "INSERT INTO working.source_status AS w (source, state, note, next_run, last_run, failures, backed_off_for)
             VALUES ($1, 'backed_off', $2, $3, clock_timestamp(), $4, $5)
             ON CONFLICT (source) DO UPDATE SET state = excluded.state, note = excluded.note, next_run = excluded.next_run,
                 last_run = excluded.last_run, failures = excluded.failures, backed_off_for = excluded.backed_off_for",
            source,
            note,
            Utc::now() + pause,
            failures,
            reason
        )
        .execute(&mut *tx)
        .await?;
        if before.backed_off_for.as_deref() != Some(reason) {
            let data = json!({"source": source, "reason": reason});
            emit(&mut tx, &mut head, cause, EventType::SourceBackedOff, data).await?;
        }
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(pause)
    }

    /// Notes that a run did not fail; if those before it did, that is told.
    pub async fn ran(
        &self,
        cause: &Cause,
        state: &str,
        note: Option<&str>,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let source = cause.source();
        let mut tx = self.begin().await?;
        let mut head = lock_source(&mut tx, source).await?;
        let before = last_failures(&mut tx, source).await?;
        sqlx::query!(
            "INSERT INTO working.source_status AS w (source, state, note, next_run, last_run)
             VALUES ($1, $2, $3, $4, clock_timestamp())
             ON CONFLICT (source) DO UPDATE SET state = excluded.state, note = excluded.note, next_run = excluded.next_run,
                 last_run = excluded.last_run, failures = 0, backed_off_for = NULL",
            source,
            state,
            note,
            next_run
        )
        .execute(&mut *tx)
        .await?;
        if before.backed_off_for.is_some() {
            let data = json!({"source": source, "failures": before.failures});
            emit(&mut tx, &mut head, cause, EventType::SourceRecovered, data).await?;
        }
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(())
    }
}

/// How a source did before its latest run.
#[derive(Default)]
struct Before {
    failures: i32,
    backed_off_for: Option<String>,
}

/// Of a source that nothing is known of yet: none.
async fn last_failures(tx: &mut PgConnection, source: &str) -> Result<Before> {
    let found =
        sqlx::query_as!(Before, "SELECT failures, backed_off_for FROM working.source_status WHERE source = $1", source)
            .fetch_optional(tx)
            .await?;
    Ok(found.unwrap_or_default())
}
