//! Holds: orders that wait for a person, as administrators look at them, and the answers that are given to them.

use chrono::{DateTime, Utc};
use lifecycle::Class;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Error, Request, Result, requests};

/// A hold as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct HoldRow {
    pub id: Uuid,
    /// `rule`: what a rule ordered beyond its brake. `group`: a revocation by hand of everybody in one.
    pub kind: String,
    /// The rule, or `source/group`.
    pub name: String,
    /// `held`, `approved` (being carried out), `applied` or `rejected`.
    pub state: String,
    /// How many orders it holds, and how many of them were carried out.
    pub rows: i64,
    pub done: i64,
    /// When it began, or was asked for.
    #[serde(serialize_with = "crate::instant::ms")]
    pub at: DateTime<Utc>,
    /// Of a rule: so many were let through in that window.
    pub bound: Option<i64>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub window_begins: Option<DateTime<Utc>>,
    /// It gathers until then, and can be answered from then on.
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub window_ends: Option<DateTime<Utc>>,
    pub asked_by: Option<String>,
    pub reason: Option<String>,
    /// Members of a group whom `break_glass` names: they are not in it.
    pub spared: i64,
    /// Who agreed to it so far, first one first.
    pub approved_by: Vec<String>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<String>,
    /// Why it was rejected.
    pub decision_reason: Option<String>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub applied_at: Option<DateTime<Utc>>,
}

/// How far the orders of a hold are: each counts at the worst of its downstreams.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Progress {
    pub applied: i64,
    pub verified: i64,
    pub settled: i64,
    pub stuck: i64,
}

/// One order of a hold.
#[derive(Debug, Clone, Serialize)]
pub struct HeldRow {
    pub revocation: Uuid,
    pub subject: Uuid,
    pub user_name: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub privileged_groups: Vec<String>,
    /// The event that a rule answered.
    pub event_id: Option<Uuid>,
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// (scope, actions); `*` is everywhere.
    pub scopes: Value,
    pub downstreams: Value,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub done_at: Option<DateTime<Utc>>,
}

/// What an answer came to.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HoldVerdict {
    /// It is carried out from now on.
    Approved {
        rows: i64,
    },
    /// It is larger than one person may answer for. Nothing was carried out.
    Waiting {
        rows: i64,
        /// More than so many take a second person.
        mass: u64,
        approved_by: Vec<String>,
    },
    Rejected {
        rows: i64,
    },
}

impl Directory {
    /// Holds, newest first: all, or only those that wait for a person.
    pub async fn holds(&self, held_only: bool) -> Result<Vec<HoldRow>> {
        self.find_holds(held_only, None).await
    }

    /// The holds whose id begins with this.
    pub async fn holds_by_id(&self, beginning: &str) -> Result<Vec<HoldRow>> {
        self.find_holds(false, Some(beginning)).await
    }

    async fn find_holds(&self, held_only: bool, beginning: Option<&str>) -> Result<Vec<HoldRow>> {
        Ok(sqlx::query_as!(
            HoldRow,
            r#"SELECT h.id, kind, name, state, n.rows AS "rows!", n.done AS "done!", h.at, bound, window_begins, window_ends, asked_by,
                      reason, spared, decided_at, decided_by, decision_reason, applied_at,
                      ARRAY(SELECT a.by FROM ledger.hold_approvals a WHERE a.hold = h.id ORDER BY a.at) AS "approved_by!"
               FROM ledger.holds h,
                    LATERAL (SELECT count(*) AS rows, count(done_at) AS done FROM ledger.held i WHERE i.hold = h.id) n
               WHERE (NOT $1 OR state = 'held') AND ($2::text IS NULL OR starts_with(h.id::text, $2))
               ORDER BY h.at DESC LIMIT 500"#,
            held_only,
            beginning
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// At most `limit` orders of a hold after the first `after`, those of privileged people first.
    pub async fn held_rows(&self, hold: Uuid, after: u32, limit: u32) -> Result<Vec<HeldRow>> {
        Ok(sqlx::query_as!(
            HeldRow,
            r#"SELECT h.revocation, h.subject_id AS subject, i.user_name AS "user_name?", i.display_name AS "display_name?",
                      i.department AS "department?", p.groups AS "privileged_groups!: Vec<String>", e.event_id AS "event_id?",
                      e.type AS "event_type?",
                      h.ordered -> 'scopes' || coalesce((SELECT jsonb_agg(jsonb_build_array(s, '["shorten_ttl"]'::jsonb))
                          FROM jsonb_array_elements(h.ordered #> '{shortened,scopes}') AS s), '[]')
                          || coalesce((SELECT jsonb_agg(jsonb_build_array(o -> 0, jsonb_build_array(o -> 1)))
                          FROM jsonb_array_elements(h.ordered -> 'errands') AS o), '[]') AS "scopes!",
                      h.ordered -> 'downstreams' || coalesce(h.ordered #> '{shortened,downstreams}', '[]')
                          || coalesce(jsonb_path_query_array(h.ordered, '$.errands[*][0]'), '[]') AS "downstreams!",
                      h.done_at
               FROM ledger.held h LEFT JOIN ledger.events e ON e.id = h.event
               LEFT JOIN directory.identities i ON i.id = h.subject_id,
               LATERAL (SELECT coalesce(ARRAY(SELECT DISTINCT g.display_name FROM directory.accounts a
                           JOIN directory.memberships m ON m.account_id = a.id AND m.counted
                           JOIN directory.groups g ON g.id = m.group_id AND g.privileged
                           WHERE a.identity_id = h.subject_id ORDER BY 1), '{}') AS groups) p
               WHERE h.hold = $1 ORDER BY cardinality(p.groups) = 0, lower(i.user_name), h.revocation OFFSET $2 LIMIT $3"#,
            hold,
            i64::from(after),
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// How far the orders of a hold are at the downstreams.
    pub async fn hold_progress(&self, hold: Uuid) -> Result<Progress> {
        Ok(sqlx::query_as!(
            Progress,
            r#"SELECT count(*) FILTER (WHERE r.applied) AS "applied!", count(*) FILTER (WHERE r.verified) AS "verified!",
                      count(*) FILTER (WHERE r.settled) AS "settled!", count(*) FILTER (WHERE r.stuck) AS "stuck!"
               FROM ledger.held h,
               LATERAL (SELECT coalesce(bool_and(state NOT IN ('owed', 'stuck')), true) AS applied,
                               coalesce(bool_and(state NOT IN ('owed', 'stuck', 'applied')), true) AS verified,
                               -- An errand has no sweeps.
                               coalesce(bool_and(state = 'settled' OR (action IS NOT NULL AND state IN ('verified', 'handed_over'))),
                                        true) AS settled,
                               coalesce(bool_or(state = 'stuck'), false) AS stuck
                        FROM ledger.answers a WHERE a.revocation = h.revocation) r
               WHERE h.hold = $1 AND h.done_at IS NOT NULL
                 AND EXISTS (SELECT FROM ledger.revocations v WHERE v.id = h.revocation)"#,
            hold
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// How many holds wait for a person and for how many seconds the oldest does, by kind; without kinds of which none does.
    pub async fn holds_waiting(&self) -> Result<Vec<(String, i64, f64)>> {
        let rows = sqlx::query!(
            r#"SELECT kind, count(*) AS "holds!", extract(epoch FROM clock_timestamp() - min(at))::float8 AS "seconds!"
               FROM ledger.holds WHERE state = 'held' GROUP BY kind"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|r| (r.kind, r.holds, r.seconds)).collect())
    }

    /// Notes that a person agrees to a hold; one of more orders than `mass` is carried out only once two have.
    pub async fn approve_hold(&self, request: &Request, hold: Uuid, mass: Option<u64>) -> Result<()> {
        let mut tx = self.begin().await?;
        let verdict = match approve(&mut tx, hold, &request.asked_by, mass).await {
            Ok(verdict) => verdict,
            Err(Error::Refused(why)) => return self.finish_request(request.id, false, &json!({"error": why})).await,
            Err(error) => return Err(error),
        };
        requests::finish(&mut tx, request.id, true, &json!(verdict)).await?;
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }

    /// Nothing of a hold is ever carried out.
    pub async fn reject_hold(&self, request: &Request, hold: Uuid, reason: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows = match waiting(&mut tx, hold, "rejected").await {
            Ok(rows) => rows,
            Err(Error::Refused(why)) => return self.finish_request(request.id, false, &json!({"error": why})).await,
            Err(error) => return Err(error),
        };
        sqlx::query!(
            "UPDATE ledger.holds SET state = 'rejected', decided_at = clock_timestamp(), decided_by = $2, decision_reason = $3
             WHERE id = $1",
            hold,
            request.asked_by,
            reason
        )
        .execute(&mut *tx)
        .await?;
        requests::finish(&mut tx, request.id, true, &json!(HoldVerdict::Rejected { rows })).await?;
        tx.commit().await?;
        self.wake.progress.ring();
        Ok(())
    }
}

/// Locks a hold that can be answered. Returns how many orders it has, and from here on it gets no more.
async fn waiting(tx: &mut PgConnection, hold: Uuid, answered: &str) -> Result<i64> {
    let row = sqlx::query!(
        r#"SELECT state, window_ends, coalesce(window_ends > clock_timestamp(), false) AS "gathers!"
           FROM ledger.holds WHERE id = $1 FOR UPDATE"#,
        hold
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| Error::Refused(format!("no hold has the id {hold}")))?;
    if row.state != "held" {
        return Err(Error::Refused(format!("hold {hold} is {}; only a held one can be {answered}", row.state)));
    }
    if let Some(ends) = row.window_ends.filter(|_| row.gathers) {
        let ends = crate::instant::text(&ends);
        return Err(Error::Refused(format!("hold {hold} gathers until {ends}; it can be {answered} from then on")));
    }
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "rows!" FROM ledger.held WHERE hold = $1"#, hold)
        .fetch_one(tx)
        .await?)
}

async fn approve(tx: &mut PgConnection, hold: Uuid, by: &str, mass: Option<u64>) -> Result<HoldVerdict> {
    let rows = waiting(tx, hold, "approved").await?;
    agree(tx, hold, by, rows, mass).await
}

/// Notes that somebody agrees to a held hold of so many orders, and approves it where that is enough. It is locked, or new.
pub(crate) async fn agree(
    tx: &mut PgConnection,
    hold: Uuid,
    by: &str,
    rows: i64,
    mass: Option<u64>,
) -> Result<HoldVerdict> {
    sqlx::query!("INSERT INTO ledger.hold_approvals (hold, by) VALUES ($1, $2) ON CONFLICT DO NOTHING", hold, by)
        .execute(&mut *tx)
        .await?;
    let mass = mass.filter(|mass| rows > i64::try_from(*mass).unwrap_or(i64::MAX));
    if let Some(mass) = mass {
        let approved_by = sqlx::query_scalar!("SELECT by FROM ledger.hold_approvals WHERE hold = $1 ORDER BY at", hold)
            .fetch_all(&mut *tx)
            .await?;
        if approved_by.len() < 2 {
            return Ok(HoldVerdict::Waiting { rows, mass, approved_by });
        }
    }
    // What takes two people is no reason to keep one person's urgent revocation waiting.
    let class = match mass {
        Some(_) => Class::Mass,
        None => Class::of_plan(usize::try_from(rows).unwrap_or(usize::MAX)),
    };
    sqlx::query!(
        "UPDATE ledger.holds SET state = 'approved', decided_at = clock_timestamp(), decided_by = $2,
             class = CASE WHEN kind = 'group' AND $3::int2 = 1 THEN 0 ELSE $3::int2 END
         WHERE id = $1",
        hold,
        by,
        class.number()
    )
    .execute(tx)
    .await?;
    Ok(HoldVerdict::Approved { rows })
}
