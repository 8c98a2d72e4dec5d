//! Errands: what a decision orders of a downstream once, which no cutoff says. Each row is what is owed and, once it is done, the
//! receipt of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::receipt::{self, Concerning, Receipt, ReceiptState, ReceiptType};
use lifecycle::{Action, IdentityView, SubjectKind};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::receipts::{self, Note};
use crate::revocations::Revocation;
use crate::{Clock, Directory, Error, Result, shortenings};

/// An errand that this process may run until the lease ends.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The event that was decided, or the request.
    pub decision: Uuid,
    pub action: Action,
    /// Whom it is about; who that is by now, where it was merged into another.
    pub subject: Uuid,
    lease: Uuid,
    /// Read when it was leased.
    pub clock: Clock,
    pub attempts: u32,
    /// When what was decided came to be.
    pub at: DateTime<Utc>,
    pub decided_at: DateTime<Utc>,
    /// When it was run without having come to an end.
    pub applied_at: Option<DateTime<Utc>>,
    /// The event in the words in which the bus has it; `None`: somebody asked by hand.
    pub event: Option<String>,
    /// The subject as expressions see it.
    pub identity: Option<IdentityView>,
    pub trace: Option<String>,
}

/// What a downstream answered to an errand.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It took the signal.
    HandedOver { at: DateTime<Utc> },
    /// Credentials were revoked, and a second look found none left.
    Verified { found: u32, ended: u32, applied_at: DateTime<Utc>, verified_at: DateTime<Utc>, note: Option<String> },
    /// It found some, so the errand is to be run again.
    Applied { found: u32, ended: u32, applied_at: DateTime<Utc>, again_at: DateTime<Utc> },
}

impl Reply {
    /// The state of the receipt that it makes.
    pub fn state(&self) -> ReceiptState {
        match self {
            Reply::HandedOver { .. } => ReceiptState::HandedOver,
            Reply::Verified { .. } => ReceiptState::Verified,
            Reply::Applied { .. } => ReceiptState::Applied,
        }
    }
}

/// Notes what orders want done once, in the transaction that gives them. An errand that the same decision has already is not run
/// twice.
pub(crate) async fn begin<'a>(
    tx: &mut PgConnection,
    orders: impl IntoIterator<Item = &'a Revocation<'a>>,
) -> Result<()> {
    let (mut revocations, mut actions, mut downstreams) = (Vec::new(), Vec::new(), Vec::new());
    for order in orders {
        for (downstream, action) in &order.ordered.errands {
            revocations.push(order.id);
            actions.push(action.as_str().to_owned());
            downstreams.push(downstream.clone());
        }
    }
    if revocations.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO ledger.errands (decision, action, downstream, revocation, subject_id, class, at)
         SELECT coalesce(e.event_id, v.id), n.action, n.downstream, v.id, v.subject_id, v.class, v.at
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS n(revocation, action, downstream)
         JOIN ledger.revocations v ON v.id = n.revocation LEFT JOIN ledger.events e ON e.id = v.event
         ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING",
        &revocations,
        &actions,
        &downstreams
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Directory {
    /// Leases the most urgent errand that is due at a downstream, of class `up_to` or more urgent.
    pub async fn lease_errand(&self, downstream: &str, up_to: i16, hold: Duration) -> Result<Option<Errand>> {
        let lease = Uuid::new_v4();
        let Some(row) = sqlx::query!(
            r#"UPDATE ledger.errands o SET lease = $3, lease_holder = $5,
                 leased_until = clock_timestamp() + make_interval(secs => $4)
               FROM (SELECT decision, action, downstream FROM ledger.errands
                     WHERE downstream = $1 AND class <= $2 AND due_at <= clock_timestamp()
                       AND (leased_until IS NULL OR leased_until < clock_timestamp())
                     ORDER BY class, due_at LIMIT 1 FOR UPDATE SKIP LOCKED) due, ledger.revocations v
               WHERE o.decision = due.decision AND o.action = due.action AND o.downstream = due.downstream
                 AND v.id = o.revocation
               RETURNING o.decision, o.action, o.subject_id, o.attempts, o.applied_at, clock_timestamp() AS "now!", v.at,
                         v.decided_at, v.trace,
                         (SELECT e.body FROM ledger.events e WHERE e.event_id = o.decision) AS event"#,
            downstream,
            up_to,
            lease,
            hold.as_secs_f64(),
            self.holder()
        )
        .fetch_optional(&self.pool)
        .await?
        else {
            return Ok(None);
        };
        let bad = |column| Error::Inconsistent { table: "errands", column, row: row.decision.to_string() };
        let mut connection = self.pool.acquire().await?;
        let survivors = shortenings::survivors(&mut connection, &[row.subject_id]).await?;
        drop(connection);
        let subject = survivors.get(&row.subject_id).copied().unwrap_or(row.subject_id);
        Ok(Some(Errand {
            decision: row.decision,
            action: Action::parse(&row.action).ok_or_else(|| bad("action"))?,
            subject,
            lease,
            clock: Clock::at(row.now),
            attempts: row.attempts.unsigned_abs(),
            at: row.at,
            decided_at: row.decided_at,
            applied_at: row.applied_at,
            event: row.event,
            identity: self.views(&[subject]).await?.remove(&subject),
            trace: row.trace,
        }))
    }

    /// Keeps a lease for another `hold`, while the errand is run.
    pub async fn renew_errand(&self, downstream: &str, errand: &Errand, hold: Duration) -> Result<()> {
        sqlx::query!(
            "UPDATE ledger.errands SET leased_until = clock_timestamp() + make_interval(secs => $5)
             WHERE decision = $1 AND action = $2 AND downstream = $3 AND lease = $4",
            errand.decision,
            errand.action.as_str(),
            downstream,
            errand.lease,
            hold.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a lease back, so that nobody waits for it to run out.
    pub async fn unlease_errand(&self, downstream: &str, errand: &Errand) -> Result<()> {
        sqlx::query!(
            "UPDATE ledger.errands SET lease = NULL, leased_until = NULL
             WHERE decision = $1 AND action = $2 AND downstream = $3 AND lease = $4",
            errand.decision,
            errand.action.as_str(),
            downstream,
            errand.lease
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes what a downstream answered. Whoever has lost the lease leaves it to those who have it.
    pub async fn answer_errand(&self, downstream: &str, errand: &Errand, reply: &Reply) -> Result<()> {
        let (found, ended) = match reply {
            Reply::HandedOver { .. } => (0, 0),
            Reply::Verified { found, ended, .. } | Reply::Applied { found, ended, .. } => (*found, *ended),
        };
        let (applied, verified, handed_over, due, note) = match reply {
            Reply::HandedOver { at } => (None, None, Some(*at), None, None),
            Reply::Verified { applied_at, verified_at, note, .. } => {
                (Some(*applied_at), Some(*verified_at), None, None, note.as_deref())
            }
            Reply::Applied { applied_at, again_at, .. } => (Some(*applied_at), None, None, Some(*again_at), None),
        };
        let number = |of: u32| i32::try_from(of).unwrap_or(i32::MAX);
        let change = sqlx::query!(
            "UPDATE ledger.errands SET state = $5, found = found + $6, ended = ended + $7,
                 applied_at = coalesce(applied_at, $8), verified_at = $9, handed_over_at = $10, due_at = $11, note = $12,
                 attempts = 0, last_error = NULL, stuck_since = NULL, lease = NULL, leased_until = NULL
             WHERE decision = $1 AND action = $2 AND downstream = $3 AND lease = $4",
            errand.decision,
            errand.action.as_str(),
            downstream,
            errand.lease,
            reply.state().as_str(),
            number(found),
            number(ended),
            applied,
            verified,
            handed_over,
            due,
            note
        );
        self.change_errand(downstream, errand, change).await
    }

    /// Records that it was not done: it stays owed, to be tried again at `due_at`. `stuck`: trying again alone will not help.
    pub async fn defer_errand(
        &self,
        downstream: &str,
        errand: &Errand,
        due_at: DateTime<Utc>,
        error: &str,
        stuck: bool,
    ) -> Result<()> {
        let change = sqlx::query!(
            "UPDATE ledger.errands SET due_at = $5, attempts = attempts + 1, last_error = $6, lease = NULL, leased_until = NULL,
                 state = CASE WHEN $7 THEN 'stuck' ELSE state END,
                 stuck_since = CASE WHEN $7 THEN coalesce(stuck_since, clock_timestamp()) ELSE stuck_since END
             WHERE decision = $1 AND action = $2 AND downstream = $3 AND lease = $4",
            errand.decision,
            errand.action.as_str(),
            downstream,
            errand.lease,
            due_at,
            error,
            stuck
        );
        self.change_errand(downstream, errand, change).await
    }

    /// Carries out a change of the errand, if we still have the lease, and tells of it.
    async fn change_errand(
        &self,
        downstream: &str,
        errand: &Errand,
        change: Query<'_, Postgres, PgArguments>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let before = standing(&mut tx, downstream, errand).await?;
        if change.execute(&mut *tx).await?.rows_affected() == 1 {
            self.tell_errand(&mut tx, downstream, errand, before).await?;
        }
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }

    /// Tells subscribers of the steps that its receipt has made.
    async fn tell_errand(
        &self,
        tx: &mut PgConnection,
        downstream: &str,
        errand: &Errand,
        before: Option<Standing>,
    ) -> Result<()> {
        let (Some(before), true) = (before, self.publishes()) else { return Ok(()) };
        let Some(Standing { revocation, subject, receipt: Some(now) }) = standing(tx, downstream, errand).await? else {
            return Ok(());
        };
        let notes = now.steps_since(before.receipt.as_ref()).into_iter().map(|step| {
            let at = match step {
                ReceiptType::Verified => now.verified_at,
                ReceiptType::HandedOver => now.handed_over_at,
                _ => None,
            };
            let (id, kind, trace) = (Uuid::now_v7(), SubjectKind::Identity, errand.trace.as_deref());
            let at = at.unwrap_or_else(|| errand.clock.now());
            let concerning = Concerning { id, kind, subject, revocation, at, trace };
            Note::of(&concerning, receipt::step(&concerning, step, downstream, &now))
        });
        receipts::tell(tx, &notes.collect::<Vec<_>>()).await
    }
}

/// How an errand stands.
struct Standing {
    revocation: Uuid,
    subject: Uuid,
    /// `None` before there is any answer.
    receipt: Option<Receipt>,
}

/// Locks the errand.
async fn standing(tx: &mut PgConnection, downstream: &str, errand: &Errand) -> Result<Option<Standing>> {
    let row = sqlx::query!(
        "SELECT revocation, subject_id, state, found, ended, applied_at, verified_at, handed_over_at FROM ledger.errands
         WHERE decision = $1 AND action = $2 AND downstream = $3 FOR UPDATE",
        errand.decision,
        errand.action.as_str(),
        downstream
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Standing {
        revocation: row.revocation,
        subject: row.subject_id,
        receipt: ReceiptState::parse(&row.state).map(|state| Receipt {
            action: Some(errand.action),
            state,
            found: row.found,
            ended: row.ended,
            resurrected: 0,
            applied_at: row.applied_at,
            verified_at: row.verified_at,
            settled_at: None,
            handed_over_at: row.handed_over_at,
        }),
    }))
}
