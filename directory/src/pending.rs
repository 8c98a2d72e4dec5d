//! The pending set: what was committed and not yet acknowledged by the bus.

use lifecycle::Lane;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Result, parked};

/// Into how many shards subjects are spread; a shard has one relay at a time.
pub const SHARDS: i16 = 1;

pub(crate) fn shard_of(subject: Uuid) -> i16 {
    i16::try_from(subject.as_u128() % u128::from(SHARDS.unsigned_abs())).expect("below SHARDS")
}

/// A record that the bus has not acknowledged: an event of a lane, or a step of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRecord {
    /// Of its row: the order in which records go.
    pub id: i64,
    /// Of the record itself, for whoever reads it.
    pub record: Uuid,
    pub subject: Uuid,
    pub body: String,
    /// The W3C `traceparent` of what caused it.
    pub trace: Option<String>,
}

/// A pending row that the bus will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<Row> {
    pub row: Row,
    /// Topic and record.
    pub place: String,
    pub reason: String,
}

impl<Row> Refusal<Row> {
    pub(crate) fn notes(refused: &[Self]) -> Vec<(&str, &str)> {
        refused.iter().map(|r| (r.place.as_str(), r.reason.as_str())).collect()
    }
}

impl Directory {
    /// The next events of a shard and lane after `position`, which lives in memory for one pass over the set: the next pass
    /// begins at 0 again, so what committed late is never skipped.
    pub async fn pending_events(
        &self,
        shard: i16,
        lane: Lane,
        position: i64,
        limit: i64,
    ) -> Result<Vec<PendingRecord>> {
        Ok(sqlx::query_as!(
            PendingRecord,
            r#"SELECT e.id AS "id!", e.event_id AS "record!", e.subject_id AS "subject!", e.body AS "body!", e.trace
               FROM (SELECT id FROM ledger.pending WHERE shard = $1 AND lane = $2 AND id > $3 ORDER BY id LIMIT $4) p,
                    LATERAL (SELECT id, event_id, subject_id, body, trace FROM ledger.events e WHERE e.id = p.id OFFSET 0) e
               ORDER BY p.id"#,
            shard,
            lane.number(),
            position,
            limit
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Forgets events that the bus acknowledged.
    pub async fn acknowledge(&self, shard: i16, lane: Lane, ids: &[i64]) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        forget(&mut connection, shard, lane, ids).await
    }

    /// Parks events that the bus will never take, so that none waits behind them. Of these the urgent ones are still decided,
    /// by reconcile.
    pub async fn park_events(&self, shard: i16, lane: Lane, refused: &[Refusal<i64>]) -> Result<()> {
        let ids: Vec<i64> = refused.iter().map(|r| r.row).collect();
        let mut tx = self.begin().await?;
        parked::write(&mut tx, parked::BUS, &Refusal::notes(refused)).await?;
        forget(&mut tx, shard, lane, &ids).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn forget(connection: &mut PgConnection, shard: i16, lane: Lane, ids: &[i64]) -> Result<()> {
    sqlx::query!(
        // Each row by its whole key. Asked for all ids at once, a planner that does not know yet how many rows there are reads the
        // whole lane for each batch.
        "DELETE FROM ledger.pending WHERE ctid = ANY(ARRAY(
             SELECT p.ctid FROM UNNEST($3::int8[]) AS d(id),
                    LATERAL (SELECT ctid FROM ledger.pending WHERE shard = $1 AND lane = $2 AND id = d.id OFFSET 0) p))",
        shard,
        lane.number(),
        ids
    )
    .execute(connection)
    .await?;
    Ok(())
}
