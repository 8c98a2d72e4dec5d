//! Receipts: written from a downstream's answer only, and told to subscribers at each step that they make.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lifecycle::lock::{self, LockType};
use lifecycle::receipt::{self, Concerning, Receipt, ReceiptState, ReceiptType};
use lifecycle::{Action, Class, SubjectKind};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::Answer;
use crate::pending::{PendingRecord, Refusal, shard_of};
use crate::{Directory, Error, Result, parked};

/// A record for the receipts topic, written in the transaction of what it tells.
#[derive(Debug)]
pub(crate) struct Note {
    id: Uuid,
    subject: Uuid,
    body: String,
    trace: Option<String>,
}

/// A revocation that was just written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requested<'a> {
    pub revocation: Uuid,
    pub subject: Uuid,
    pub kind: SubjectKind,
    pub at: DateTime<Utc>,
    pub class: Class,
    pub actions: &'a [Action],
    pub downstreams: &'a [String],
    /// Whether an event ordered it; its id is the event's then.
    pub by_event: bool,
    pub trace: Option<&'a str>,
}

impl Note {
    pub(crate) fn requested(of: &Requested<'_>) -> Self {
        let concerning = Concerning {
            id: Uuid::now_v7(),
            kind: of.kind,
            subject: of.subject,
            revocation: of.revocation,
            at: of.at,
            trace: of.trace,
        };
        let order = receipt::Order {
            event: of.by_event.then_some(of.revocation),
            class: of.class,
            actions: of.actions,
            downstreams: of.downstreams,
        };
        Self::of(&concerning, receipt::requested(&concerning, &order))
    }
}

impl Note {
    pub(crate) fn of(concerning: &Concerning<'_>, body: String) -> Self {
        let trace = concerning.trace.map(str::to_owned);
        Note { id: concerning.id, subject: concerning.subject, body, trace }
    }

    /// That a lock began or ended.
    pub(crate) fn lock(concerning: &Concerning<'_>, what: LockType, until: DateTime<Utc>, scopes: &[String]) -> Self {
        Self::of(concerning, lock::record(concerning, what, until, scopes))
    }
}

/// Makes records pending, in this order.
pub(crate) async fn tell(tx: &mut PgConnection, notes: &[Note]) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let shards: Vec<i16> = notes.iter().map(|n| shard_of(n.subject)).collect();
    let ids: Vec<Uuid> = notes.iter().map(|n| n.id).collect();
    let subjects: Vec<Uuid> = notes.iter().map(|n| n.subject).collect();
    let bodies: Vec<String> = notes.iter().map(|n| n.body.clone()).collect();
    let traces: Vec<Option<String>> = notes.iter().map(|n| n.trace.clone()).collect();
    sqlx::query!(
        "INSERT INTO ledger.pending_receipts (shard, record_id, subject_id, body, trace)
         SELECT shard, id, subject, body, trace FROM UNNEST($1::int2[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
                WITH ORDINALITY AS n(shard, id, subject, body, trace, n) ORDER BY n",
        &shards,
        &ids,
        &subjects,
        &bodies,
        &traces as &[Option<String>]
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A revocation with its receipt at one downstream.
struct Standing {
    subject: Uuid,
    kind: SubjectKind,
    trace: Option<String>,
    receipt: Option<Receipt>,
}

/// How these revocations stand at a downstream. Whoever writes a receipt has its delivery's row locked, so nobody else does.
async fn standing(tx: &mut PgConnection, downstream: &str, revocations: &[Uuid]) -> Result<HashMap<Uuid, Standing>> {
    let rows = sqlx::query!(
        r#"SELECT v.id, v.subject_id, v.subject_kind, v.trace, r.state AS "state?", r.found AS "found?", r.ended AS "ended?",
                  r.resurrected AS "resurrected?", r.applied_at AS "applied_at?", r.verified_at AS "verified_at?",
                  r.settled_at AS "settled_at?"
           FROM ledger.revocations v LEFT JOIN ledger.receipts r ON r.revocation = v.id AND r.downstream = $1
           WHERE v.id = ANY($2)"#,
        downstream,
        revocations
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|r| {
            let bad = |table, column| Error::Inconsistent { table, column, row: r.id.to_string() };
            let receipt = match &r.state {
                Some(state) => Some(Receipt {
                    action: None,
                    state: ReceiptState::parse(state).ok_or_else(|| bad("receipts", "state"))?,
                    found: r.found.unwrap_or_default(),
                    ended: r.ended.unwrap_or_default(),
                    resurrected: r.resurrected.unwrap_or_default(),
                    applied_at: r.applied_at,
                    verified_at: r.verified_at,
                    settled_at: r.settled_at,
                    handed_over_at: None,
                }),
                None => None,
            };
            let kind = serde_json::from_value(json!(r.subject_kind)).map_err(|_| bad("revocations", "subject_kind"))?;
            Ok((r.id, Standing { subject: r.subject_id, kind, trace: r.trace, receipt }))
        })
        .collect()
}

/// What the steps between two readings are, as records.
fn steps(downstream: &str, before: &HashMap<Uuid, Standing>, after: &HashMap<Uuid, Standing>) -> Vec<Note> {
    let now = Utc::now();
    let mut notes = Vec::new();
    for (revocation, standing) in after {
        let Some(receipt) = &standing.receipt else { continue };
        let earlier = before.get(revocation).and_then(|b| b.receipt.as_ref());
        for step in receipt.steps_since(earlier) {
            let at = match step {
                ReceiptType::Verified => receipt.verified_at,
                ReceiptType::Settled => receipt.settled_at,
                ReceiptType::Requested | ReceiptType::Resurrected | ReceiptType::HandedOver | ReceiptType::Stuck => {
                    None
                }
            };
            let concerning = Concerning {
                id: Uuid::now_v7(),
                kind: standing.kind,
                subject: standing.subject,
                revocation: *revocation,
                at: at.unwrap_or(now),
                trace: standing.trace.as_deref(),
            };
            notes.push(Note::of(&concerning, receipt::step(&concerning, step, downstream, receipt)));
        }
    }
    notes
}

impl Directory {
    /// Writes what a downstream answered, and what that tells subscribers.
    pub(crate) async fn write_receipts(
        &self,
        tx: &mut PgConnection,
        downstream: &str,
        answers: &[&Answer],
    ) -> Result<()> {
        let rows: Vec<(&Answer, Uuid)> = answers.iter().flat_map(|a| a.revocations.iter().map(|r| (*a, *r))).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let revocations: Vec<Uuid> = rows.iter().map(|(_, r)| *r).collect();
        if !self.publishes() {
            return answered(tx, downstream, &rows, &revocations).await;
        }
        let before = standing(tx, downstream, &revocations).await?;
        answered(tx, downstream, &rows, &revocations).await?;
        let after = standing(tx, downstream, &revocations).await?;
        tell(tx, &steps(downstream, &before, &after)).await
    }

    /// Marks revocations as stuck at a downstream, with the error.
    pub(crate) async fn write_stuck(
        &self,
        tx: &mut PgConnection,
        downstream: &str,
        revocations: &[Uuid],
        error: &str,
    ) -> Result<()> {
        if !self.publishes() {
            return stuck(tx, downstream, revocations, error).await;
        }
        let before = standing(tx, downstream, revocations).await?;
        stuck(tx, downstream, revocations, error).await?;
        let after = standing(tx, downstream, revocations).await?;
        tell(tx, &steps(downstream, &before, &after)).await
    }

    /// The next records of a shard after `position`, which lives in memory as that of [`Directory::pending_events`] does.
    pub async fn pending_receipts(&self, shard: i16, position: i64, limit: i64) -> Result<Vec<PendingRecord>> {
        Ok(sqlx::query_as!(
            PendingRecord,
            "SELECT id, record_id AS record, subject_id AS subject, body, trace FROM ledger.pending_receipts
             WHERE shard = $1 AND id > $2 ORDER BY id LIMIT $3",
            shard,
            position,
            limit
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Forgets records that the bus acknowledged.
    pub async fn acknowledge_receipts(&self, shard: i16, ids: &[i64]) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        forget(&mut connection, shard, ids).await
    }

    /// Parks records that the bus will never take, so that none waits behind them.
    pub async fn park_receipts(&self, shard: i16, refused: &[Refusal<i64>]) -> Result<()> {
        let ids: Vec<i64> = refused.iter().map(|r| r.row).collect();
        let mut tx = self.begin().await?;
        parked::write(&mut tx, parked::BUS, &Refusal::notes(refused)).await?;
        forget(&mut tx, shard, &ids).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn forget(connection: &mut PgConnection, shard: i16, ids: &[i64]) -> Result<()> {
    sqlx::query!(
        // By its key, as in `pending`.
        "DELETE FROM ledger.pending_receipts WHERE ctid = ANY(ARRAY(
             SELECT p.ctid FROM UNNEST($2::int8[]) AS d(id),
                    LATERAL (SELECT ctid FROM ledger.pending_receipts WHERE shard = $1 AND id = d.id OFFSET 0) p))",
        shard,
        ids
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn answered(
    tx: &mut PgConnection,
    downstream: &str,
    rows: &[(&Answer, Uuid)],
    revocations: &[Uuid],
) -> Result<()> {
    let number = |f: &dyn Fn(&Answer) -> u32| -> Vec<i32> {
        rows.iter().map(|(a, _)| i32::try_from(f(a)).unwrap_or(i32::MAX)).collect()
    };
    let states: Vec<String> = rows.iter().map(|(a, _)| a.outcome.as_str().to_owned()).collect();
    let (found, ended) = (number(&|a| a.found), number(&|a| a.ended));
    let (resurrected, collateral) = (number(&|a| a.resurrected), number(&|a| a.collateral));
    let applied: Vec<DateTime<Utc>> = rows.iter().map(|(a, _)| a.applied_at).collect();
    let verified: Vec<Option<DateTime<Utc>>> = rows.iter().map(|(a, _)| a.verified_at).collect();
    let notes: Vec<Option<String>> = rows.iter().map(|(a, _)| a.note.clone()).collect();
    sqlx::query!(
        "INSERT INTO ledger.receipts AS r
             (revocation, downstream, state, found, ended, resurrected, collateral, applied_at, verified_at, settled_at, note)
         SELECT d.revocation, $1, d.state, d.found, d.ended, d.resurrected, d.collateral, d.applied_at, d.verified_at,
                CASE WHEN d.state = 'settled' THEN clock_timestamp() END, d.note
         FROM UNNEST($2::uuid[], $3::text[], $4::int4[], $5::int4[], $6::int4[], $7::int4[], $8::timestamptz[],
                     $9::timestamptz[], $10::text[])
              AS d(revocation, state, found, ended, resurrected, collateral, applied_at, verified_at, note)
         ON CONFLICT (revocation, downstream) DO UPDATE SET
             state = CASE WHEN r.state = 'settled' AND excluded.state = 'verified'
                               AND excluded.resurrected = 0 AND excluded.ended = 0
                          THEN r.state ELSE excluded.state END,
             found = r.found + excluded.found,
             ended = r.ended + excluded.ended,
             resurrected = r.resurrected + excluded.resurrected,
             collateral = r.collateral + excluded.collateral,
             applied_at = coalesce(r.applied_at, excluded.applied_at),
             verified_at = CASE WHEN excluded.resurrected > 0 OR excluded.ended > 0 THEN excluded.verified_at
                                ELSE coalesce(r.verified_at, excluded.verified_at) END,
             settled_at = CASE WHEN excluded.resurrected > 0 OR excluded.ended > 0 THEN excluded.settled_at
                               ELSE coalesce(r.settled_at, excluded.settled_at) END,
             stuck_at = NULL,
             note = CASE WHEN r.state = 'stuck' THEN excluded.note ELSE coalesce(excluded.note, r.note) END",
        downstream,
        revocations,
        &states,
        &found,
        &ended,
        &resurrected,
        &collateral,
        &applied,
        &verified as &[Option<DateTime<Utc>>],
        &notes as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn stuck(tx: &mut PgConnection, downstream: &str, revocations: &[Uuid], error: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO ledger.receipts AS r (revocation, downstream, state, stuck_at, note)
         SELECT w, $1, 'stuck', clock_timestamp(), $3 FROM UNNEST($2::uuid[]) AS w
         ON CONFLICT (revocation, downstream) DO UPDATE SET state = 'stuck', note = excluded.note,
             stuck_at = coalesce(r.stuck_at, excluded.stuck_at)",
        downstream,
        revocations,
        error
    )
    .execute(tx)
    .await?;
    Ok(())
}
