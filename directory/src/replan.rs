//! Plans that nobody answers: a hold never fades into nothing, so one that has waited too long is made anew, and alarms again.

use chrono::{DateTime, Utc};
use lifecycle::brake::{Counts, Reason};
use serde_json::Value;
use uuid::Uuid;

use crate::apply::Cause;
use crate::group_plans::{self, OfGroup};
use crate::plans::{Draft, note_held, store, supersede};
use crate::runs::{count, differences, lock_source};
use crate::{Directory, Error, Result, member_rows};

/// A held plan, as far as its age matters.
#[derive(Debug, Clone)]
pub struct WaitingPlan {
    pub id: Uuid,
    pub source: String,
    pub created_at: DateTime<Utc>,
}

impl Directory {
    /// All held plans, oldest first.
    pub async fn waiting_plans(&self) -> Result<Vec<WaitingPlan>> {
        Ok(sqlx::query_as!(
            WaitingPlan,
            "SELECT id, source, created_at FROM directory.plans WHERE state = 'held' ORDER BY created_at"
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Replaces a held plan by one of what waits now, for the reasons that it had, and tells so as `source.held`.
    /// `None`: it was answered meanwhile, or nothing waits any more. Called in the source's turn.
    pub async fn replan(&self, cause: &Cause, plan: Uuid) -> Result<Option<Uuid>> {
        self.retrying(|| Box::pin(self.replan_once(cause, plan))).await
    }

    async fn replan_once(&self, cause: &Cause, plan: Uuid) -> Result<Option<Uuid>> {
        let source = cause.source();
        let mut tx = self.begin().await?;
        let group =
            sqlx::query_scalar!("SELECT group_id FROM directory.plans WHERE id = $1", plan).fetch_one(&mut *tx).await?;
        let group = match group {
            Some(group) => Some(
                sqlx::query!("SELECT id, privileged FROM directory.groups WHERE id = $1 FOR NO KEY UPDATE", group)
                    .fetch_one(&mut *tx)
                    .await?,
            ),
            None => None,
        };
        let mut head = match group {
            Some(_) => None,
            None => Some(lock_source(&mut tx, source).await?),
        };
        let Some(old) = sqlx::query!(
            "SELECT reasons, rows, fingerprint FROM directory.plans WHERE id = $1 AND state = 'held' FOR UPDATE",
            plan
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(None);
        };
        let made = if let (Some(group), None) = (&group, &head) {
            let waiting = member_rows::weight(&mut tx, group.id, &[plan]).await?.0;
            if !group_plans::waits(&mut tx, plan).await? {
                group_plans::supersede(&mut tx, source, plan).await?;
                None
            } else {
                let counts = match group.privileged {
                    true => Counts { privileged_loss: waiting, ..Counts::default() },
                    false => Counts { member_remove: waiting, ..Counts::default() },
                };
                let (id, reason) = (Uuid::now_v7(), first(old.reasons, plan)?);
                let of_group =
                    OfGroup { id, group: group.id, privileged: group.privileged, counts, reason, before: Some(plan) };
                group_plans::hold(&mut tx, cause, &of_group).await?;
                Some(id)
            }
        } else if let Some(head) = &mut head {
            let items = differences(&mut tx, source).await?;
            if items.is_empty() {
                supersede(&mut tx, source).await?;
                None
            } else {
                let counts = serde_json::to_value(count(&items)).expect("counts are numbers");
                let (rows, fingerprint) = (old.rows, old.fingerprint.as_deref());
                let draft = Draft { counts, reasons: old.reasons, rows, fingerprint };
                Some(store(&mut tx, head, cause, &items, &draft).await?)
            }
        } else {
            None
        };
        note_held(&mut tx, source).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(made)
    }
}

/// Why the plan of a group is held.
fn first(reasons: Value, plan: Uuid) -> Result<Reason> {
    let reasons: Vec<Reason> = serde_json::from_value(reasons).unwrap_or_default();
    reasons.into_iter().next().ok_or_else(|| Error::Inconsistent {
        table: "plans",
        column: "reasons",
        row: plan.to_string(),
    })
}
