//! Reconcile: compares truth with what was delivered, by the clock and without input. Alone it would be enough, only slower.

use std::collections::BTreeMap;

use lifecycle::Cutoff;
use uuid::Uuid;

use crate::cutoffs::{in_force, read, write};
use crate::{Directory, Result};

/// What reconcile repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Deliveries made or brought up to the subject's cutoffs.
    pub deliveries: u64,
}

impl Directory {
    /// Finds subjects whose deliveries are missing or behind their cutoffs and makes them due. A delivery that never existed
    /// waits for those of the subject's revocations that name the downstream and have no receipt from it.
    pub async fn reconcile_deliveries(&self, downstreams: &[String], limit: i64) -> Result<Reconciled> {
        let behind = sqlx::query!(
            r#"SELECT s.subject_id AS "subject!", n.downstream AS "downstream!", s.revision AS "revision!"
               FROM ledger.cutoff_subjects s CROSS JOIN UNNEST($1::text[]) AS n(downstream)
               LEFT JOIN working.deliveries d ON d.subject_id = s.subject_id AND d.downstream = n.downstream
               WHERE (d.subject_id IS NULL OR d.revision < s.revision)
                 AND EXISTS (SELECT FROM ledger.cutoffs c WHERE c.subject_id = s.subject_id AND c.scope IN ('*', n.downstream))
               LIMIT $2"#,
            downstreams,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let mut repaired = 0;
        for row in behind {
            let mut tx = self.begin().await?;
            let revision = sqlx::query_scalar!(
                "SELECT revision FROM ledger.cutoff_subjects WHERE subject_id = $1 FOR UPDATE",
                row.subject
            )
            .fetch_one(&mut *tx)
            .await?;
            let mut scopes: BTreeMap<String, Cutoff> = BTreeMap::new();
            for c in sqlx::query!("SELECT scope, cutoff FROM ledger.cutoffs WHERE subject_id = $1", row.subject)
                .fetch_all(&mut *tx)
                .await?
            {
                scopes.insert(c.scope, read(c.cutoff, row.subject)?);
            }
            let waiting = unanswered(&mut tx, row.subject, &row.downstream).await?;
            let wanted = write(&in_force(&scopes, &row.downstream));
            let done = sqlx::query!(
                "INSERT INTO working.deliveries AS d (subject_id, downstream, wanted, revision, waiting, class, due_at, owed_since)
                 VALUES ($1, $2, $3, $4, $5::uuid[], 2, clock_timestamp(),
                     coalesce((SELECT min(at) FROM ledger.revocations WHERE id = ANY($5)), clock_timestamp()))
                 ON CONFLICT (subject_id, downstream) DO UPDATE SET wanted = excluded.wanted, revision = excluded.revision,
                     waiting = excluded.waiting, turn = d.turn + 1, due_at = clock_timestamp(), owed_since = excluded.owed_since
                 WHERE d.revision < excluded.revision",
                row.subject,
                row.downstream,
                wanted,
                revision,
                &waiting
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            repaired += done.rows_affected();
        }
        if repaired > 0 {
            self.wake.deliveries.ring();
        }
        Ok(Reconciled { deliveries: repaired })
    }
}

async fn unanswered(tx: &mut sqlx::PgConnection, subject: Uuid, downstream: &str) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "SELECT r.id FROM ledger.revocations r
         WHERE r.subject_id = $1 AND $2 = ANY(r.downstreams)
           AND NOT EXISTS (SELECT FROM ledger.receipts c WHERE c.revocation = r.id AND c.downstream = $2 AND c.state <> 'stuck')
         ORDER BY r.at",
        subject,
        downstream
    )
    .fetch_all(tx)
    .await?)
}
