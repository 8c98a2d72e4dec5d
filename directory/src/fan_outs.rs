//! Changes of more members than one transaction may have: the fact was committed with this row, and the effect follows in
//! chunks, each a transaction with its events. A crash leaves the row, and it goes on from there.

use lifecycle::{Class, GroupView};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::members::tell;
use crate::{Directory, Result};

/// (account, identity) of one chunk.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub left: Vec<(Uuid, Uuid)>,
    pub joined: Vec<(Uuid, Uuid)>,
}

pub(crate) async fn begin(
    tx: &mut PgConnection,
    cause: &Cause,
    id: Uuid,
    group: Uuid,
    lost_privileged: bool,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO directory.fan_outs (id, group_id, lost_privileged, effective_at, received_at, trace)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        group,
        lost_privileged,
        cause.effective_at,
        cause.received_at,
        cause.trace
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets a chunk of what waits for `mark` count. The row of the group is locked.
pub(crate) async fn take(tx: &mut PgConnection, group: Uuid, mark: Uuid) -> Result<Taken> {
    let rows = sqlx::query!(
        r#"WITH due AS MATERIALIZED (
               SELECT account_id, present FROM directory.memberships WHERE waits_for = $2 AND group_id = $1 LIMIT $3),
           gone AS (
               DELETE FROM directory.memberships m USING due d
               WHERE m.group_id = $1 AND m.account_id = d.account_id AND NOT d.present),
           here AS (
               UPDATE directory.memberships m SET counted = true, waits_for = NULL FROM due d
               WHERE m.group_id = $1 AND m.account_id = d.account_id AND d.present)
           SELECT d.account_id AS "account!", d.present AS "present!", a.identity_id AS "identity!"
           FROM due d JOIN directory.accounts a ON a.id = d.account_id"#,
        group,
        mark,
        CHUNK as i64
    )
    .fetch_all(tx)
    .await?;
    let mut taken = Taken::default();
    for row in rows {
        let side = if row.present { &mut taken.joined } else { &mut taken.left };
        side.push((row.account, row.identity));
    }
    Ok(taken)
}

impl Directory {
    /// Whether there is something to work off.
    pub async fn fans_out(&self) -> Result<bool> {
        Ok(sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM directory.fan_outs) AS "some!""#)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Works off one chunk of the oldest fan-out, if there is one. Returns how many members that were; `None`: there is none.
    pub async fn fan_out(&self) -> Result<Option<usize>> {
        self.retrying(|| Box::pin(self.fan_out_chunk())).await
    }

    async fn fan_out_chunk(&self) -> Result<Option<usize>> {
        let mut tx = self.pool.begin().await?;
        // Locking the group is what keeps two workers from one chunk, and a call from half of one.
        let Some(row) = sqlx::query!(
            "SELECT f.id, f.lost_privileged, f.effective_at, f.received_at, f.trace,
                    g.id AS group_id, g.source, g.display_name, g.privileged
             FROM directory.fan_outs f JOIN directory.groups g ON g.id = f.group_id
             ORDER BY f.created_at, f.id LIMIT 1 FOR NO KEY UPDATE OF g"
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(None);
        };
        let taken = take(&mut tx, row.group_id, row.id).await?;
        let cause = Cause {
            source: Some(row.source),
            class: Class::Mass,
            effective_at: row.effective_at,
            received_at: row.received_at,
            trace: row.trace,
            via: "SCIM fan-out",
        };
        let group = GroupView { id: row.group_id, name: row.display_name, privileged: row.privileged };
        let lost = GroupView { privileged: row.lost_privileged, ..group.clone() };
        // All of a fan-out go one way.
        tell(&mut tx, self, &cause, &taken.left, &lost, false).await?;
        tell(&mut tx, self, &cause, &taken.joined, &group, true).await?;
        let count = taken.left.len() + taken.joined.len();
        if count < CHUNK {
            sqlx::query!("DELETE FROM directory.fan_outs WHERE id = $1", row.id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(Some(count))
    }
}
