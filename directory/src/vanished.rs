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
            let gone = sqlx::query_as!(
                GroupRow,
                "SELECT id, source, native_id, external_id, display_name, privileged, attributes, version, revision, last_urgent,
                        last_bulk, recorded_at, created_at, changed_at
                 FROM directory.groups g
                 WHERE g.source = $1 AND g.tombstone IS NULL AND g.native_id <> ALL ($2)
                   AND NOT EXISTS (SELECT FROM directory.memberships m JOIN directory.accounts a ON a.id = m.account_id
                                   WHERE m.group_id = g.id AND m.present AND a.tombstone IS NULL)
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
