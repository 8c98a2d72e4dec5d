//! Plans: what a run would have done to people's access, kept until a person answers.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::EventType;
use lifecycle::brake::{Counts, Reason};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::Cause;
use crate::checkpoints::{self, Fence};
use crate::events::Head;
use crate::runs::{Difference, differences, emit, lock_source};
use crate::{Directory, Result};

/// A plan as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct PlanRow {
    pub id: Uuid,
    pub source: String,
    pub state: String,
    pub counts: Value,
    pub reasons: Vec<String>,
    #[serde(serialize_with = "crate::instant::ms")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<String>,
    /// Why it was rejected.
    pub decision_reason: Option<String>,
    /// When a run last found the very same rows waiting.
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// Who agreed to it so far, first one first.
    pub approved_by: Vec<String>,
}

/// A plan that waits for a person now.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub plan: Uuid,
    /// Not one that waited already with the very same rows.
    pub new: bool,
}

impl Directory {
    /// Holds everything that waits at a source as one immutable plan. A held plan of the source with the very same rows, held for
    /// the same kinds of reasons, stays the one that people talk about; any other is superseded. Plans of single groups are no
    /// concern of it, nor are those who wait for them.
    pub async fn hold(
        &self,
        cause: &Cause,
        fence: Option<&Fence>,
        counts: &Counts,
        reasons: &[Reason],
        rows: i64,
        fingerprint: &str,
    ) -> Result<Held> {
        let source = cause.source();
        let mut tx = self.begin().await?;
        if let Some(fence) = fence {
            checkpoints::hold(&mut tx, fence).await?;
        }
        let mut head = lock_source(&mut tx, source).await?;
        let items = differences(&mut tx, source).await?;
        let draft = Draft {
            counts: serde_json::to_value(counts).expect("counts are numbers"),
            reasons: serde_json::to_value(reasons).expect("reasons are plain data"),
            rows,
            fingerprint: Some(fingerprint),
        };
        let held = match confirm(&mut tx, source, &items, &draft).await? {
            Some(plan) => Held { plan, new: false },
            None => Held { plan: store(&mut tx, &mut head, cause, &items, &draft).await?, new: true },
        };
        tx.commit().await?;
        if held.new {
            self.wake.pending.ring();
        }
        Ok(held)
    }

    /// How many deactivations wait at a pushing source without standing in its held plan.
    pub async fn unplanned(&self, source: &str) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM directory.accounts a
               WHERE a.source = $1 AND a.fact <> a.counted AND a.rejected_by IS NULL AND a.fact IN ('inactive', 'gone')
                 AND NOT EXISTS (SELECT FROM directory.plan_items i JOIN directory.plans p ON p.id = i.plan_id
                                 WHERE p.source = $1 AND p.state = 'held' AND i.account_id = a.id AND i.fact = a.fact)"#,
            source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Whether the source's own held plan was made no longer ago than this.
    pub async fn held_within(&self, source: &str, span: Duration) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM directory.plans WHERE source = $1 AND state = 'held' AND group_id IS NULL
                   AND created_at > clock_timestamp() - make_interval(secs => $2)) AS "held!""#,
            source,
            span.as_secs_f64()
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Plans, newest first.
    pub async fn plans(&self, held_only: bool) -> Result<Vec<PlanRow>> {
        self.find_plans(held_only, None).await
    }

    /// The plans whose id begins with this.
    pub async fn plans_by_id(&self, beginning: &str) -> Result<Vec<PlanRow>> {
        self.find_plans(false, Some(beginning)).await
    }

    async fn find_plans(&self, held_only: bool, beginning: Option<&str>) -> Result<Vec<PlanRow>> {
        let rows = sqlx::query!(
            r#"SELECT id, source, state, counts, reasons, created_at, decided_at, decided_by, decision_reason, confirmed_at,
                   ARRAY(SELECT a.by FROM directory.approvals a WHERE a.plan_id = p.id ORDER BY a.at) AS "approved_by!"
               FROM directory.plans p
               WHERE (NOT $1 OR state = 'held') AND ($2::text IS NULL OR starts_with(id::text, $2))
               ORDER BY created_at DESC LIMIT 500"#,
            held_only,
            beginning
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| PlanRow {
                id: r.id,
                source: r.source,
                state: r.state,
                counts: r.counts,
                reasons: sentences(r.reasons),
                created_at: r.created_at,
                decided_at: r.decided_at,
                decided_by: r.decided_by,
                decision_reason: r.decision_reason,
                confirmed_at: r.confirmed_at,
                approved_by: r.approved_by,
            })
            .collect())
    }

    /// The rows of a plan.
    pub(crate) async fn plan_differences(&self, plan: Uuid) -> Result<Vec<Difference>> {
        Ok(self.plan_chunk(plan, 0, i64::MAX).await?.0)
    }

    /// At most `limit` rows of a plan after the one of the ordinal `after`, and the last one's ordinal.
    pub(crate) async fn plan_chunk(
        &self,
        plan: Uuid,
        after: i32,
        limit: i64,
    ) -> Result<(Vec<Difference>, Option<i32>)> {
        let items = sqlx::query!(
            "SELECT ordinal, class, account_id, group_id, counted, fact, inherited FROM directory.plan_items
             WHERE plan_id = $1 AND ordinal > $2 ORDER BY ordinal LIMIT $3",
            plan,
            after,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let last = items.last().map(|i| i.ordinal);
        let differences = items.into_iter().map(|i| Difference {
            class: class(&i.class),
            account: i.account_id,
            group: i.group_id,
            counted: i.counted,
            fact: i.fact,
            inherited: i.inherited,
        });
        Ok((differences.collect(), last))
    }

    /// The source's held plan, if there is one.
    pub async fn held_plan(&self, source: &str) -> Result<Option<Uuid>> {
        Ok(sqlx::query_scalar!(
            "SELECT id FROM directory.plans WHERE source = $1 AND state = 'held' AND group_id IS NULL",
            source
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

/// What a plan says beside its rows.
pub(crate) struct Draft<'a> {
    pub counts: Value,
    pub reasons: Value,
    pub rows: i64,
    pub fingerprint: Option<&'a str>,
}

/// The held plan of the source, if these are its rows and it is held for the same kinds of reasons; its figures are this run's
/// from now on. The source is locked.
async fn confirm(tx: &mut PgConnection, source: &str, items: &[Difference], draft: &Draft<'_>) -> Result<Option<Uuid>> {
    let Some(held) = sqlx::query!(
        "SELECT id, reasons FROM directory.plans WHERE source = $1 AND state = 'held' AND group_id IS NULL FOR UPDATE",
        source
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(None);
    };
    if kinds(&held.reasons) != kinds(&draft.reasons) {
        return Ok(None);
    }
    let rows =
        sqlx::query!("SELECT class, account_id, group_id, fact FROM directory.plan_items WHERE plan_id = $1", held.id)
            .fetch_all(&mut *tx)
            .await?;
    let before: HashSet<_> =
        rows.iter().map(|r| (r.class.as_str(), r.account_id, r.group_id, r.fact.as_deref())).collect();
    let now: HashSet<_> = items.iter().map(|i| (i.class, i.account, i.group, i.fact.as_deref())).collect();
    if before != now {
        return Ok(None);
    }
    sqlx::query!(
        "UPDATE directory.plans SET confirmed_at = clock_timestamp(), counts = $2, reasons = $3, rows = $4, fingerprint = $5
         WHERE id = $1",
        held.id,
        draft.counts,
        draft.reasons,
        draft.rows,
        draft.fingerprint
    )
    .execute(tx)
    .await?;
    Ok(Some(held.id))
}

fn kinds(reasons: &Value) -> BTreeSet<&str> {
    reasons.as_array().into_iter().flatten().filter_map(|reason| reason["reason"].as_str()).collect()
}

/// Stores a held plan of the source instead of the one it has, and tells so.
pub(crate) async fn store(
    tx: &mut PgConnection,
    head: &mut Head,
    cause: &Cause,
    items: &[Difference],
    draft: &Draft<'_>,
) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let source = cause.source();
    supersede(tx, source).await?;
    sqlx::query!(
        "INSERT INTO directory.plans (id, source, state, counts, reasons, rows, fingerprint) VALUES ($1, $2, 'held', $3, $4, $5, $6)",
        id,
        source,
        draft.counts,
        draft.reasons,
        draft.rows,
        draft.fingerprint
    )
    .execute(&mut *tx)
    .await?;
    let ordinals: Vec<i32> = (1i32..).take(items.len()).collect();
    let classes: Vec<String> = items.iter().map(|i| i.class.to_owned()).collect();
    let accounts: Vec<Uuid> = items.iter().map(|i| i.account).collect();
    let groups: Vec<Option<Uuid>> = items.iter().map(|i| i.group).collect();
    let counted: Vec<Option<String>> = items.iter().map(|i| i.counted.clone()).collect();
    let facts: Vec<Option<String>> = items.iter().map(|i| i.fact.clone()).collect();
    sqlx::query!(
        "INSERT INTO directory.plan_items (plan_id, ordinal, class, account_id, group_id, counted, fact)
         SELECT $1, * FROM UNNEST($2::int4[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[])",
        id,
        &ordinals,
        &classes,
        &accounts,
        &groups as &[Option<Uuid>],
        &counted as &[Option<String>],
        &facts as &[Option<String>]
    )
    .execute(&mut *tx)
    .await?;
    emit(tx, head, cause, EventType::SourceHeld, json!({"plan": id, "counts": draft.counts})).await?;
    Ok(id)
}

/// Notes how many plans of a source wait for a person.
pub(crate) async fn note_held(tx: &mut PgConnection, source: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO working.source_status AS w (source, state, note)
         SELECT $1, 'held', CASE count(*) WHEN 1 THEN '1 plan' ELSE count(*) || ' plans' END
         FROM directory.plans WHERE source = $1 AND state = 'held' HAVING count(*) > 0
         ON CONFLICT (source) DO UPDATE SET state = excluded.state, note = excluded.note WHERE w.state IN ('ok', 'held')",
        source
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE working.source_status SET state = 'ok', note = NULL WHERE source = $1 AND state = 'held'
           AND NOT EXISTS (SELECT FROM directory.plans WHERE source = $1 AND state = 'held')",
        source
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) fn class(word: &str) -> &'static str {
    ["disable", "delete", "privileged-loss", "member-remove"].into_iter().find(|c| *c == word).unwrap_or_default()
}

/// Marks the held plan of a source, if there is one, as answered by a newer run. Plans of single groups stay.
pub(crate) async fn supersede(tx: &mut PgConnection, source: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE directory.plans SET state = 'superseded', decided_at = clock_timestamp()
         WHERE source = $1 AND state = 'held' AND group_id IS NULL",
        source
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn sentences(reasons: Value) -> Vec<String> {
    serde_json::from_value::<Vec<Reason>>(reasons)
        .map(|all| all.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}
