//! Groups that a complete snapshot no longer names. Nobody said that they were deleted, and that everybody has left one is
//! something else: those come as what they are.

use lifecycle::{EventType, GroupView};
use serde_json::json;

use crate::apply::{CHUNK, Cause};
use crate::checkpoints::{self, Fence};
use crate::groups::{GroupRow, draft};
use crate::{Directory, Result};

impl Directory {
    /// Marks groups of the source that nobody in its snapshot is in, and that are not among `listed`: the groups that the source
    /// has, whoever is in them. Says how many there were. Called once the snapshot is applied, never of one that is held.
    pub async fn vanish_groups(&self, cause: &Cause, fence: &Fence, listed: &[String]) -> Result<usize> {
        let mut all = 0;
        loop {
            let mut tx = self.begin().await?;
            checkpoints::hold(&mut tx, fence).await?;
            // Group by group (the OFFSETs see to it), for the first member that is there answers the question. A bitmap would be
            // made of all of them.
            sqlx::query!("SELECT set_config('enable_bitmapscan', 'off', true)").fetch_one(&mut *tx).await?;
            let gone = sqlx::query_as!(
                GroupRow,
                "SELECT id, source, native_id, external_id, display_name, privileged, attributes, version, revision, last_urgent,
                        last_bulk, recorded_at, created_at, changed_at
                 FROM directory.groups g
                 WHERE g.source = $1 AND g.tombstone IS NULL AND g.native_id <> ALL ($2)
                   AND NOT EXISTS (
                       SELECT FROM (SELECT account_id FROM directory.memberships WHERE group_id = g.id AND present OFFSET 0) m
                       JOIN directory.accounts a ON a.id = m.account_id AND a.tombstone IS NULL)
                   AND NOT EXISTS (
                       SELECT FROM (SELECT account_id FROM directory.inherited_memberships WHERE group_id = g.id OFFSET 0) i
                       JOIN directory.accounts a ON a.id = i.account_id AND a.tombstone IS NULL)
                 ORDER BY id LIMIT $3 FOR NO KEY UPDATE OF g",
                cause.source(),
                listed,
                CHUNK as i64
            )
            .fetch_all(&mut *tx)
            .await?;
            for row in &gone {
                let view = GroupView { id: row.id, name: row.display_name.clone(), privileged: row.privileged };
                let data = json!({"source": cause.source, "privileged": row.privileged, "via": cause.via});
                self.tell_of_group(&mut tx, cause, row, draft(EventType::GroupVanished, data, view)).await?;
            }
            let ids: Vec<_> = gone.iter().map(|row| row.id).collect();
            sqlx::query!(
                "UPDATE directory.groups SET tombstone = 'out_of_scope', revision = revision + 1, changed_at = clock_timestamp()
                 WHERE id = ANY($1)",
                &ids
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            all += gone.len();
            if gone.len() < CHUNK {
                self.wake.pending.ring();
                return Ok(all);
            }
        }
    }
}
