//! Which topics hold every cutoff: one that is new, or under other names, is filled from the beginning.

use uuid::Uuid;

use crate::pending::shard_of;
use crate::{Directory, Result, names};

impl Directory {
    /// What a topic was last filled for; `None`: never.
    pub async fn publication(&self, topic: &str) -> Result<Option<String>> {
        Ok(sqlx::query_scalar!("SELECT digest FROM working.publications WHERE name = $1", topic)
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Makes the cutoffs of up to `limit` subjects after `position` pending, under the names that they have now. Returns the last
    /// of them and how many there were; `None` at the end. Doing it again does no harm.
    pub async fn publish_after(&self, position: Uuid, limit: i64) -> Result<Option<(Uuid, usize)>> {
        let subjects = self.cut_off_after(position, limit).await?;
        let Some(last) = subjects.last().copied() else { return Ok(None) };
        let shards: Vec<i16> = subjects.iter().map(|subject| shard_of(*subject)).collect();
        let mut tx = self.begin().await?;
        names::refresh(&mut tx, self.naming(), &subjects).await?;
        sqlx::query!(
            "INSERT INTO ledger.pending_cutoffs (shard, subject_id, revision)
             SELECT n.shard, s.subject_id, s.revision
             FROM UNNEST($1::uuid[], $2::int2[]) AS n(subject, shard) JOIN ledger.cutoff_subjects s ON s.subject_id = n.subject
             ON CONFLICT (shard, subject_id) DO UPDATE SET revision = excluded.revision",
            &subjects,
            &shards
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(Some((last, subjects.len())))
    }

    /// Remembers that everything was made pending for this topic. Written last, so that a crash before it begins again.
    pub async fn published(&self, topic: &str, digest: &str) -> Result<()> {
        sqlx::query!(
            "INSERT INTO working.publications (name, digest) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, since = clock_timestamp()",
            topic,
            digest
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets every topic where this part publishes nothing: from now on cutoffs change without becoming pending, so the next
    /// part that publishes fills them anew.
    pub async fn forget_publications(&self) -> Result<()> {
        if !self.publishes() {
            sqlx::query!("DELETE FROM working.publications").execute(&self.pool).await?;
        }
        Ok(())
    }
}
