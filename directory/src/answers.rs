//! What a person answers to a held plan: approve, which lets exactly its rows count, or reject, which lets them never count
//! as long as the source says no more than that.

use chrono::{DateTime, Utc};
use lifecycle::{Class, EventType};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::plans::note_held;
use crate::runs::{Difference, emit, lock_source, release};
use crate::settle::{Touched, settle};
use crate::{Directory, Error, Result, nesting};

/// What approving did.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PlanVerdict {
    Applied {
        /// Rows of the plan that count now.
        applied: usize,
        /// Rows whose fact had changed since, so that the plan no longer speaks of them.
        skipped: usize,
    },
    /// The plan is larger than one person may answer for. Nothing was applied.
    Waiting {
        /// Its rows.
        rows: usize,
        /// More than so many take a second person.
        mass: u64,
        approved_by: Vec<String>,
    },
}

/// What rejecting did.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct PlanRejection {
    /// Rows that wait no longer, and do not count.
    pub rejected: u64,
    /// Rows whose fact had changed since, so that the plan no longer speaks of them.
    pub skipped: u64,
}

/// Whether an approval was enough.
enum Agreed {
    Waiting(PlanVerdict),
    Approved { source: String, size: usize, decided_at: DateTime<Utc> },
}

impl Directory {
    /// Applies exactly the rows of a held plan, though the source may have changed since; one of more rows than `mass` only once
    /// two people have approved it. Can be repeated after a crash.
    pub async fn approve(&self, plan: Uuid, by: &str, mass: Option<u64>) -> Result<PlanVerdict> {
        match self.retrying(|| Box::pin(self.agree(plan, by, mass))).await? {
            Agreed::Waiting(verdict) => Ok(verdict),
            Agreed::Approved { source, size, decided_at } => self.carry_out(plan, source, size, decided_at).await,
        }
    }

    /// Notes that somebody approves, and, where that is enough, that the plan is approved: what is checked is under the lock
    /// that the answer is written under.
    async fn agree(&self, plan: Uuid, by: &str, mass: Option<u64>) -> Result<Agreed> {
        let mut tx = self.begin().await?;
        // Neither ever changes.
        let of = sqlx::query!("SELECT source, group_id FROM directory.plans WHERE id = $1", plan)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::Refused(format!("no plan has the id {plan}")))?;
        if of.group_id.is_none() {
            // In the order of the run that would confirm or supersede it meanwhile.
            lock_source(&mut tx, &of.source).await?;
        }
        let row = sqlx::query!("SELECT state, rows, fingerprint FROM directory.plans WHERE id = $1 FOR UPDATE", plan)
            .fetch_one(&mut *tx)
            .await?;
        let again = row.state == "approved";
        if row.state != "held" && !again {
            return Err(Error::Refused(format!("plan {plan} is {}; only a held plan can be approved", row.state)));
        }
        let size = size(&mut tx, plan).await?;
        if !again {
            sqlx::query!(
                "INSERT INTO directory.approvals (plan_id, by) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                plan,
                by
            )
            .execute(&mut *tx)
            .await?;
            if let Some(mass) = mass.filter(|mass| size as u64 > *mass) {
                let approved_by =
                    sqlx::query_scalar!("SELECT by FROM directory.approvals WHERE plan_id = $1 ORDER BY at", plan)
                        .fetch_all(&mut *tx)
                        .await?;
                if approved_by.len() < 2 {
                    tx.commit().await?;
                    return Ok(Agreed::Waiting(PlanVerdict::Waiting { rows: size, mass, approved_by }));
                }
            }
            // What the run of this plan read is the measure of those after it from now on: said later, it would take the place
            // of what a newer run found. A plan of one group says nothing of how complete a run was.
            if of.group_id.is_none() {
                sqlx::query!(
                    "UPDATE directory.sources SET rows_applied = $2, fingerprint = $3, baseline_open = false WHERE name = $1",
                    of.source,
                    row.rows,
                    row.fingerprint
                )
                .execute(&mut *tx)
                .await?;
            }
        }
        // Who decided it first did, however often it is carried out.
        let decided_at = sqlx::query_scalar!(
            r#"UPDATE directory.plans SET state = 'approved', decided_at = coalesce(decided_at, clock_timestamp()),
                   decided_by = coalesce(decided_by, $2)
               WHERE id = $1 RETURNING decided_at AS "at!""#,
            plan,
            by
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Agreed::Approved { source: of.source, size, decided_at })
    }

    /// Lets the rows of an approved plan count, in chunks.
    async fn carry_out(
        &self,
        plan: Uuid,
        source: String,
        size: usize,
        decided_at: DateTime<Utc>,
    ) -> Result<PlanVerdict> {
        let cause = Cause {
            source: Some(source.clone()),
            class: Class::of_plan(size),
            effective_at: None,
            received_at: Some(decided_at),
            trace: None,
            via: "plan approved",
        };
        let (mut applied, mut after) = (0, 0);
        loop {
            let (chunk, last) = self.plan_chunk(plan, after, CHUNK as i64).await?;
            let Some(last) = last else { break };
            applied += self.retrying(|| Box::pin(self.release_chunk(&cause, &chunk))).await?;
            after = last;
        }
        applied += self.retrying(|| Box::pin(self.release_groups(&cause, plan))).await?;
        let mut tx = self.begin().await?;
        let mut head = lock_source(&mut tx, &source).await?;
        emit(&mut tx, &mut head, &cause, EventType::SourceReleased, json!({"plan": plan, "applied": applied})).await?;
        sqlx::query!("UPDATE directory.plans SET state = 'applied' WHERE id = $1", plan).execute(&mut *tx).await?;
        note_held(&mut tx, &source).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(PlanVerdict::Applied { applied, skipped: size - applied })
    }

    async fn release_chunk(&self, cause: &Cause, chunk: &[Difference]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let applied = release(&mut tx, self, cause, chunk).await?.0;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(applied)
    }

    /// Takes out the groups that wait for a plan of the group that they are in. Says how many of the people of whom the plan speaks
    /// are out by it.
    async fn release_groups(&self, cause: &Cause, plan: Uuid) -> Result<usize> {
        let mut tx = self.begin().await?;
        // As a call on the group does.
        let Some(group) = sqlx::query_scalar!(
            "SELECT g.id FROM directory.plans p JOIN directory.groups g ON g.id = p.group_id WHERE p.id = $1
             FOR NO KEY UPDATE OF g",
            plan
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(0);
        };
        let children = nesting::release(&mut tx, &[plan]).await?;
        let mut out = 0;
        if !children.is_empty() {
            nesting::lock(&mut tx, cause.source()).await?;
            out = sqlx::query_scalar!(
                r#"SELECT count(*) AS "out!" FROM directory.plan_items i
                   JOIN directory.inherited_memberships h ON h.group_id = i.group_id AND h.account_id = i.account_id
                   WHERE i.plan_id = $1 AND i.inherited AND NOT EXISTS (
                       SELECT FROM directory.memberships m JOIN directory.within(ARRAY[i.group_id]) AS g ON g = m.group_id
                       WHERE m.account_id = i.account_id AND m.counted)"#,
                plan
            )
            .fetch_one(&mut *tx)
            .await?;
            if let Some(reached) = nesting::reach(&mut tx, cause, group, &children).await? {
                let touched = Touched { reached, nested: true, ..Touched::default() };
                settle(&mut tx, &self.sources, cause, touched).await?;
            }
        }
        nesting::forget(&mut tx, group).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        self.wake.fan_outs.ring();
        Ok(usize::try_from(out).unwrap_or_default())
    }

    /// Rejects exactly the rows of a held plan: what their source says of them is known and does not count, until it says
    /// something else. One person is enough. Can be repeated after a crash.
    pub async fn reject(&self, plan: Uuid, by: &str, reason: &str) -> Result<PlanRejection> {
        self.retrying(|| Box::pin(self.reject_once(plan, by, reason))).await
    }

    async fn reject_once(&self, plan: Uuid, by: &str, reason: &str) -> Result<PlanRejection> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!("SELECT source, group_id FROM directory.plans WHERE id = $1", plan)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::Refused(format!("no plan has the id {plan}")))?;
        // In the order of whoever holds: a call on a group takes its group first, a run its source.
        if let Some(group) = row.group_id {
            sqlx::query!("SELECT id FROM directory.groups WHERE id = $1 FOR NO KEY UPDATE", group)
                .fetch_one(&mut *tx)
                .await?;
        }
        let mut head = lock_source(&mut tx, &row.source).await?;
        let now = sqlx::query!(
            "SELECT state, decided_by, decision_reason FROM directory.plans WHERE id = $1 FOR UPDATE",
            plan
        )
        .fetch_one(&mut *tx)
        .await?;
        let again = now.state == "rejected"
            && now.decided_by.as_deref() == Some(by)
            && now.decision_reason.as_deref() == Some(reason);
        if now.state != "held" && !again {
            return Err(Error::Refused(format!("plan {plan} is {}; only a held plan can be rejected", now.state)));
        }
        sqlx::query!(
            "SELECT a.id FROM directory.accounts a JOIN directory.plan_items i ON i.account_id = a.id
             WHERE i.plan_id = $1 AND i.group_id IS NULL ORDER BY a.native_id FOR UPDATE OF a",
            plan
        )
        .fetch_all(&mut *tx)
        .await?;
        let standing = sqlx::query!(
            "UPDATE directory.accounts a SET rejected_by = $1 FROM directory.plan_items i
             WHERE i.plan_id = $1 AND i.group_id IS NULL AND a.id = i.account_id AND a.fact = i.fact AND a.counted <> a.fact
               AND (a.rejected_by IS NULL OR a.rejected_by = $1)",
            plan
        )
        .execute(&mut *tx)
        .await?;
        // A row that waits for another plan, or for a fan-out, is not what was judged.
        let members = sqlx::query!(
            "UPDATE directory.memberships m SET rejected_by = $1, waits_for = NULL FROM directory.plan_items i
             WHERE i.plan_id = $1 AND m.group_id = i.group_id AND m.account_id = i.account_id AND m.counted AND NOT m.present
               AND (m.waits_for IS NULL OR m.waits_for = $1) AND (m.rejected_by IS NULL OR m.rejected_by = $1)",
            plan
        )
        .execute(&mut *tx)
        .await?;
        let groups = sqlx::query!(
            "UPDATE directory.nested_groups SET rejected_by = $1, waits_for = NULL WHERE waits_for = $1 OR rejected_by = $1",
            plan
        )
        .execute(&mut *tx)
        .await?;
        let inherited = match groups.rows_affected() {
            0 => 0,
            _ => inherited(&mut tx, plan).await?,
        };
        let rejected = standing.rows_affected() + members.rows_affected() + inherited;
        let size = size(&mut tx, plan).await? as u64;
        if again {
            return Ok(PlanRejection { rejected, skipped: size - rejected });
        }
        let decided_at = sqlx::query_scalar!(
            r#"UPDATE directory.plans SET state = 'rejected', decided_at = clock_timestamp(), decided_by = $2, decision_reason = $3
               WHERE id = $1 RETURNING decided_at AS "at!""#,
            plan,
            by,
            reason
        )
        .fetch_one(&mut *tx)
        .await?;
        let cause = Cause {
            source: Some(row.source.clone()),
            class: Class::Prompt,
            effective_at: None,
            received_at: Some(decided_at),
            trace: None,
            via: "plan rejected",
        };
        let data = json!({"plan": plan, "applied": 0, "rejected": rejected});
        emit(&mut tx, &mut head, &cause, EventType::SourceReleased, data).await?;
        note_held(&mut tx, &row.source).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(PlanRejection { rejected, skipped: size - rejected })
    }
}

/// How many rows a plan has. They never change.
async fn size(tx: &mut PgConnection, plan: Uuid) -> Result<usize> {
    let size = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM directory.plan_items WHERE plan_id = $1"#, plan)
        .fetch_one(tx)
        .await?;
    Ok(usize::try_from(size).unwrap_or_default())
}

/// How many of them are members by a group that the plan takes out.
async fn inherited(tx: &mut PgConnection, plan: Uuid) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM directory.plan_items WHERE plan_id = $1 AND inherited"#,
        plan
    )
    .fetch_one(tx)
    .await?;
    Ok(count.unsigned_abs())
}
