//! Deliveries: leased, worked off outside any transaction, answered by compare-and-set on the turn.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::must_end::SessionKind;
use lifecycle::{Action, Cutoff, IdentityView};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Clock, Directory, Result};

/// A delivery that this process may work on until the lease ends.
#[derive(Debug, Clone)]
pub struct Leased {
    pub subject: Uuid,
    pub lease: Uuid,
    /// Read when it was leased.
    pub clock: Clock,
    pub turn: i64,
    pub class: i16,
    pub wanted: Cutoff,
    pub delivered: Cutoff,
    /// Revocations that no pass has answered; empty: a sweep.
    pub waiting: Vec<Uuid>,
    /// What those ask for.
    pub orders: Vec<Order>,
    /// Revocations of the running or last series of sweeps.
    pub answered: Vec<Uuid>,
    pub settled: bool,
    pub sweeps_done: usize,
    pub applied_at: Option<DateTime<Utc>>,
    pub attempts: u32,
    /// Hashes of sessions that earlier passes ended here.
    pub ended: HashSet<Vec<u8>>,
    /// The subject as expressions see it; `None` where no source knows it.
    pub identity: Option<IdentityView>,
    /// What the downstream calls it, if that is all that is known of it.
    pub stranger: Option<String>,
    /// When the latest of its revocations came into force, and when it was decided.
    pub asked_at: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
    /// The W3C `traceparent` of what caused the latest of its revocations.
    pub trace: Option<String>,
}

/// What a revocation asks for, here or elsewhere.
#[derive(Debug, Clone)]
pub struct Order {
    pub at: DateTime<Utc>,
    pub actions: Vec<Action>,
}

impl Leased {
    /// Whether a revocation that waits is about sessions of this kind: not all are, and some only at another downstream, where
    /// the cutoff has their instant.
    pub fn is_about(&self, kind: SessionKind) -> bool {
        let (action, before) = match kind {
            SessionKind::Session => (Action::RevokeSessions, self.wanted.sessions_before),
            SessionKind::Refresh => (Action::RevokeRefresh, self.wanted.refresh_before),
        };
        let shortens = |order: &Order| kind == SessionKind::Session && order.actions.contains(&Action::ShortenTtl);
        self.orders.iter().any(|order| shortens(order) || (order.actions.contains(&action) && before >= Some(order.at)))
    }
}

/// How far the revocations of an answer have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A pass ended what it found, but the re-read found more.
    Applied,
    /// The re-read found none.
    Verified,
    /// The series of sweeps ended quiet.
    Settled,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Verified => "verified",
            Outcome::Settled => "settled",
        }
    }
}

/// What a downstream answered to one delivery.
#[derive(Debug, Clone)]
pub struct Answer {
    pub subject: Uuid,
    pub lease: Uuid,
    pub turn: i64,
    pub outcome: Outcome,
    /// Revocations that this pass was for.
    pub revocations: Vec<Uuid>,
    /// Whether this was their first pass; else a sweep.
    pub first: bool,
    pub found: u32,
    pub ended: u32,
    pub resurrected: u32,
    pub collateral: u32,
    pub hashes: Vec<Vec<u8>>,
    /// The cutoff under which the pass was made.
    pub delivered: Cutoff,
    pub applied_at: DateTime<Utc>,
    pub verified_at: Option<DateTime<Utc>>,
    pub sweeps_done: usize,
    pub due_at: Option<DateTime<Utc>>,
    pub note: Option<String>,
}

impl Directory {
    /// Leases up to `limit` deliveries that are due at a downstream, most urgent first, of class `up_to` or more urgent.
    pub async fn lease_deliveries(
        &self,
        downstream: &str,
        up_to: i16,
        limit: i64,
        hold: Duration,
    ) -> Result<Vec<Leased>> {
        let lease = Uuid::new_v4();
        let rows = sqlx::query!(
            r#"UPDATE working.deliveries d SET lease = $4, lease_holder = $6,
                 leased_until = clock_timestamp() + make_interval(secs => $5)
             FROM (SELECT subject_id, downstream FROM working.deliveries
                   WHERE downstream = $1 AND due_at <= clock_timestamp() AND class <= $2
                     AND (leased_until IS NULL OR leased_until < clock_timestamp())
                   ORDER BY class, due_at LIMIT $3 FOR UPDATE SKIP LOCKED) due
             WHERE d.subject_id = due.subject_id AND d.downstream = due.downstream
             RETURNING d.subject_id, d.turn, d.class, d.wanted, d.delivered, d.waiting, d.answered, d.settled, d.sweeps_done,
                       d.applied_at, d.attempts, clock_timestamp() AS "now!",
                       (SELECT (v.at, v.decided_at, v.trace) FROM ledger.revocations v
                        WHERE v.id = coalesce(d.waiting[cardinality(d.waiting)], d.answered[cardinality(d.answered)]))
                       AS "latest: (DateTime<Utc>, DateTime<Utc>, Option<String>)""#,
            downstream,
            up_to,
            limit,
            lease,
            hold.as_secs_f64(),
            self.holder()
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let clock = rows.iter().map(|r| r.now).max().map_or_else(|| Clock::at(Utc::now()), Clock::at);
        let subjects: Vec<Uuid> = rows.iter().map(|r| r.subject_id).collect();
        // Both at once: a person may be reading mail while we ask.
        let waiting: Vec<Uuid> = rows.iter().flat_map(|r| &r.waiting).copied().collect();
        let (mut ended, mut views, orders) =
            tokio::try_join!(self.ended(downstream, &subjects), self.views(&subjects), self.orders(&waiting))?;
        let unknown: Vec<Uuid> = subjects.iter().copied().filter(|subject| !views.contains_key(subject)).collect();
        let mut strangers = self.strangers(downstream, &unknown).await?;
        rows.into_iter()
            .map(|r| {
                let (asked_at, decided_at, trace) = match r.latest {
                    Some((asked_at, decided_at, trace)) => (Some(asked_at), Some(decided_at), trace),
                    None => (None, None, None),
                };
                Ok(Leased {
                    subject: r.subject_id,
                    lease,
                    clock,
                    turn: r.turn,
                    class: r.class,
                    wanted: crate::cutoffs::read(r.wanted, r.subject_id)?,
                    delivered: crate::cutoffs::read(r.delivered, r.subject_id)?,
                    orders: r.waiting.iter().filter_map(|id| orders.get(id).cloned()).collect(),
                    waiting: r.waiting,
                    answered: r.answered,
                    settled: r.settled,
                    sweeps_done: usize::try_from(r.sweeps_done).unwrap_or_default(),
                    applied_at: r.applied_at,
                    attempts: r.attempts.unsigned_abs(),
                    ended: ended.remove(&r.subject_id).unwrap_or_default(),
                    identity: views.remove(&r.subject_id),
                    stranger: strangers.remove(&r.subject_id),
                    asked_at,
                    decided_at,
                    trace,
                })
            })
            .collect()
    }

    /// What these revocations ask for.
    async fn orders(&self, revocations: &[Uuid]) -> Result<HashMap<Uuid, Order>> {
        if revocations.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query!("SELECT id, at, actions FROM ledger.revocations WHERE id = ANY($1)", revocations)
            .fetch_all(&self.pool)
            .await?;
        let known = |word: &String| Action::parse(word);
        Ok(rows
            .into_iter()
            .map(|row| (row.id, Order { at: row.at, actions: row.actions.iter().filter_map(known).collect() }))
            .collect())
    }

    /// Hashes of the sessions that earlier passes ended, by subject.
    pub async fn ended(&self, downstream: &str, subjects: &[Uuid]) -> Result<HashMap<Uuid, HashSet<Vec<u8>>>> {
        let mut ended: HashMap<Uuid, HashSet<Vec<u8>>> = HashMap::new();
        for row in sqlx::query!(
            "SELECT subject_id, session_hash FROM working.ended WHERE downstream = $1 AND subject_id = ANY($2)",
            downstream,
            subjects
        )
        .fetch_all(&self.pool)
        .await?
        {
            ended.entry(row.subject_id).or_default().insert(row.session_hash);
        }
        Ok(ended)
    }

    /// Keeps a lease for another `hold`, while its pass is at work.
    pub async fn renew(&self, lease: Uuid, hold: Duration) -> Result<()> {
        sqlx::query!(
            "UPDATE working.deliveries SET leased_until = clock_timestamp() + make_interval(secs => $2) WHERE lease = $1",
            lease,
            hold.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes back what this very holder had leased when it was killed, so that nobody waits for those leases to run out.
    pub async fn take_back_leases(&self) -> Result<u64> {
        let taken = sqlx::query_scalar!(
            r#"WITH deliveries AS (
                 UPDATE working.deliveries SET lease = NULL, leased_until = NULL
                 WHERE lease_holder = $1 AND lease IS NOT NULL RETURNING 1),
               errands AS (
                 UPDATE ledger.errands SET lease = NULL, leased_until = NULL
                 WHERE lease_holder = $1 AND lease IS NOT NULL RETURNING 1)
               SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM errands) AS "taken!""#,
            self.holder()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(taken.unsigned_abs())
    }

    /// How soon the next delivery or errand of a downstream is due, by the clock of the database.
    pub async fn next_due(&self, downstream: &str, up_to: i16) -> Result<Option<Duration>> {
        let seconds = sqlx::query_scalar!(
            "SELECT extract(epoch FROM least(
                 (SELECT min(greatest(due_at, leased_until)) FROM working.deliveries
                  WHERE downstream = $1 AND class <= $2 AND due_at IS NOT NULL),
                 (SELECT min(greatest(due_at, leased_until)) FROM ledger.errands
                  WHERE downstream = $1 AND class <= $2 AND due_at IS NOT NULL)) - clock_timestamp())::float8",
            downstream,
            up_to
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// The cutoffs in force at this moment, re-read just before anything is ended.
    pub async fn wanted_now(&self, downstream: &str, subjects: &[Uuid]) -> Result<HashMap<Uuid, Cutoff>> {
        sqlx::query!(
            "SELECT subject_id, wanted FROM working.deliveries WHERE downstream = $1 AND subject_id = ANY($2)",
            downstream,
            subjects
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|r| Ok((r.subject_id, crate::cutoffs::read(r.wanted, r.subject_id)?)))
        .collect()
    }

    /// Writes receipts, what was delivered, ended ids and the next look, in one transaction. A delivery whose turn rose
    /// meanwhile keeps what came new and stays due; one whose lease somebody else has is left to them.
    pub async fn answer(&self, downstream: &str, answers: &[Answer]) -> Result<()> {
        let mut tx = self.begin().await?;
        let subjects: Vec<Uuid> = answers.iter().map(|a| a.subject).collect();
        let held: HashMap<Uuid, Uuid> = sqlx::query!(
            r#"SELECT subject_id, lease AS "lease!" FROM working.deliveries
               WHERE downstream = $1 AND subject_id = ANY($2) AND lease IS NOT NULL ORDER BY subject_id FOR UPDATE"#,
            downstream,
            &subjects
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .map(|r| (r.subject_id, r.lease))
        .collect();
        let ours: Vec<&Answer> = answers.iter().filter(|a| held.get(&a.subject) == Some(&a.lease)).collect();
        self.write_receipts(&mut tx, downstream, &ours).await?;
        remember_ended(&mut tx, downstream, ours.iter().map(|a| (a.subject, &a.hashes[..]))).await?;
        let column = |f: &dyn Fn(&Answer) -> Value| -> Vec<Value> { ours.iter().map(|a| f(a)).collect() };
        let subjects: Vec<Uuid> = ours.iter().map(|a| a.subject).collect();
        let turns: Vec<i64> = ours.iter().map(|a| a.turn).collect();
        let delivered = column(&|a| crate::cutoffs::write(&a.delivered));
        let firsts: Vec<bool> = ours.iter().map(|a| a.first).collect();
        let revocations = column(&|a| serde_json::json!(a.revocations));
        let settled: Vec<bool> = ours.iter().map(|a| a.outcome == Outcome::Settled).collect();
        let sweeps: Vec<i32> = ours.iter().map(|a| i32::try_from(a.sweeps_done).unwrap_or(i32::MAX)).collect();
        let applied: Vec<DateTime<Utc>> = ours.iter().map(|a| a.applied_at).collect();
        let due: Vec<Option<DateTime<Utc>>> = ours.iter().map(|a| a.due_at).collect();
        sqlx::query!(
            "UPDATE working.deliveries d SET
                 delivered = n.delivered,
                 waiting = CASE WHEN n.first THEN ARRAY(SELECT w FROM UNNEST(d.waiting) AS w WHERE w <> ALL(n.revocations))
                                ELSE d.waiting END,
                 answered = CASE WHEN NOT n.first THEN d.answered WHEN d.settled THEN n.revocations
                                 ELSE d.answered || n.revocations END,
                 settled = n.settled,
                 sweeps_done = n.sweeps,
                 applied_at = CASE WHEN n.first OR d.applied_at IS NULL THEN n.applied_at ELSE d.applied_at END,
                 due_at = CASE WHEN d.turn = n.turn THEN n.due_at ELSE clock_timestamp() END,
                 owed_since = CASE WHEN NOT n.first THEN d.owed_since
                                   WHEN NOT d.waiting <@ n.revocations
                                   THEN (SELECT min(v.at) FROM UNNEST(d.waiting) AS w JOIN ledger.revocations v ON v.id = w
                                         WHERE w <> ALL(n.revocations))
                                   WHEN d.wanted <> n.delivered THEN clock_timestamp() ELSE d.owed_since END,
                 lease = NULL, leased_until = NULL, attempts = 0, last_error = NULL, stuck_since = NULL
             FROM (SELECT u.*, ARRAY(SELECT r::uuid FROM jsonb_array_elements_text(u.ids) AS r) AS revocations
                   FROM UNNEST($2::uuid[], $3::int8[], $4::jsonb[], $5::bool[], $6::jsonb[], $7::bool[], $8::int4[],
                               $9::timestamptz[], $10::timestamptz[])
                        AS u(subject, turn, delivered, first, ids, settled, sweeps, applied_at, due_at)) n
             WHERE d.subject_id = n.subject AND d.downstream = $1",
            downstream,
            &subjects,
            &turns,
            &delivered,
            &firsts,
            &revocations,
            &settled,
            &sweeps,
            &applied,
            &due as &[Option<DateTime<Utc>>],
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }

    /// Records that a pass failed: everything stays owed, to be tried again at `due_at`. `stuck`: trying again alone will not
    /// help; its revocations say so until it does.
    pub async fn defer(
        &self,
        downstream: &str,
        leased: &[Leased],
        due_at: &[DateTime<Utc>],
        error: &str,
        stuck: bool,
    ) -> Result<()> {
        let subjects: Vec<Uuid> = leased.iter().map(|l| l.subject).collect();
        let leases: Vec<Uuid> = leased.iter().map(|l| l.lease).collect();
        let mut tx = self.begin().await?;
        let ours: HashSet<Uuid> = sqlx::query_scalar!(
            "UPDATE working.deliveries d SET due_at = n.due_at, attempts = attempts + 1, last_error = $5, lease = NULL,
                 leased_until = NULL,
                 stuck_since = CASE WHEN $6 THEN coalesce(stuck_since, clock_timestamp()) ELSE stuck_since END
             FROM UNNEST($2::uuid[], $3::uuid[], $4::timestamptz[]) AS n(subject, lease, due_at)
             WHERE d.downstream = $1 AND d.subject_id = n.subject AND d.lease = n.lease RETURNING d.subject_id",
            downstream,
            &subjects,
            &leases,
            due_at,
            error,
            stuck
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        if stuck {
            // Whoever took over an expired lease may have written a better receipt by now.
            let held = leased.iter().filter(|l| ours.contains(&l.subject));
            let waiting: Vec<Uuid> = held.flat_map(|l| l.waiting.iter().copied()).collect();
            self.write_stuck(&mut tx, downstream, &waiting, error).await?;
        }
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }

    /// Makes due at once what waits for another try after a failure. Returns how many deliveries and errands that are.
    pub async fn bring_forward(&self, downstream: &str) -> Result<u64> {
        let deliveries = sqlx::query!(
            "UPDATE working.deliveries SET due_at = clock_timestamp()
             WHERE downstream = $1 AND attempts > 0 AND due_at > clock_timestamp()
               AND (leased_until IS NULL OR leased_until < clock_timestamp())",
            downstream
        )
        .execute(&self.pool)
        .await?;
        let errands = sqlx::query!(
            "UPDATE ledger.errands SET due_at = clock_timestamp()
             WHERE downstream = $1 AND attempts > 0 AND due_at > clock_timestamp()
               AND (leased_until IS NULL OR leased_until < clock_timestamp())",
            downstream
        )
        .execute(&self.pool)
        .await?;
        self.wake.deliveries.ring();
        Ok(deliveries.rows_affected() + errands.rows_affected())
    }

    /// Gives leases back at a graceful stop, so that nobody waits for them to run out.
    pub async fn unlease(&self, leased: &[Leased]) -> Result<()> {
        let leases: Vec<Uuid> = leased.iter().map(|l| l.lease).collect();
        sqlx::query!("UPDATE working.deliveries SET lease = NULL, leased_until = NULL WHERE lease = ANY($1)", &leases)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How many deliveries and errands are owed, by downstream, and how many cannot go on without a person's help. The latter may owe
    /// nothing: a sweep that is refused does not know whether sessions came back.
    pub async fn owed(&self) -> Result<BTreeMap<String, (i64, i64)>> {
        let rows = sqlx::query!(
            r#"SELECT downstream AS "downstream!", sum(owed)::int8 AS "owed!", sum(stuck)::int8 AS "stuck!"
               FROM (SELECT downstream, count(*) FILTER (WHERE wanted <> delivered OR cardinality(waiting) > 0) AS owed,
                            count(stuck_since) AS stuck
                     FROM working.deliveries
                     WHERE wanted <> delivered OR cardinality(waiting) > 0 OR stuck_since IS NOT NULL GROUP BY downstream
                     UNION ALL
                     SELECT downstream, count(*), count(stuck_since) FROM ledger.errands
                     WHERE due_at IS NOT NULL GROUP BY downstream) o GROUP BY downstream"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|r| (r.downstream, (r.owed, r.stuck))).collect())
    }
}

/// Keeps the hashes of sessions that were ended.
pub(crate) async fn remember_ended(
    tx: &mut PgConnection,
    downstream: &str,
    ended: impl Iterator<Item = (Uuid, &'_ [Vec<u8>])>,
) -> Result<()> {
    let (mut subjects, mut hashes) = (Vec::new(), Vec::new());
    for (subject, ended) in ended {
        for hash in ended {
            subjects.push(subject);
            hashes.push(hash.clone());
        }
    }
    if !subjects.is_empty() {
        sqlx::query!(
            "INSERT INTO working.ended (subject_id, downstream, session_hash)
                 SELECT s, $1, h FROM UNNEST($2::uuid[], $3::bytea[]) AS d(s, h) ON CONFLICT DO NOTHING",
            downstream,
            &subjects,
            &hashes
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}
