//! Locks: a row for each, from its beginning to its end. What is in force stands in the cutoffs; this says who asked, and tells.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lifecycle::cutoff::Lock;
use lifecycle::lock::LockType;
use lifecycle::receipt::Concerning;
use lifecycle::{Cutoff, SubjectKind};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cutoffs::{EVERYWHERE, Joins, in_force};
use crate::receipts::Note;
use crate::revocations::{Revocation, Written};
use crate::{Directory, Request, Result, requests};

/// A lock in force.
#[derive(Debug, Clone, Serialize)]
pub struct LockRow {
    pub revocation: Uuid,
    #[serde(serialize_with = "crate::instant::ms")]
    pub at: DateTime<Utc>,
    #[serde(serialize_with = "crate::instant::ms")]
    pub until: DateTime<Utc>,
    /// `*`, or names of downstreams.
    pub scopes: Vec<String>,
    /// `None`: a rule of the policy.
    pub asked_by: Option<String>,
    pub reason: Option<String>,
}

/// What policy demands, with each lock at least as long as the one in force there: a rule does not set somebody free.
pub(crate) fn no_shorter(demands: Vec<(String, Cutoff)>, now: &BTreeMap<String, Cutoff>) -> Vec<(String, Cutoff)> {
    let longer = |scope: &str, lock: Lock| Lock {
        until: lock.until.max(in_force(now, scope).lock.and_then(|l| l.until)),
        ..lock
    };
    demands
        .into_iter()
        .map(|(scope, demand)| {
            let lock = demand.lock.map(|lock| longer(&scope, lock));
            (scope, Cutoff { lock, ..demand })
        })
        .collect()
}

/// The lock that a revocation brings.
#[derive(Debug)]
pub(crate) struct Begun {
    scopes: Vec<String>,
    /// As it would last by itself.
    ends: DateTime<Utc>,
    /// As it lasts; `None`: a later lock or unlock has overtaken it.
    until: Option<DateTime<Utc>>,
}

/// The lock that a revocation brings, if it does. `scopes`: the cutoffs with it.
pub(crate) fn of(revocation: &Revocation<'_>, scopes: &BTreeMap<String, Cutoff>) -> Option<Begun> {
    let names = revocation.ordered.locked_scopes();
    let lasts = revocation.ordered.lock_for.filter(|_| !names.is_empty())?;
    let held = names.iter().filter_map(|name| in_force(scopes, name).lock).filter(|lock| lock.at == revocation.at);
    let until = held.filter_map(|lock| lock.until).max();
    Some(Begun { ends: revocation.at + lasts, until, scopes: names })
}

/// Notes a lock that begins. One that was overtaken is noted as replaced, and nobody is told that it began.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    revocation: &Revocation<'_>,
    lock: &Begun,
    written: &mut Written,
) -> Result<()> {
    if lock.until.is_some() {
        sqlx::query!(
            "UPDATE ledger.locks SET ended_at = $2, ending = 'replaced'
             WHERE subject_id = $1 AND ended_at IS NULL AND at <= $2 AND (scopes <@ $3 OR $4 = ANY($3))",
            revocation.subject,
            revocation.at,
            &lock.scopes,
            EVERYWHERE
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!(
        "INSERT INTO ledger.locks (revocation, subject_id, at, until, scopes, ended_at, ending)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6::timestamptz IS NULL THEN NULL ELSE 'replaced' END)",
        revocation.id,
        revocation.subject,
        revocation.at,
        lock.until.unwrap_or(lock.ends),
        &lock.scopes,
        lock.until.is_none().then_some(revocation.at)
    )
    .execute(&mut *tx)
    .await?;
    if let (Some(until), true) = (lock.until, written.published) {
        let concerning = concerning(revocation.subject, revocation.id, revocation.at, revocation.trace);
        written.notes.push(Note::lock(&concerning, LockType::Set, until, &lock.scopes));
    }
    Ok(())
}

fn concerning(subject: Uuid, revocation: Uuid, at: DateTime<Utc>, trace: Option<&str>) -> Concerning<'_> {
    Concerning { id: Uuid::now_v7(), kind: SubjectKind::Identity, subject, revocation, at, trace }
}

/// Who was merged into this one and has a lock that nobody has ended.
async fn merged_and_locked(tx: &mut PgConnection, subject: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "WITH RECURSIVE who AS (
             SELECT id FROM directory.identities WHERE merged_into = $1
             UNION SELECT i.id FROM who w JOIN directory.identities i ON i.merged_into = w.id)
         SELECT DISTINCT l.subject_id FROM ledger.locks l JOIN who w ON w.id = l.subject_id WHERE l.ended_at IS NULL",
        subject
    )
    .fetch_all(tx)
    .await?)
}

impl Directory {
    /// The locks of a subject, and of whoever was merged into it, that nobody has ended and whose time is not over, the last to end
    /// first.
    pub async fn locks(&self, subject: Uuid) -> Result<Vec<LockRow>> {
        Ok(sqlx::query_as!(
            LockRow,
            "WITH RECURSIVE who AS (
                 SELECT $1::uuid AS id UNION SELECT i.id FROM who w JOIN directory.identities i ON i.merged_into = w.id)
             SELECT l.revocation, l.at, l.until, l.scopes, v.asked_by, v.reason
             FROM ledger.locks l JOIN ledger.revocations v ON v.id = l.revocation
             WHERE l.subject_id IN (SELECT id FROM who) AND l.ended_at IS NULL AND l.until > clock_timestamp() ORDER BY l.until DESC",
            subject
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Carries out a request to unlock: from its instant on nothing that was locked before is. Finishes the request with how
    /// many locks that ended, those of whoever was merged into the subject among them: nobody can name them any more.
    pub async fn unlock(&self, request: &Request, subject: Uuid, reason: Option<&str>) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut written = Written { published: self.publishes(), ..Written::default() };
        let at = request.asked_at;
        // In every scope that holds a lock, and everywhere: a lock that was asked for earlier may still be on its way.
        let demands = |now: &BTreeMap<String, Cutoff>| {
            let unlocked = Cutoff { lock: Some(Lock { at, until: None }), ..Cutoff::default() };
            let locked = now.iter().filter(|(scope, c)| *scope != EVERYWHERE && c.lock.is_some());
            let scopes = locked.map(|(scope, _)| scope.clone()).chain([EVERYWHERE.to_owned()]);
            scopes.map(|scope| (scope, unlocked)).collect()
        };
        let mut subjects = merged_and_locked(&mut tx, subject).await?;
        subjects.push(subject);
        let kinds = subjects.iter().map(|subject| (*subject, SubjectKind::Identity)).collect();
        let mut joins = Joins::of(&mut tx, &kinds).await?;
        for subject in &subjects {
            joins.join(*subject, demands, None);
        }
        joins.write(&mut tx, written.published).await?;
        written.subjects.extend(&subjects);
        let ended = sqlx::query!(
            "UPDATE ledger.locks l SET ended_at = $2, ending = 'cleared', ended_by = $3, end_reason = $4
             FROM ledger.revocations v
             WHERE v.id = l.revocation AND l.subject_id = ANY($1) AND l.ended_at IS NULL AND l.at <= $2
             RETURNING l.revocation, l.subject_id, l.until, l.scopes, v.trace",
            &subjects,
            at,
            request.asked_by,
            reason
        )
        .fetch_all(&mut *tx)
        .await?;
        if written.published {
            for lock in &ended {
                let concerning = concerning(lock.subject_id, lock.revocation, at, lock.trace.as_deref());
                written.notes.push(Note::lock(&concerning, LockType::Cleared, lock.until, &lock.scopes));
            }
        }
        self.tell(&mut tx, &written).await?;
        requests::finish(&mut tx, request.id, true, &json!({"unlocked": ended.len()})).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        self.wake.progress.ring();
        Ok(())
    }

    /// Notes the locks whose time is over, and tells it. Cutoffs need no change: they say until when. Returns how many there were.
    pub async fn expire_locks(&self) -> Result<usize> {
        let mut tx = self.begin().await?;
        let over = sqlx::query!(
            "UPDATE ledger.locks l SET ended_at = l.until, ending = 'expired' FROM ledger.revocations v
             WHERE v.id = l.revocation AND l.ended_at IS NULL AND l.until <= clock_timestamp()
             RETURNING l.revocation, l.subject_id, l.until, l.scopes, v.trace"
        )
        .fetch_all(&mut *tx)
        .await?;
        if self.publishes() {
            let notes: Vec<Note> = over
                .iter()
                .map(|lock| {
                    let concerning = concerning(lock.subject_id, lock.revocation, lock.until, lock.trace.as_deref());
                    Note::lock(&concerning, LockType::Expired, lock.until, &lock.scopes)
                })
                .collect();
            crate::receipts::tell(&mut tx, &notes).await?;
        }
        tx.commit().await?;
        if !over.is_empty() {
            self.wake.pending.ring();
        }
        Ok(over.len())
    }
}
