//! Changes of more members than one transaction may have, or of more people within a group that moved: the fact was committed with
//! this row, and the effect follows in chunks, each a transaction with its events. A crash leaves the row, and it goes on from there. One that fails is left alone for a
//! while, and holds up none of the others.

use std::time::Duration;

use lifecycle::{Class, GroupView};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::members::tell;
use crate::settle::{Touched, settle};
use crate::{Directory, Error, Result, nesting};

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

/// Of groups that came into a group or left it: whoever is in them is looked at.
pub(crate) async fn begin_nested(
    tx: &mut PgConnection,
    cause: &Cause,
    id: Uuid,
    group: Uuid,
    children: &[Uuid],
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO directory.fan_outs (id, group_id, lost_privileged, children, effective_at, received_at, trace)
         VALUES ($1, $2, false, $3, $4, $5, $6)",
        id,
        group,
        children,
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

/// What came of the fan-out whose turn it was.
#[derive(Debug)]
pub enum FanOut {
    /// So many members of it count now.
    Worked(usize),
    /// It is left alone for a while; others go on.
    Failed {
        id: Uuid,
        group: Uuid,
        error: Error,
        /// It had not failed before, or for another reason.
        news: bool,
    },
}

/// How long a fan-out is left alone after so many failures in a row: 1, 2, 4, … seconds, five minutes at most.
fn back_off(failures: i32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(300);
    let doublings = u32::try_from(failures.max(1) - 1).unwrap_or_default();
    2_u64.checked_pow(doublings).map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST))
}

impl Directory {
    /// Whether there is something to work off now.
    pub async fn fans_out(&self) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM directory.fan_outs WHERE due_at <= clock_timestamp()) AS "some!""#
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Works off one chunk of the fan-out that is due longest. `None`: none is due.
    ///
    /// # Errors
    /// When the database is away, which is no fault of any fan-out.
    pub async fn fan_out(&self) -> Result<Option<FanOut>> {
        let Some(next) = sqlx::query!(
            "SELECT id, group_id, failures FROM directory.fan_outs WHERE due_at <= clock_timestamp()
             ORDER BY due_at, created_at, id LIMIT 1"
        )
        .fetch_optional(&self.pool)
        .await?
        else {
            return Ok(None);
        };
        match self.retrying(|| Box::pin(self.fan_out_chunk(next.id))).await {
            Ok(count) => Ok(Some(FanOut::Worked(count))),
            Err(error @ Error::Unavailable(_)) => Err(error),
            Err(error) => {
                let news = self.put_off(next.id, next.failures + 1, &error).await?;
                Ok(Some(FanOut::Failed { id: next.id, group: next.group_id, error, news }))
            }
        }
    }

    /// Leaves a fan-out alone for a while. Whether it fails for another reason than before.
    async fn put_off(&self, id: Uuid, failures: i32, error: &Error) -> Result<bool> {
        let reason = match error {
            Error::Statement(sqlx::Error::Database(db)) | Error::Conflict(sqlx::Error::Database(db)) => {
                let (code, constraint) = (db.code().unwrap_or_default(), db.constraint().unwrap_or_default());
                format!("{error}: {code} {constraint}").trim_end().to_owned()
            }
            _ => error.to_string(),
        };
        Ok(sqlx::query_scalar!(
            r#"UPDATE directory.fan_outs f SET failures = $2, error = $3, due_at = clock_timestamp() + make_interval(secs => $4)
               FROM (SELECT id, error FROM directory.fan_outs WHERE id = $1 FOR UPDATE) AS before
               WHERE f.id = before.id RETURNING before.error IS DISTINCT FROM $3 AS "news!""#,
            id,
            failures,
            reason,
            back_off(failures).as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await?
        .unwrap_or(false))
    }

    async fn fan_out_chunk(&self, id: Uuid) -> Result<usize> {
        let mut tx = self.begin().await?;
        // Locking the group is what keeps two workers from one chunk, and a call from half of one.
        let Some(row) = sqlx::query!(
            "SELECT f.id, f.failures, f.lost_privileged, f.effective_at, f.received_at, f.trace, f.children, f.after,
                    g.id AS group_id, g.source, g.display_name, g.privileged
             FROM directory.fan_outs f JOIN directory.groups g ON g.id = f.group_id
             WHERE f.id = $1 FOR NO KEY UPDATE OF g",
            id
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            // Another worker has finished it.
            return Ok(0);
        };
        let cause = Cause {
            source: Some(row.source),
            class: Class::Mass,
            effective_at: row.effective_at,
            received_at: row.received_at,
            trace: row.trace,
            via: "SCIM fan-out",
        };
        let count = if let Some(children) = &row.children {
            let reached = nesting::people(&mut tx, children, row.after, CHUNK).await?;
            let (count, last) = (reached.len(), reached.last().map(|(account, _)| *account));
            settle(&mut tx, &self.sources, &cause, Touched { reached, ..Touched::default() }).await?;
            sqlx::query!("UPDATE directory.fan_outs SET after = $2 WHERE id = $1", row.id, last)
                .execute(&mut *tx)
                .await?;
            count
        } else {
            let taken = take(&mut tx, row.group_id, row.id).await?;
            let group = GroupView { id: row.group_id, name: row.display_name, privileged: row.privileged };
            let lost = GroupView { privileged: row.lost_privileged, ..group.clone() };
            // All of a fan-out go one way.
            tell(&mut tx, self, &cause, &taken.left, &lost, false, Touched::default()).await?;
            tell(&mut tx, self, &cause, &taken.joined, &group, true, Touched::default()).await?;
            taken.left.len() + taken.joined.len()
        };
        if count < CHUNK {
            sqlx::query!("DELETE FROM directory.fan_outs WHERE id = $1", row.id).execute(&mut *tx).await?;
            nesting::forget(&mut tx, row.group_id).await?;
        } else if row.failures > 0 {
            sqlx::query!("UPDATE directory.fan_outs SET failures = 0, error = NULL WHERE id = $1", row.id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_out_that_keeps_failing_is_tried_ever_more_rarely_and_never_given_up() {
        let seconds = [0, 1, 2, 3, 9, 10, 500, i32::MAX].map(|failures| back_off(failures).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300, 300]);
    }
}
