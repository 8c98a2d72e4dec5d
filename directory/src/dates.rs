//! First and last days that pass, whether or not the source is read that day.

use chrono::{DateTime, Utc};
use lifecycle::Standing;
use lifecycle::account::standing_at;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::checkpoints::{self, Fence};
use crate::settle::{Touched, settle};
use crate::{Directory, Result};

impl Directory {
    /// Lets dates that have passed act: a first day counts at once, a last day is a difference for the plan.
    pub async fn pass_dates(&self, cause: &Cause, fence: &Fence, now: DateTime<Utc>) -> Result<()> {
        let due = due(&mut *self.pool.acquire().await?, cause.source(), now).await?;
        for chunk in due.chunks(CHUNK) {
            let mut tx = self.begin().await?;
            checkpoints::hold(&mut tx, fence).await?;
            pass(&mut tx, chunk).await?;
            let touched = Touched { changed: chunk.iter().map(|d| d.identity).collect(), ..Touched::default() };
            settle(&mut tx, &self.sources, cause, touched).await?;
            tx.commit().await?;
        }
        self.wake.pending.ring();
        Ok(())
    }
}

/// An account whose first or last day has passed.
#[derive(Debug)]
pub(crate) struct Due {
    account: Uuid,
    identity: Uuid,
    fact: Standing,
    counted: Standing,
}

/// Accounts of a source whose fact is no longer what their dates say.
pub(crate) async fn due(connection: &mut PgConnection, source: &str, now: DateTime<Utc>) -> Result<Vec<Due>> {
    // Nearly everybody began some day, so only those whose fact is no longer what their dates say may leave the database;
    // what they say is decided below.
    let rows = sqlx::query!(
        "SELECT id, identity_id, stated, starts_at, ends_at, fact, counted FROM directory.accounts
         WHERE source = $1 AND tombstone IS NULL AND (starts_at <= $2 OR ends_at <= $2)
           AND (stated = 'staged' OR ends_at <= $2 AND fact <> 'gone'
                OR stated NOT IN ('unknown', fact) AND NOT coalesce(ends_at <= $2 AND fact = 'gone', false))",
        source,
        now
    )
    .fetch_all(connection)
    .await?;
    let due = rows.into_iter().filter_map(|r| {
        let stated = Standing::parse(&r.stated)?;
        let (fact, counted) = (Standing::parse(&r.fact)?, Standing::parse(&r.counted)?);
        let now_fact = standing_at(stated, r.starts_at, r.ends_at, now);
        let counted = if now_fact.is_dangerous_after(counted) { counted } else { now_fact };
        let due = Due { account: r.id, identity: r.identity_id, fact: now_fact, counted };
        (now_fact != fact && now_fact != Standing::Unknown).then_some(due)
    });
    Ok(due.collect())
}

/// Lets dates that have passed be facts.
pub(crate) async fn pass(tx: &mut PgConnection, due: &[Due]) -> Result<()> {
    let ids: Vec<Uuid> = due.iter().map(|d| d.account).collect();
    let facts: Vec<String> = due.iter().map(|d| d.fact.to_string()).collect();
    let counted: Vec<String> = due.iter().map(|d| d.counted.to_string()).collect();
    sqlx::query!(
        "UPDATE directory.accounts a SET fact = d.fact, counted = d.counted, version = version + 1,
             changed_at = clock_timestamp()
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS d(id, fact, counted) WHERE a.id = d.id",
        &ids,
        &facts,
        &counted
    )
    .execute(tx)
    .await?;
    Ok(())
}
