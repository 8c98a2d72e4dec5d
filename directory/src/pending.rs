//! The pending set: what was committed and not yet acknowledged by the bus.

use chrono::{DateTime, Utc};
use lifecycle::{Cutoff, Lane};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::{Directory, Result};

/// Into how many shards subjects are spread; a shard has one relay at a time.
pub const SHARDS: i16 = 1;

pub(crate) fn shard_of(subject: Uuid) -> i16 {
    i16::try_from(subject.as_u128() % u128::from(SHARDS.unsigned_abs())).expect("below SHARDS")
}

/// An event that the bus has not acknowledged.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub id: i64,
    pub event_id: Uuid,
    pub subject: Uuid,
    pub body: String,
    pub recorded_at: DateTime<Utc>,
}

/// A subject whose cutoffs the bus has not got in their newest revision.
#[derive(Debug, Clone)]
pub struct PendingCutoff {
    pub subject: Uuid,
    pub revision: i64,
    pub scopes: BTreeMap<String, Cutoff>,
}

impl Directory {
    /// The next events of a shard and lane after `position`, which lives in memory for one pass over the set: the next pass
    /// begins at 0 again, so what committed late is never skipped.
    pub async fn pending_events(&self, shard: i16, lane: Lane, position: i64, limit: i64) -> Result<Vec<PendingEvent>> {
        let rows = sqlx::query!(
            r#"SELECT e.id AS "id!", e.event_id AS "event_id!", e.subject_id AS "subject!", e.body AS "body!", e.recorded_at AS "recorded_at!"
               FROM (SELECT id FROM ledger.pending WHERE shard = $1 AND lane = $2 AND id > $3 ORDER BY id LIMIT $4) p,
                    LATERAL (SELECT id, event_id, subject_id, body, recorded_at FROM ledger.events e WHERE e.id = p.id OFFSET 0) e
               ORDER BY p.id"#,
            shard,
            lane.number(),
            position,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| PendingEvent {
                id: r.id,
                event_id: r.event_id,
                subject: r.subject,
                body: r.body,
                recorded_at: r.recorded_at,
            })
            .collect())
    }

    /// Forgets events that the bus acknowledged.
    pub async fn acknowledge(&self, shard: i16, lane: Lane, ids: &[i64]) -> Result<()> {
        sqlx::query!(
            "DELETE FROM ledger.pending WHERE shard = $1 AND lane = $2 AND id = ANY($3)",
            shard,
            lane.number(),
            ids
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn pending_cutoffs(&self, shard: i16, limit: i64) -> Result<Vec<PendingCutoff>> {
        let rows = sqlx::query!(
            "SELECT p.subject_id, s.revision, c.scope, c.cutoff
             FROM (SELECT subject_id FROM ledger.pending_cutoffs WHERE shard = $1 ORDER BY subject_id LIMIT $2) p
             JOIN ledger.cutoff_subjects s USING (subject_id) JOIN ledger.cutoffs c USING (subject_id)
             ORDER BY p.subject_id",
            shard,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let mut result: Vec<PendingCutoff> = Vec::new();
        for row in rows {
            let cutoff = crate::cutoffs::read(row.cutoff, row.subject_id)?;
            match result.last_mut().filter(|last| last.subject == row.subject_id) {
                Some(last) => {
                    last.scopes.insert(row.scope, cutoff);
                }
                None => result.push(PendingCutoff {
                    subject: row.subject_id,
                    revision: row.revision,
                    scopes: BTreeMap::from([(row.scope, cutoff)]),
                }),
            }
        }
        Ok(result)
    }

    /// Forgets cutoffs whose acknowledged revision is still the newest.
    pub async fn acknowledge_cutoffs(&self, shard: i16, acknowledged: &[(Uuid, i64)]) -> Result<()> {
        let (subjects, revisions): (Vec<Uuid>, Vec<i64>) = acknowledged.iter().copied().unzip();
        sqlx::query!(
            "DELETE FROM ledger.pending_cutoffs p USING UNNEST($2::uuid[], $3::int8[]) AS d(subject, revision)
             WHERE p.shard = $1 AND p.subject_id = d.subject AND p.revision <= d.revision",
            shard,
            &subjects,
            &revisions
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How many events wait for the bus, by lane, and since when the oldest does.
    pub async fn pending_depth(&self) -> Result<Vec<(Lane, i64)>> {
        let rows = sqlx::query!(r#"SELECT lane, count(*) AS "count!" FROM ledger.pending GROUP BY lane"#)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().filter_map(|r| Lane::from_number(r.lane).map(|lane| (lane, r.count))).collect())
    }
}
