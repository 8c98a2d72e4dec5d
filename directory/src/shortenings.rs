//! Sessions that may live for a while yet: a row for each order, until the instant comes at which it joins the cutoffs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::{Action, Class, Cutoff, SubjectKind};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cutoffs::{Joins, in_force};
use crate::decide::Ordered;
use crate::revocations::{self, Revocation, Written};
use crate::{Directory, Error, Result};

/// How many are carried out in one transaction, which locks their subjects for as long as it takes.
const CHUNK: i64 = 200;

/// Sessions of a subject that end later.
#[derive(Debug, Clone, Serialize)]
pub struct ShorteningRow {
    pub revocation: Uuid,
    /// Those that began before this,
    #[serde(serialize_with = "crate::instant::ms")]
    pub sessions_before: DateTime<Utc>,
    /// end then.
    #[serde(serialize_with = "crate::instant::ms")]
    pub due_at: DateTime<Utc>,
    /// `*`, or names of downstreams.
    pub scopes: Vec<String>,
    #[serde(skip)]
    downstreams: Vec<String>,
}

/// Those of `downstreams` where sessions from before that instant are not ended anyway.
fn remaining(scopes: &BTreeMap<String, Cutoff>, downstreams: &[String], before: DateTime<Utc>) -> Vec<String> {
    let lives = |name: &&String| in_force(scopes, name).sessions_before < Some(before);
    downstreams.iter().filter(lives).cloned().collect()
}

/// Notes what orders shorten, each with the subject's generation, in the transaction that gives them.
pub(crate) async fn begin(tx: &mut PgConnection, orders: &[(Revocation<'_>, i64)]) -> Result<()> {
    for (order, generation) in orders {
        let Some(shortened) = &order.ordered.shortened else { continue };
        // What is done at once has the order's own id.
        let id = if order.ordered.acts_at_once() { Uuid::now_v7() } else { order.id };
        sqlx::query!(
            "INSERT INTO ledger.shortenings (revocation, subject_id, event, class, sessions_before, due_at, generation, scopes,
                                             downstreams, trace)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            id,
            order.subject,
            order.event,
            order.class.number(),
            order.at,
            order.at + shortened.to,
            generation,
            &shortened.scopes,
            &shortened.downstreams,
            order.trace
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

impl Directory {
    /// How soon the next shortening is due, by the clock of the database.
    pub async fn next_shortening(&self) -> Result<Option<Duration>> {
        let seconds = sqlx::query_scalar!(
            "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM ledger.shortenings WHERE ended_at IS NULL"
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// How many shortenings wait for their time.
    pub async fn shortenings_pending(&self) -> Result<i64> {
        Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "pending!" FROM ledger.shortenings WHERE ended_at IS NULL"#)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Carries out some of the shortenings that are due. Returns whose they are; `None` when there are none, or only such as
    /// others carry out just now.
    pub async fn shorten_due(&self) -> Result<Option<Vec<Uuid>>> {
        let mut tx = self.begin().await?;
        let due = sqlx::query!(
            "SELECT revocation, subject_id, event, class, sessions_before, due_at, generation, scopes, downstreams, trace
             FROM ledger.shortenings WHERE ended_at IS NULL AND due_at <= clock_timestamp()
             ORDER BY due_at, sessions_before, revocation LIMIT $1 FOR UPDATE SKIP LOCKED",
            CHUNK
        )
        .fetch_all(&mut *tx)
        .await?;
        if due.is_empty() {
            return Ok(None);
        }
        let named: Vec<Uuid> = due.iter().map(|row| row.subject_id).collect();
        let survivors = survivors(&mut tx, &named).await?;
        let subject = |named: Uuid| survivors.get(&named).copied().unwrap_or(named);
        let subjects = due.iter().map(|row| (subject(row.subject_id), SubjectKind::Identity)).collect();
        let mut joins = Joins::of(&mut tx, &subjects).await?;
        let mut orders = Vec::with_capacity(due.len());
        for row in &due {
            let (before, subject) = (row.sessions_before, subject(row.subject_id));
            let downstreams = remaining(joins.scopes(subject).expect("it was locked above"), &row.downstreams, before);
            let cutoff = Cutoff { sessions_before: Some(before), generation: row.generation, ..Cutoff::default() };
            joins.join(subject, |_| row.scopes.iter().map(|scope| (scope.clone(), cutoff)).collect(), None);
            let scopes = row.scopes.iter().map(|scope| (scope.clone(), vec![Action::ShortenTtl])).collect();
            orders.push(Ordered { scopes, downstreams, ..Ordered::default() });
        }
        let mut revocations = Vec::with_capacity(due.len());
        for (row, ordered) in due.iter().zip(&orders).filter(|(_, ordered)| !ordered.downstreams.is_empty()) {
            let class = Class::from_number(row.class).ok_or_else(|| Error::Inconsistent {
                table: "shortenings",
                column: "class",
                row: row.revocation.to_string(),
            })?;
            revocations.push(Revocation {
                id: row.revocation,
                subject: subject(row.subject_id),
                kind: SubjectKind::Identity,
                event: row.event,
                class,
                at: row.due_at,
                ordered,
                reason: None,
                by: None,
                trace: row.trace.as_deref(),
            });
        }
        let mut written = Written { published: self.publishes(), ..Written::default() };
        revocations::insert(&mut tx, &revocations, &mut written).await?;
        for revocation in &revocations {
            joins.join(revocation.subject, |_| Vec::new(), Some(revocation.waiting()));
        }
        joins.write(&mut tx, written.published).await?;
        let carried_out: Vec<Uuid> = revocations.iter().map(|revocation| revocation.id).collect();
        let ended: Vec<Uuid> = due.iter().map(|row| row.revocation).collect();
        sqlx::query!(
            "UPDATE ledger.shortenings SET ended_at = clock_timestamp(),
                 ending = CASE WHEN revocation = ANY($2) THEN 'carried_out' ELSE 'overtaken' END
             WHERE revocation = ANY($1)",
            &ended,
            &carried_out
        )
        .execute(&mut *tx)
        .await?;
        written.subjects.extend(subjects.into_keys());
        self.tell(&mut tx, &written).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        Ok(Some(written.subjects.into_iter().collect()))
    }

    /// Sessions of a subject that end later, the first to end first: without what has ended otherwise.
    pub async fn shortenings(&self, subject: Uuid) -> Result<Vec<ShorteningRow>> {
        let rows = sqlx::query_as!(
            ShorteningRow,
            "WITH RECURSIVE they (id) AS (
                 SELECT $1::uuid UNION SELECT i.id FROM they JOIN directory.identities i ON i.merged_into = they.id)
             SELECT s.revocation, s.sessions_before, s.due_at, s.scopes, s.downstreams
             FROM they JOIN ledger.shortenings s ON s.subject_id = they.id WHERE s.ended_at IS NULL ORDER BY s.due_at",
            subject
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let scopes = self.cutoffs(subject).await?;
        let lives = |row: &ShorteningRow| !remaining(&scopes, &row.downstreams, row.sessions_before).is_empty();
        Ok(rows.into_iter().filter(lives).collect())
    }
}

/// Who these are by now, where they were merged into others.
pub(crate) async fn survivors(tx: &mut PgConnection, subjects: &[Uuid]) -> Result<HashMap<Uuid, Uuid>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE now (subject, id) AS (
               SELECT i.id, i.merged_into FROM directory.identities i WHERE i.id = ANY($1) AND i.merged_into IS NOT NULL
               UNION SELECT now.subject, i.merged_into FROM now JOIN directory.identities i ON i.id = now.id
               WHERE i.merged_into IS NOT NULL)
           SELECT now.subject AS "subject!", now.id AS "id!" FROM now JOIN directory.identities i ON i.id = now.id
           WHERE i.merged_into IS NULL"#,
        subjects
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.id)).collect())
}
