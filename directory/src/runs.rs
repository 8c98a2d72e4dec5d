//! The beginning and the end of a run: what waits for the brake, and letting it through.

use std::collections::HashSet;

use lifecycle::brake::Counts;
use lifecycle::{EventType, GroupView, SubjectKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::checkpoints::{self, Fence};
use crate::events::{self, Draft, Head};
use crate::plans::supersede;
use crate::settle::{MembershipChange, Touched, settle};
use crate::{Directory, Error, Result};

/// How a complete run ended.
#[derive(Debug, Clone, Copy)]
pub struct RunEnd<'a> {
    pub next: &'a Value,
    pub rows: i64,
    pub fingerprint: &'a str,
    /// Not held.
    pub applied: bool,
}

/// One difference between fact and counted: a row of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub class: &'static str,
    pub account: Uuid,
    pub group: Option<Uuid>,
    pub counted: Option<String>,
    pub fact: Option<String>,
    /// A member by a group within the group, who leaves when that group does.
    pub inherited: bool,
}

impl Directory {
    pub async fn start_run(&self, run: Uuid, source: &str) -> Result<()> {
        sqlx::query!("INSERT INTO working.runs (id, source) VALUES ($1, $2)", run, source).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether the run before this one was read to its end and stored, held or not.
    pub async fn follows_whole(&self, source: &str, run: Uuid) -> Result<bool> {
        let outcome = sqlx::query_scalar!(
            "SELECT outcome FROM working.runs WHERE source = $1 AND id <> $2 ORDER BY started_at DESC LIMIT 1",
            source,
            run
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(matches!(outcome.flatten().as_deref(), Some("complete" | "held")))
    }

    /// Whether a plan of the source was decided since its checkpoint was written, or so shortly before that it may not have been
    /// worked off by then.
    pub async fn decided_since(&self, fence: &Fence) -> Result<bool> {
        let decided = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM directory.plans p JOIN working.checkpoints c USING (source)
                              WHERE p.source = $1 AND p.decided_at >= c.written_at - interval '1 hour') AS "decided!""#,
            fence.source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(decided)
    }

    pub async fn end_run(
        &self,
        run: Uuid,
        outcome: &str,
        rows: Option<i64>,
        counts: &Value,
        error: Option<&str>,
    ) -> Result<()> {
        sqlx::query!(
            "UPDATE working.runs SET ended_at = clock_timestamp(), outcome = $2, rows = $3, counts = $4, error = $5 WHERE id = $1",
            run,
            outcome,
            rows,
            counts,
            error
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What waits at a source, by class.
    pub async fn waiting_counts(&self, source: &str) -> Result<Counts> {
        let mut connection = self.pool.acquire().await?;
        Ok(count(&differences(&mut connection, source).await?))
    }

    /// Active identities with an account at this source.
    pub async fn active_at(&self, source: &str) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM directory.identities i WHERE i.state = 'active'
               AND EXISTS (SELECT FROM directory.accounts a WHERE a.identity_id = i.id AND a.source = $1)"#,
            source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Lets everything that waits at a source count, in chunks.
    pub async fn release_all(&self, cause: &Cause, fence: &Fence) -> Result<usize> {
        let mut connection = self.pool.acquire().await?;
        let all = differences(&mut connection, cause.source()).await?;
        drop(connection);
        self.release_these(cause, fence, &all).await
    }

    /// What waits at a source, by class, without what already stands in its held plan.
    pub async fn waiting_unplanned(&self, source: &str) -> Result<Counts> {
        Ok(count(&self.unplanned_differences(source).await?))
    }

    /// Lets what waits at a source count, in chunks, without what stands in its held plan: that waits for its answer.
    pub async fn release_unplanned(&self, cause: &Cause, fence: &Fence) -> Result<usize> {
        let new = self.unplanned_differences(cause.source()).await?;
        self.release_these(cause, fence, &new).await
    }

    async fn unplanned_differences(&self, source: &str) -> Result<Vec<Difference>> {
        let planned = match self.held_plan(source).await? {
            Some(plan) => self.plan_differences(plan).await?,
            None => Vec::new(),
        };
        let mut connection = self.pool.acquire().await?;
        let mut all = differences(&mut connection, source).await?;
        let planned: HashSet<_> = planned.iter().map(|d| (d.account, d.group, d.fact.as_deref())).collect();
        all.retain(|d| !planned.contains(&(d.account, d.group, d.fact.as_deref())));
        Ok(all)
    }

    async fn release_these(&self, cause: &Cause, fence: &Fence, these: &[Difference]) -> Result<usize> {
        let mut events = 0;
        if these.is_empty() {
            // The caller goes on as the source's only worker, so it has to be that also when there is nothing to do.
            checkpoints::hold(&mut *self.pool.acquire().await?, fence).await?;
        }
        for chunk in these.chunks(CHUNK) {
            let mut tx = self.begin().await?;
            checkpoints::hold(&mut tx, fence).await?;
            events += release(&mut tx, self, cause, chunk).await?.1;
            tx.commit().await?;
            self.wake.pending.ring();
        }
        Ok(events)
    }

    /// Ends a complete run: advances the checkpoint, and, when it was applied and not held, makes it the measure for the next
    /// one and supersedes what an earlier one held. Emits `source.baselined` after the first.
    pub async fn finish_complete(&self, cause: &Cause, fence: &Fence, end: &RunEnd<'_>) -> Result<()> {
        let RunEnd { next, rows, fingerprint, applied } = *end;
        let mut tx = self.begin().await?;
        checkpoints::advance(&mut tx, fence, next).await?;
        let source = cause.source();
        let mut head = lock_source(&mut tx, source).await?;
        let first = sqlx::query_scalar!("SELECT baselined_at FROM directory.sources WHERE name = $1", source)
            .fetch_one(&mut *tx)
            .await?
            .is_none();
        if first {
            emit(&mut tx, &mut head, cause, EventType::SourceBaselined, json!({"source": source, "rows": rows}))
                .await?;
        }
        sqlx::query!(
            "UPDATE directory.sources SET baselined_at = coalesce(baselined_at, clock_timestamp()),
                 baseline_open = baseline_open AND NOT $2,
                 rows_applied = CASE WHEN $2 THEN $3 ELSE rows_applied END,
                 fingerprint = CASE WHEN $2 OR fingerprint IS NULL THEN $4 ELSE fingerprint END
             WHERE name = $1",
            source,
            applied,
            rows,
            fingerprint
        )
        .execute(&mut *tx)
        .await?;
        if applied {
            supersede(&mut tx, source).await?;
        }
        tx.commit().await?;
        self.wake.pending.ring();
        Ok(())
    }
}

pub(crate) fn count(differences: &[Difference]) -> Counts {
    let mut counts = Counts::default();
    for difference in differences {
        match difference.class {
            "disable" => counts.disable += 1,
            "delete" => counts.delete += 1,
            _ => counts.privileged_loss += 1,
        }
    }
    counts
}

/// Everything at a source whose fact would end access and does not count yet, without what a person has rejected, waits for a
/// plan of one group, or is being worked off.
pub(crate) async fn differences(tx: &mut PgConnection, source: &str) -> Result<Vec<Difference>> {
    let accounts = sqlx::query!(
        "SELECT id, fact, counted FROM directory.accounts
         WHERE source = $1 AND fact <> counted AND rejected_by IS NULL AND fact IN ('inactive', 'gone') ORDER BY id",
        source
    )
    .fetch_all(&mut *tx)
    .await?;
    let members = sqlx::query!(
        "SELECT m.group_id, m.account_id FROM directory.memberships m JOIN directory.groups g ON g.id = m.group_id
         WHERE g.source = $1 AND m.present <> m.counted AND NOT m.present AND m.waits_for IS NULL AND m.rejected_by IS NULL
         ORDER BY 1, 2",
        source
    )
    .fetch_all(tx)
    .await?;
    let mut all: Vec<Difference> = accounts
        .into_iter()
        .map(|a| Difference {
            class: if a.fact == "gone" { "delete" } else { "disable" },
            account: a.id,
            group: None,
            counted: Some(a.counted),
            fact: Some(a.fact),
            inherited: false,
        })
        .collect();
    all.extend(members.into_iter().map(|m| Difference {
        class: "privileged-loss",
        account: m.account_id,
        group: Some(m.group_id),
        counted: None,
        fact: None,
        inherited: false,
    }));
    Ok(all)
}

/// Lets exactly these differences count, as far as their fact is still the one they state. Returns how many did, and events.
pub(crate) async fn release(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    items: &[Difference],
) -> Result<(usize, usize)> {
    let members: Vec<&Difference> = items.iter().filter(|d| d.group.is_some() && !d.inherited).collect();
    let groups: Vec<Uuid> = members.iter().filter_map(|d| d.group).collect();
    let accounts: Vec<Uuid> = members.iter().map(|d| d.account).collect();
    let lost_privileged: Vec<bool> = members.iter().map(|d| d.class == "privileged-loss").collect();
    // As a call on the group does, so that the two do not meet half-way.
    sqlx::query!("SELECT id FROM directory.groups WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", &groups)
        .fetch_all(&mut *tx)
        .await?;
    let standing: Vec<&Difference> = items.iter().filter(|d| d.group.is_none()).collect();
    let ids: Vec<Uuid> = standing.iter().map(|d| d.account).collect();
    let facts: Vec<Option<String>> = standing.iter().map(|d| d.fact.clone()).collect();
    sqlx::query!("SELECT id FROM directory.accounts WHERE id = ANY($1) ORDER BY native_id FOR UPDATE", &ids)
        .fetch_all(&mut *tx)
        .await?;
    let released = sqlx::query!(
        "UPDATE directory.accounts a SET counted = a.fact FROM UNNEST($1::uuid[], $2::text[]) AS d(id, fact)
         WHERE a.id = d.id AND a.fact = d.fact AND a.counted <> a.fact AND a.rejected_by IS NULL RETURNING a.identity_id",
        &ids,
        &facts as &[Option<String>]
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut touched = Touched { changed: released.iter().map(|r| r.identity_id).collect(), ..Touched::default() };
    let lost = sqlx::query!(
        r#"WITH gone AS (
             DELETE FROM directory.memberships m USING UNNEST($1::uuid[], $2::uuid[], $3::bool[]) AS d(g, a, privileged)
             WHERE m.group_id = d.g AND m.account_id = d.a AND NOT m.present AND m.counted
               AND m.rejected_by IS NULL
             RETURNING m.group_id, m.account_id, d.privileged)
         SELECT g.id, gone.account_id, g.display_name, a.identity_id,
                -- It may have been held because it was in a privileged group.
                g.privileged OR gone.privileged AND NOT directory.confers_privilege(g.id) AS "privileged!"
         FROM gone JOIN directory.groups g ON g.id = gone.group_id JOIN directory.accounts a ON a.id = gone.account_id"#,
        &groups,
        &accounts,
        &lost_privileged
    )
    .fetch_all(&mut *tx)
    .await?;
    let count = released.len() + lost.len();
    touched.memberships = lost
        .into_iter()
        .map(|l| MembershipChange {
            identity: l.identity_id,
            account: l.account_id,
            group: GroupView { id: l.id, name: l.display_name, privileged: l.privileged },
            added: false,
            direct: true,
        })
        .collect();
    let settled = settle(tx, &directory.sources, cause, touched).await?;
    Ok((count, settled.events))
}

pub(crate) async fn lock_source(tx: &mut PgConnection, name: &str) -> Result<Head> {
    let row = sqlx::query!(
        "SELECT id, version, last_urgent, last_bulk, recorded_at FROM directory.sources WHERE name = $1 FOR UPDATE",
        name
    )
    .fetch_optional(tx)
    .await?
    .ok_or_else(|| Error::Refused(format!("no source is called {name}")))?;
    Ok(Head {
        kind: SubjectKind::Source,
        id: row.id,
        version: row.version,
        last_urgent: row.last_urgent,
        last_bulk: row.last_bulk,
        recorded_at: row.recorded_at,
    })
}

/// Writes one event about a source.
pub(crate) async fn emit(
    tx: &mut PgConnection,
    head: &mut Head,
    cause: &Cause,
    event_type: EventType,
    data: Value,
) -> Result<()> {
    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *tx).await?;
    let draft = Draft { event_type, data, context: lifecycle::Context::default(), privileged: false };
    let stamped = events::stamp(head, vec![draft], cause.class, now);
    events::append(tx, cause, &stamped).await?;
    sqlx::query!(
        "UPDATE directory.sources SET version = $2, last_urgent = $3, last_bulk = $4, recorded_at = $5 WHERE id = $1",
        head.id,
        head.version,
        head.last_urgent,
        head.last_bulk,
        head.recorded_at
    )
    .execute(tx)
    .await?;
    Ok(())
}
