//! Plans: what a run would have done to people's access, kept until a person answers.

use chrono::{DateTime, Utc};
use lifecycle::brake::{Counts, Reason};
use lifecycle::{Class, EventType};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::checkpoints::{self, Fence};
use crate::runs::{Difference, differences, emit, lock_source, release};
use crate::{Directory, Error, Result};

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
}

/// What approving did.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PlanVerdict {
    /// Rows of the plan that count now.
    pub applied: usize,
    /// Rows whose fact had changed since, so that the plan no longer speaks of them.
    pub skipped: usize,
}

impl Directory {
    /// Holds everything that waits at a source as one immutable plan; an earlier held plan of the source is superseded. Plans of
    /// single groups are no concern of it, nor are those who wait for them.
    pub async fn hold(
        &self,
        cause: &Cause,
        fence: Option<&Fence>,
        counts: &Counts,
        reasons: &[Reason],
        rows: i64,
        fingerprint: &str,
    ) -> Result<Uuid> {
        let id = Uuid::now_v7();
        let source = cause.source();
        let mut tx = self.begin().await?;
        if let Some(fence) = fence {
            checkpoints::hold(&mut tx, fence).await?;
        }
        let mut head = lock_source(&mut tx, source).await?;
        let items = differences(&mut tx, source).await?;
        supersede(&mut tx, source).await?;
        let counts = serde_json::to_value(counts).expect("counts are numbers");
        sqlx::query!(
            "INSERT INTO directory.plans (id, source, state, counts, reasons, rows, fingerprint) VALUES ($1, $2, 'held', $3, $4, $5, $6)",
            id,
            source,
            counts,
            serde_json::to_value(reasons).expect("reasons are plain data"),
            rows,
            fingerprint
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
        emit(&mut tx, &mut head, cause, EventType::SourceHeld, json!({"plan": id, "counts": counts})).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(id)
    }

    /// How many deactivations wait at a pushing source without standing in its held plan.
    pub async fn unplanned(&self, source: &str) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM directory.accounts a
               WHERE a.source = $1 AND a.fact <> a.counted AND a.fact IN ('inactive', 'gone')
                 AND NOT EXISTS (SELECT FROM directory.plan_items i JOIN directory.plans p ON p.id = i.plan_id
                                 WHERE p.source = $1 AND p.state = 'held' AND i.account_id = a.id AND i.fact = a.fact)"#,
            source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    pub async fn plans(&self, held_only: bool) -> Result<Vec<PlanRow>> {
        let rows = sqlx::query!(
            "SELECT id, source, state, counts, reasons, created_at, decided_at, decided_by FROM directory.plans
             WHERE NOT $1 OR state = 'held' ORDER BY created_at DESC LIMIT 500",
            held_only
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
            })
            .collect())
    }

    /// Applies exactly the rows of a held plan, though the source may have changed since. Can be repeated after a crash.
    pub async fn approve(&self, plan: Uuid, by: &str) -> Result<PlanVerdict> {
        let row =
            sqlx::query!("SELECT source, state, rows, fingerprint, group_id FROM directory.plans WHERE id = $1", plan)
                .fetch_optional(&self.pool)
                .await?
                .ok_or_else(|| Error::Refused(format!("no plan has the id {plan}")))?;
        if !matches!(row.state.as_str(), "held" | "approved") {
            return Err(Error::Refused(format!("plan {plan} is {}, only a held plan can be approved", row.state)));
        }
        let size = self.plan_size(plan).await?;
        let decided_at = sqlx::query_scalar!(
            r#"UPDATE directory.plans SET state = 'approved', decided_at = coalesce(decided_at, clock_timestamp()), decided_by = $2
               WHERE id = $1 AND state IN ('held', 'approved') RETURNING decided_at AS "at!""#,
            plan,
            by
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| Error::Refused(format!("plan {plan} was decided by somebody else just now")))?;
        let cause = Cause {
            source: Some(row.source.clone()),
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
        let mut tx = self.begin().await?;
        let mut head = lock_source(&mut tx, &row.source).await?;
        emit(&mut tx, &mut head, &cause, EventType::SourceReleased, json!({"plan": plan, "applied": applied})).await?;
        sqlx::query!("UPDATE directory.plans SET state = 'applied' WHERE id = $1", plan).execute(&mut *tx).await?;
        // A plan of one group says nothing of how complete a run was.
        if row.group_id.is_none() {
            sqlx::query!(
                "UPDATE directory.sources SET rows_applied = $2, fingerprint = $3, baseline_open = false WHERE name = $1",
                row.source,
                row.rows,
                row.fingerprint
            )
            .execute(&mut *tx)
            .await?;
        }
        note_held(&mut tx, &row.source).await?;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(PlanVerdict { applied, skipped: size - applied })
    }

    async fn release_chunk(&self, cause: &Cause, chunk: &[Difference]) -> Result<usize> {
        let mut tx = self.begin().await?;
        let applied = release(&mut tx, self, cause, chunk).await?.0;
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(applied)
    }

    async fn plan_size(&self, plan: Uuid) -> Result<usize> {
        let size =
            sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM directory.plan_items WHERE plan_id = $1"#, plan)
                .fetch_one(&self.pool)
                .await?;
        Ok(usize::try_from(size).unwrap_or_default())
    }

    /// The rows of a plan.
    pub(crate) async fn plan_differences(&self, plan: Uuid) -> Result<Vec<Difference>> {
        Ok(self.plan_chunk(plan, 0, i64::MAX).await?.0)
    }

    /// At most `limit` rows of a plan after the one of the ordinal `after`, and the last one's ordinal.
    async fn plan_chunk(&self, plan: Uuid, after: i32, limit: i64) -> Result<(Vec<Difference>, Option<i32>)> {
        let items = sqlx::query!(
            "SELECT ordinal, class, account_id, group_id, counted, fact FROM directory.plan_items
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

fn class(word: &str) -> &'static str {
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
