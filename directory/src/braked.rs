//! Brakes on rules: counts what each rule with one has ordered in a window, across all revokers, and holds what is beyond it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::decide::{Made, Ordered};
use crate::{Directory, Result};

/// What a rule with a brake orders about an event, beside what is ordered in any case.
#[derive(Debug, Clone)]
pub struct Braked {
    pub rule: String,
    /// The rule may order so much in a window.
    pub bound: u64,
    /// At a whole second, as PostgreSQL would give it back.
    pub window_begins: DateTime<Utc>,
    pub window_ends: DateTime<Utc>,
    pub ordered: Ordered,
}

/// A row of `ledger.held` to be.
struct Held {
    hold: Uuid,
    revocation: Uuid,
    event: i64,
    subject: Uuid,
    at: DateTime<Utc>,
    generation: i64,
    ordered: Value,
    policy_digest: String,
}

/// Decisions with what their brakes let through, and what they did not.
pub(crate) struct Weighed<'a> {
    pub made: Cow<'a, [Made]>,
    held: Vec<Held>,
}

type Window = (String, DateTime<Utc>);

/// Asks the brakes. Before any subject is locked: the rows of the windows are what revokers wait for one another at.
pub(crate) async fn weigh<'a>(tx: &mut PgConnection, made: &'a [Made]) -> Result<Weighed<'a>> {
    if made.iter().all(|m| m.braked.is_empty()) {
        return Ok(Weighed { made: Cow::Borrowed(made), held: Vec::new() });
    }
    let mut counted = lock(tx, made).await?;
    let events: Vec<i64> = made.iter().filter(|m| !m.braked.is_empty()).map(|m| m.event.id).collect();
    // Whoever decided one of these by a rule with this brake had its window locked, so it is seen from here on.
    let decided = sqlx::query_scalar!("SELECT event FROM ledger.decisions WHERE event = ANY($1)", &events);
    let decided: HashSet<i64> = decided.fetch_all(&mut *tx).await?.into_iter().collect();
    let mut made = made.to_vec();
    made.sort_by_key(|m| m.event.id);
    let (mut held, mut holds) = (Vec::new(), BTreeMap::new());
    for one in made.iter_mut().filter(|m| !decided.contains(&m.event.id)) {
        let mut waits = Vec::new();
        for braked in std::mem::take(&mut one.braked) {
            let orders = counted.entry((braked.rule.clone(), braked.window_begins)).or_default();
            *orders += 1;
            if u64::try_from(*orders).unwrap_or_default() <= braked.bound {
                one.ordered.get_or_insert_default().add(&braked.ordered);
            } else {
                waits.push(braked);
            }
        }
        for braked in waits {
            let window = (braked.rule.clone(), braked.window_begins);
            let hold = match holds.get(&window) {
                Some(hold) => *hold,
                None => *holds.entry(window).or_insert(open(tx, &braked).await?),
            };
            let note = format!("held by the brake of rule {:?}", braked.rule);
            one.note = Some(one.note.take().map_or_else(|| note.clone(), |before| format!("{before}; {note}")));
            // The event's own id is that of what was ordered of it at once, if anything was.
            let first = one.ordered.is_none() && !held.iter().any(|held: &Held| held.revocation == one.event.event_id);
            held.push(Held {
                hold,
                revocation: if first { one.event.event_id } else { Uuid::now_v7() },
                event: one.event.id,
                subject: one.event.subject,
                at: one.event.recorded_at,
                generation: one.event.context.identity.as_ref().map_or(0, |i| i.generation),
                ordered: serde_json::to_value(&braked.ordered).expect("an order is plain data"),
                policy_digest: one.policy_digest.clone(),
            });
        }
    }
    note(tx, counted).await?;
    Ok(Weighed { made: Cow::Owned(made), held })
}

/// Locks the windows that are asked, in one order, and reads their counts.
async fn lock(tx: &mut PgConnection, made: &[Made]) -> Result<BTreeMap<Window, i64>> {
    let windows: BTreeSet<Window> =
        made.iter().flat_map(|m| &m.braked).map(|b| (b.rule.clone(), b.window_begins)).collect();
    let (rules, begins): (Vec<String>, Vec<DateTime<Utc>>) = windows.into_iter().unzip();
    let rows = sqlx::query!(
        "INSERT INTO working.rule_windows AS w (rule, begins_at)
         SELECT rule, begins_at FROM UNNEST($1::text[], $2::timestamptz[]) AS n(rule, begins_at) ORDER BY 1, 2
         ON CONFLICT (rule, begins_at) DO UPDATE SET orders = w.orders RETURNING rule, begins_at, orders",
        &rules,
        &begins
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|r| ((r.rule, r.begins_at), r.orders)).collect())
}

async fn note(tx: &mut PgConnection, counted: BTreeMap<Window, i64>) -> Result<()> {
    let (windows, orders): (Vec<Window>, Vec<i64>) = counted.into_iter().unzip();
    let (rules, begins): (Vec<String>, Vec<DateTime<Utc>>) = windows.into_iter().unzip();
    sqlx::query!(
        "UPDATE working.rule_windows w SET orders = n.orders
         FROM UNNEST($1::text[], $2::timestamptz[], $3::int8[]) AS n(rule, begins_at, orders)
         WHERE w.rule = n.rule AND w.begins_at = n.begins_at",
        &rules,
        &begins,
        &orders
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The hold that gathers what this rule orders in this window; a new one is said aloud.
async fn open(tx: &mut PgConnection, braked: &Braked) -> Result<Uuid> {
    let row = sqlx::query!(
        r#"INSERT INTO ledger.holds AS h (id, kind, name, state, bound, window_begins, window_ends)
           VALUES ($1, 'rule', $2, 'held', $3, $4, $5)
           ON CONFLICT (name, window_begins) WHERE kind = 'rule' AND state = 'held' DO UPDATE SET at = h.at
           RETURNING id, id = $1 AS "new!""#,
        Uuid::now_v7(),
        braked.rule,
        i64::try_from(braked.bound).unwrap_or(i64::MAX),
        braked.window_begins,
        braked.window_ends
    )
    .fetch_one(tx)
    .await?;
    if row.new {
        let (rule, bound) = (&braked.rule, braked.bound);
        tracing::warn!(hold.id = %row.id, rule, bound, "a rule orders more than its brake allows; the rest is held for a person");
    }
    Ok(row.id)
}

/// Writes what waits, of the decisions that are ours. What another policy decided first has no second effect.
async fn write(tx: &mut PgConnection, held: &[Held]) -> Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    let holds: Vec<Uuid> = held.iter().map(|h| h.hold).collect();
    let revocations: Vec<Uuid> = held.iter().map(|h| h.revocation).collect();
    let subjects: Vec<Uuid> = held.iter().map(|h| h.subject).collect();
    let events: Vec<i64> = held.iter().map(|h| h.event).collect();
    let instants: Vec<DateTime<Utc>> = held.iter().map(|h| h.at).collect();
    let generations: Vec<i64> = held.iter().map(|h| h.generation).collect();
    let ordered: Vec<Value> = held.iter().map(|h| h.ordered.clone()).collect();
    let digests: Vec<String> = held.iter().map(|h| h.policy_digest.clone()).collect();
    sqlx::query!(
        "INSERT INTO ledger.held (hold, revocation, subject_id, event, at, generation, ordered)
         SELECT n.hold, n.revocation, n.subject, n.event, n.at, n.generation, n.ordered
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::int8[], $5::timestamptz[], $6::int8[], $7::jsonb[], $8::text[])
              AS n(hold, revocation, subject, event, at, generation, ordered, digest)
         JOIN ledger.decisions d ON d.event = n.event AND d.policy_digest = n.digest",
        &holds,
        &revocations,
        &subjects,
        &events,
        &instants,
        &generations,
        &ordered,
        &digests
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Weighed<'_> {
    pub async fn hold(&self, tx: &mut PgConnection) -> Result<()> {
        write(tx, &self.held).await
    }
}

impl Directory {
    /// Forgets the counts of windows that nothing is recorded in any more.
    pub async fn forget_windows(&self) -> Result<u64> {
        let done =
            sqlx::query!("DELETE FROM working.rule_windows WHERE begins_at < clock_timestamp() - interval '7 days'")
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}
