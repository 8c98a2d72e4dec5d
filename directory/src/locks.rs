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

use crate::cutoffs::{self, EVERYWHERE, in_force};
use crate::decide::{Revocation, Written};
use crate::receipts::Note;
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

/// Notes the lock that a revocation brings, if it does. `scopes`: the cutoffs with it. One that a later lock or unlock has
/// overtaken is noted as replaced, and nobody is told that it began.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    revocation: &Revocation<'_>,
    scopes: &BTreeMap<String, Cutoff>,
    written: &mut Written,
) -> Result<()> {
    let names = revocation.ordered.locked_scopes();
    let Some(lasts) = revocation.ordered.lock_for.filter(|_| !names.is_empty()) else { return Ok(()) };
    let held: Vec<Lock> =
        names.iter().filter_map(|name| in_force(scopes, name).lock).filter(|l| l.at == revocation.at).collect();
    let until = held.iter().filter_map(|lock| lock.until).max();
    if until.is_some() {
        sqlx::query!(
            "UPDATE ledger.locks SET ended_at = $2, ending = 'replaced'
             WHERE subject_id = $1 AND ended_at IS NULL AND at <= $2 AND (scopes <@ $3 OR $4 = ANY($3))",
            revocation.subject,
            revocation.at,
            &names,
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
        until.unwrap_or(revocation.at + lasts),
        &names,
        until.is_none().then_some(revocation.at)
    )
    .execute(&mut *tx)
    .await?;
    if let (Some(until), true) = (until, written.published) {
        let concerning = concerning(revocation.subject, revocation.id, revocation.at, revocation.trace);
        written.notes.push(Note::lock(&concerning, LockType::Set, until, &names));
    }
    Ok(())
}

fn concerning(subject: Uuid, revocation: Uuid, at: DateTime<Utc>, trace: Option<&str>) -> Concerning<'_> {
    Concerning { id: Uuid::now_v7(), kind: SubjectKind::Identity, subject, revocation, at, trace }
}

impl Directory {
    /// The locks of a subject that nobody has ended and whose time is not over, the last to end first.
    pub async fn locks(&self, subject: Uuid) -> Result<Vec<LockRow>> {
        Ok(sqlx::query_as!(
            LockRow,
            "SELECT l.revocation, l.at, l.until, l.scopes, v.asked_by, v.reason
             FROM ledger.locks l JOIN ledger.revocations v ON v.id = l.revocation
             WHERE l.subject_id = $1 AND l.ended_at IS NULL AND l.until > clock_timestamp() ORDER BY l.until DESC",
            subject
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Carries out a request to unlock: from its instant on nothing that was locked before is. Finishes the request with how
    /// many locks that ended.
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
        cutoffs::join(&mut tx, written.joins(subject, SubjectKind::Identity), demands, None).await?;
        let ended = sqlx::query!(
            "UPDATE ledger.locks l SET ended_at = $2, ending = 'cleared', ended_by = $3, end_reason = $4
             FROM ledger.revocations v
             WHERE v.id = l.revocation AND l.subject_id = $1 AND l.ended_at IS NULL AND l.at <= $2
             RETURNING l.revocation, l.until, l.scopes, v.trace",
            subject,
            at,
            request.asked_by,
            reason
        )
        .fetch_all(&mut *tx)
        .await?;
        if written.published {
            for lock in &ended {
                let concerning = concerning(subject, lock.revocation, at, lock.trace.as_deref());
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
