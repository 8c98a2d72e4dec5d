//! Cutoffs that the bus has not got in their newest revision: read as they are now, forgotten by revision.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::{Cutoff, Published, Revocations, SubjectKind};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::pending::{Refusal, SHARDS};
use crate::{Directory, Error, Result, parked};

/// A subject whose cutoffs the bus has not got in their newest revision.
#[derive(Debug, Clone)]
pub struct PendingCutoff {
    pub subject: Uuid,
    pub kind: SubjectKind,
    pub revision: i64,
    pub changed_at: DateTime<Utc>,
    pub published: Published,
    pub scopes: BTreeMap<String, Cutoff>,
}

impl PendingCutoff {
    /// The record for the revocations topic.
    pub fn render(&self) -> String {
        let Self { subject, kind, revision, changed_at, published, scopes } = self;
        let (subject, kind, revision, changed_at) = (*subject, *kind, *revision, *changed_at);
        Revocations { subject, kind, revision, changed_at, subjects: published, scopes }.render()
    }
}

impl Directory {
    /// The next changed subjects of a shard after `position` (nil for the first), which lives in memory for one pass.
    pub async fn pending_cutoffs(&self, shard: i16, position: Uuid, limit: i64) -> Result<Vec<PendingCutoff>> {
        let rows = sqlx::query!(
            "SELECT p.subject_id, s.kind, s.revision, s.changed_at, s.published, c.scope, c.cutoff
             FROM (SELECT subject_id FROM ledger.pending_cutoffs WHERE shard = $1 AND subject_id > $2
                   ORDER BY subject_id LIMIT $3) p
             JOIN ledger.cutoff_subjects s USING (subject_id) JOIN ledger.cutoffs c USING (subject_id)
             ORDER BY p.subject_id",
            shard,
            position,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let mut result: Vec<PendingCutoff> = Vec::new();
        for row in rows {
            let subject = row.subject_id;
            let cutoff = crate::cutoffs::read(row.cutoff, subject)?;
            if let Some(last) = result.last_mut().filter(|last| last.subject == subject) {
                last.scopes.insert(row.scope, cutoff);
                continue;
            }
            let bad = |column| Error::Inconsistent { table: "cutoff_subjects", column, row: subject.to_string() };
            result.push(PendingCutoff {
                subject,
                kind: serde_json::from_value(json!(row.kind)).map_err(|_| bad("kind"))?,
                revision: row.revision,
                changed_at: row.changed_at,
                published: serde_json::from_value(row.published).map_err(|_| bad("published"))?,
                scopes: BTreeMap::from([(row.scope, cutoff)]),
            });
        }
        Ok(result)
    }

    /// Forgets cutoffs whose acknowledged revision is still the newest.
    pub async fn acknowledge_cutoffs(&self, shard: i16, acknowledged: &[(Uuid, i64)]) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        forget(&mut connection, shard, acknowledged).await
    }

    /// Parks cutoffs that the bus will never take in this revision; a later one is tried again.
    pub async fn park_cutoffs(&self, shard: i16, refused: &[Refusal<(Uuid, i64)>]) -> Result<()> {
        let rows: Vec<(Uuid, i64)> = refused.iter().map(|r| r.row).collect();
        let mut tx = self.begin().await?;
        parked::write(&mut tx, parked::BUS, &Refusal::notes(refused)).await?;
        forget(&mut tx, shard, &rows).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes pending again what changed within the last `window`: an older revision may have come onto the topic behind a newer
    /// one, and compaction would keep that. Without a window, everybody: the topic has lost them. Returns how many subjects
    /// were not pending already.
    pub async fn recall_cutoffs(&self, shard: i16, window: Option<Duration>) -> Result<u64> {
        const { assert!(SHARDS == 1, "the only shard has every subject") };
        let done = sqlx::query!(
            "INSERT INTO ledger.pending_cutoffs (shard, subject_id, revision)
             SELECT $1, subject_id, revision FROM ledger.cutoff_subjects
             WHERE ($2::float8 IS NULL OR changed_at > clock_timestamp() - make_interval(secs => $2)) AND revision > 0
             ON CONFLICT (shard, subject_id) DO NOTHING",
            shard,
            window.map(|window| window.as_secs_f64())
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

async fn forget(connection: &mut PgConnection, shard: i16, rows: &[(Uuid, i64)]) -> Result<()> {
    let (subjects, revisions): (Vec<Uuid>, Vec<i64>) = rows.iter().copied().unzip();
    sqlx::query!(
        "DELETE FROM ledger.pending_cutoffs p USING UNNEST($2::uuid[], $3::int8[]) AS d(subject, revision)
         WHERE p.shard = $1 AND p.subject_id = d.subject AND p.revision <= d.revision",
        shard,
        &subjects,
        &revisions
    )
    .execute(connection)
    .await?;
    Ok(())
}
