//! What has happened, with all that a policy reads of it and what was decided then: read again, and changed by nobody.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use lifecycle::{Context, EventType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Directory, Error, Result};

/// A stretch of the ledger: behind `after`, up to and with `until`, recorded since `since`. It shrinks while it is read, and what
/// is recorded meanwhile is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub since: DateTime<Utc>,
    after: i64,
    until: i64,
}

impl Span {
    pub fn is_read(&self) -> bool {
        self.after >= self.until
    }

    /// How many events are left at most.
    pub fn left(&self) -> u64 {
        u64::try_from(self.until - self.after).unwrap_or_default()
    }
}

/// One event of the past.
#[derive(Debug, Clone)]
pub struct Past {
    pub event_id: Uuid,
    pub event_type: EventType,
    pub subject: Uuid,
    pub recorded_at: DateTime<Utc>,
    pub data: Value,
    /// `None` once it was erased.
    pub context: Option<Context>,
    /// `None` where nobody had to decide.
    pub decided: Option<Decided>,
    /// The bus or the revoker has it still before it, so that nothing is decided yet.
    pub waits: bool,
}

/// What was decided then.
#[derive(Debug, Clone)]
pub struct Decided {
    pub rules: Vec<String>,
    /// The orders of policy, as they were written.
    pub actions: Value,
    /// Whether something was to end by it, at once or once a hold is approved.
    pub ended: bool,
}

/// Events of a part of a span, and what is left of it.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// All of that part.
    pub events: u64,
    /// Those of the types that were asked for, and those that were decided.
    pub items: Vec<Past>,
    pub left: Span,
}

/// Somebody as people know them. Personal data: for people who look, never for logs or topics.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    pub user_name: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    /// Those that the person is in now, at any source.
    pub privileged_groups: Vec<String>,
}

/// Transactions that ran side by side have numbered their events in another order than that of their instants.
const SIDE_BY_SIDE: TimeDelta = TimeDelta::minutes(10);

impl Directory {
    /// Everything that was recorded since then, up to now.
    pub async fn span(&self, since: DateTime<Utc>) -> Result<Span> {
        let ends = sqlx::query!(
            r#"SELECT coalesce(min(id) - 1, 0) AS "first!", coalesce(max(id), 0) AS "last!" FROM ledger.events"#
        )
        .fetch_one(&self.pool)
        .await?;
        // There is no index by time, and none is needed: ids rise with it.
        let begin = since.checked_sub_signed(SIDE_BY_SIDE).unwrap_or(since);
        let (mut low, mut high) = (ends.first, ends.last);
        while low < high {
            let middle = low + (high - low) / 2;
            let next =
                sqlx::query!("SELECT id, recorded_at FROM ledger.events WHERE id > $1 ORDER BY id LIMIT 1", middle)
                    .fetch_optional(&self.pool)
                    .await?;
            match next {
                Some(event) if event.recorded_at < begin => low = event.id,
                _ => high = middle,
            }
        }
        Ok(Span { since, after: low, until: ends.last })
    }

    /// The next `many` numbers of a span, of which each may be an event. `listened` are the types that somebody wants to decide;
    /// what was decided is there in any case.
    pub async fn chapter(&self, span: Span, listened: &[EventType], many: u32) -> Result<Chapter> {
        let last = span.until.min(span.after.saturating_add(i64::from(many)));
        let listened: Vec<String> = listened.iter().map(|event| event.as_str().to_owned()).collect();
        let rows = sqlx::query!(
            r#"SELECT e.id, e.event_id, e.type, e.subject_id, e.recorded_at, c.context AS "context?",
                      CASE WHEN e.type = ANY($4) OR d.event IS NOT NULL THEN e.body END AS body,
                      d.rules AS "rules?", d.actions AS "actions?",
                      (r.actions <> '{notify}' IS TRUE OR EXISTS (SELECT FROM ledger.held h WHERE h.event = e.id)
                       OR EXISTS (SELECT FROM ledger.shortenings s WHERE s.event = e.id)) AS "ended!",
                      d.event IS NULL AND (e.lane = 0 OR EXISTS (SELECT FROM ledger.pending p WHERE p.lane = e.lane AND p.id = e.id))
                          AS "waits!"
               FROM ledger.events e
               LEFT JOIN ledger.decisions d ON d.event = e.id
               LEFT JOIN ledger.revocations r ON r.id = e.event_id
               LEFT JOIN ledger.event_context c ON c.event = e.id AND (e.type = ANY($4) OR d.event IS NOT NULL)
               WHERE e.id > $1 AND e.id <= $2 AND e.recorded_at >= $3 ORDER BY e.id"#,
            span.after,
            last,
            span.since,
            &listened
        )
        .fetch_all(&self.pool)
        .await?;
        let events = rows.len() as u64;
        let mut items = Vec::new();
        for row in rows {
            let Some(body) = row.body else { continue };
            let bad = |column| Error::Inconsistent { table: "events", column, row: row.id.to_string() };
            let body: Value = serde_json::from_str(&body).map_err(|_| bad("body"))?;
            let context = row.context.map(serde_json::from_value).transpose().map_err(|_| bad("context"))?;
            let decided = row.rules.zip(row.actions);
            items.push(Past {
                event_id: row.event_id,
                event_type: EventType::parse(&row.r#type).ok_or_else(|| bad("type"))?,
                subject: row.subject_id,
                recorded_at: row.recorded_at,
                data: body.get("data").cloned().unwrap_or(Value::Null),
                context,
                decided: decided.map(|(rules, actions)| Decided { rules, actions, ended: row.ended }),
                waits: row.waits,
            });
        }
        Ok(Chapter { events, items, left: Span { after: last, ..span } })
    }

    /// These identities as people know them, as they are now.
    pub async fn people(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Person>> {
        let rows = sqlx::query!(
            r#"SELECT d.id, d.user_name, d.display_name, d.department,
                      coalesce(ARRAY(SELECT DISTINCT g.display_name FROM directory.accounts a
                          JOIN directory.effective_memberships m ON m.account_id = a.id
                          JOIN directory.groups g ON g.id = m.group_id AND g.privileged
                          WHERE a.identity_id = d.id ORDER BY 1), '{}') AS "privileged_groups!: Vec<String>"
               FROM directory.identities d WHERE d.id = ANY($1)"#,
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let person = Person {
                    user_name: row.user_name,
                    display_name: row.display_name,
                    department: row.department,
                    privileged_groups: row.privileged_groups,
                };
                (row.id, person)
            })
            .collect())
    }
}
