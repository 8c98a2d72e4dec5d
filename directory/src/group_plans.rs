//! Plans of one group: members that a call would take away, kept until a person answers. The plan of a source and those of its
//! groups neither answer nor supersede each other.

use lifecycle::EventType;
use lifecycle::brake::{Counts, Reason};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::Cause;
use crate::plans::note_held;
use crate::runs::{emit, lock_source};
use crate::{Result, member_rows, nesting};

/// The members that a call would take from one group.
#[derive(Debug)]
pub(crate) struct OfGroup {
    /// Whoever it speaks of waits for this id already.
    pub id: Uuid,
    pub group: Uuid,
    pub privileged: bool,
    pub counts: Counts,
    pub reason: Reason,
    /// The group's held plan so far, whose members wait for this one instead.
    pub before: Option<Uuid>,
}

/// Holds a plan of one group; the group's row is locked.
pub(crate) async fn hold(tx: &mut PgConnection, cause: &Cause, plan: &OfGroup) -> Result<()> {
    let source = cause.source();
    let mut head = lock_source(tx, source).await?;
    if let Some(before) = plan.before {
        member_rows::mark(tx, &[before], plan.id).await?;
        nesting::move_on(tx, before, plan.id).await?;
        supersede(tx, source, before).await?;
    }
    let counts = serde_json::to_value(plan.counts).expect("counts are numbers");
    sqlx::query!(
        "INSERT INTO directory.plans (id, source, state, counts, reasons, rows, group_id) VALUES ($1, $2, 'held', $3, $4, 0, $5)",
        plan.id,
        source,
        counts,
        serde_json::to_value([&plan.reason]).expect("reasons are plain data"),
        plan.group
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO directory.plan_items (plan_id, ordinal, class, account_id, group_id, inherited)
         SELECT $1, row_number() OVER (ORDER BY inherited, account_id), $2, account_id, $3, inherited FROM (
             SELECT account_id, false AS inherited FROM directory.memberships WHERE waits_for = $1
             UNION ALL
             SELECT w.account_id, true FROM directory.weigh_members($3, ARRAY[$1]) AS w
             WHERE NOT w.stays AND NOT EXISTS (SELECT FROM directory.memberships m
                                               WHERE m.waits_for = $1 AND m.account_id = w.account_id)) AS i",
        plan.id,
        if plan.privileged { "privileged-loss" } else { "member-remove" },
        plan.group
    )
    .execute(&mut *tx)
    .await?;
    let data = json!({"plan": plan.id, "counts": counts, "group": plan.group});
    emit(tx, &mut head, cause, EventType::SourceHeld, data).await?;
    note_held(tx, source).await
}

/// The held plan of a group, if there is one, locked: nobody approves it meanwhile.
pub(crate) async fn held(tx: &mut PgConnection, group: Uuid) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!("SELECT id FROM directory.plans WHERE group_id = $1 AND state = 'held' FOR UPDATE", group)
        .fetch_optional(tx)
        .await?)
}

/// Marks a plan of a group as answered by what was said of the group since.
pub(crate) async fn supersede(tx: &mut PgConnection, source: &str, plan: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE directory.plans SET state = 'superseded', decided_at = clock_timestamp() WHERE id = $1 AND state = 'held'",
        plan
    )
    .execute(&mut *tx)
    .await?;
    note_held(tx, source).await
}

/// The same, if nothing waits for it any more.
pub(crate) async fn supersede_if_over(tx: &mut PgConnection, source: &str, plan: Uuid) -> Result<()> {
    if waits(tx, plan).await? { Ok(()) } else { supersede(tx, source, plan).await }
}

/// Whether a member or a group waits for the plan.
pub(crate) async fn waits(tx: &mut PgConnection, plan: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM directory.memberships WHERE waits_for = $1)
               OR EXISTS (SELECT FROM directory.nested_groups WHERE waits_for = $1) AS "waits!""#,
        plan
    )
    .fetch_one(tx)
    .await?)
}
