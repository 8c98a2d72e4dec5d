//! Sessions that were ended between two passes, as soon as they had appeared.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lifecycle::Cutoff;
use uuid::Uuid;

use crate::deliveries::remember_ended;
use crate::{Answer, Directory, Outcome, Result};

/// What was ended of one subject since the last pass.
#[derive(Debug, Clone)]
pub struct Returned {
    pub subject: Uuid,
    pub ended: u32,
    /// How many of them had been ended before.
    pub resurrected: u32,
    pub hashes: Vec<Vec<u8>>,
    /// When to look again at the latest, for whoever wrote it may do so once more.
    pub look_at: DateTime<Utc>,
}

impl Directory {
    /// Writes what was ended between two passes: its hashes, and the receipts, which are no longer `verified`; and brings the next
    /// look forward. A pass that is under way decides by itself when that is.
    pub async fn came_back(&self, downstream: &str, returned: &[Returned]) -> Result<()> {
        let subjects: Vec<Uuid> = returned.iter().map(|r| r.subject).collect();
        let looks: Vec<DateTime<Utc>> = returned.iter().map(|r| r.look_at).collect();
        let mut tx = self.begin().await?;
        let mut answered: HashMap<Uuid, Vec<Uuid>> = sqlx::query!(
            "SELECT subject_id, answered FROM working.deliveries
             WHERE downstream = $1 AND subject_id = ANY($2) ORDER BY subject_id FOR UPDATE",
            downstream,
            &subjects
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .map(|r| (r.subject_id, r.answered))
        .collect();
        let now = Utc::now();
        let answers: Vec<Answer> = returned
            .iter()
            .map(|r| Answer {
                subject: r.subject,
                // No pass made it, so there is no lease that it could have lost.
                lease: Uuid::nil(),
                turn: 0,
                outcome: Outcome::Applied,
                revocations: answered.remove(&r.subject).unwrap_or_default(),
                first: false,
                found: r.ended,
                ended: r.ended,
                resurrected: r.resurrected,
                collateral: 0,
                hashes: Vec::new(),
                delivered: Cutoff::default(),
                applied_at: now,
                verified_at: None,
                sweeps_done: 0,
                due_at: Some(r.look_at),
                note: None,
            })
            .collect();
        self.write_receipts(&mut tx, downstream, &answers.iter().collect::<Vec<_>>()).await?;
        remember_ended(&mut tx, downstream, returned.iter().map(|r| (r.subject, &r.hashes[..]))).await?;
        sqlx::query!(
            "UPDATE working.deliveries d SET settled = false,
                 due_at = CASE WHEN d.leased_until > clock_timestamp() THEN d.due_at ELSE least(d.due_at, n.look_at) END
             FROM UNNEST($2::uuid[], $3::timestamptz[]) AS n(subject, look_at)
             WHERE d.downstream = $1 AND d.subject_id = n.subject",
            downstream,
            &subjects,
            &looks
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.progress.ring();
        Ok(())
    }
}
