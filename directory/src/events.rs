//! The ledger's events: written in the transaction of what they tell, read in commit order.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use lifecycle::event::lane;
use lifecycle::{Class, Context, Event, EventType, Lane, SubjectKind};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::Cause;
use crate::pending::shard_of;
use crate::{Directory, Result};

/// Where a subject's history stands; the row that holds it is locked.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub kind: SubjectKind,
    pub id: Uuid,
    pub version: i64,
    pub last_urgent: i64,
    pub last_bulk: i64,
    pub recorded_at: DateTime<Utc>,
}

/// An event before it has its place in the history.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub event_type: EventType,
    pub data: Value,
    pub context: Context,
    /// Whether a lost group was privileged.
    pub privileged: bool,
}

/// Gives each draft its version, lane, `prev` and instant, and moves the head past them.
pub(crate) fn stamp(head: &mut Head, drafts: Vec<Draft>, class: Class, now: DateTime<Utc>) -> Vec<(Event, Context)> {
    drafts
        .into_iter()
        .map(|draft| {
            let lane = lane(draft.event_type, class, draft.privileged);
            head.version += 1;
            head.recorded_at = now.max(head.recorded_at + Duration::microseconds(1));
            let last = match lane {
                Lane::Urgent => &mut head.last_urgent,
                Lane::Bulk => &mut head.last_bulk,
            };
            let prev = std::mem::replace(last, head.version);
            let event = Event {
                id: Uuid::now_v7(),
                kind: head.kind,
                subject: head.id,
                event_type: draft.event_type,
                version: head.version,
                prev,
                lane,
                class,
                recorded_at: head.recorded_at,
                data: draft.data,
            };
            (event, draft.context)
        })
        .collect()
}

/// When the request that caused an event took effect and was had, and its trace.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub effective_at: Option<DateTime<Utc>>,
    pub received_at: Option<DateTime<Utc>>,
    pub trace: Option<String>,
}

impl Arrival {
    pub fn of(cause: &Cause) -> Self {
        Self { effective_at: cause.effective_at, received_at: cause.received_at, trace: cause.trace.clone() }
    }
}

/// Inserts events, their contexts and their pending rows in one statement.
pub(crate) async fn append(tx: &mut PgConnection, cause: &Cause, events: &[(Event, Context)]) -> Result<()> {
    append_each(tx, cause, &HashMap::new(), events).await
}

/// The same, where subjects in `arrivals` have a request of their own instead of the cause's.
pub(crate) async fn append_each(
    tx: &mut PgConnection,
    cause: &Cause,
    arrivals: &HashMap<Uuid, Arrival>,
    events: &[(Event, Context)],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let of_cause = Arrival::of(cause);
    let arrived: Vec<&Arrival> = events.iter().map(|(e, _)| arrivals.get(&e.subject).unwrap_or(&of_cause)).collect();
    let effective: Vec<Option<DateTime<Utc>>> = arrived.iter().map(|a| a.effective_at).collect();
    let received: Vec<Option<DateTime<Utc>>> = arrived.iter().map(|a| a.received_at).collect();
    let traces: Vec<Option<String>> = arrived.iter().map(|a| a.trace.clone()).collect();
    let ids: Vec<Uuid> = events.iter().map(|(e, _)| e.id).collect();
    let kinds: Vec<String> = events.iter().map(|(e, _)| e.kind.as_str().to_owned()).collect();
    let subjects: Vec<Uuid> = events.iter().map(|(e, _)| e.subject).collect();
    let types: Vec<String> = events.iter().map(|(e, _)| e.event_type.as_str().to_owned()).collect();
    let versions: Vec<i64> = events.iter().map(|(e, _)| e.version).collect();
    let prevs: Vec<i64> = events.iter().map(|(e, _)| e.prev).collect();
    let lanes: Vec<i16> = events.iter().map(|(e, _)| e.lane.number()).collect();
    let classes: Vec<i16> = events.iter().map(|(e, _)| e.class.number()).collect();
    let instants: Vec<DateTime<Utc>> = events.iter().map(|(e, _)| e.recorded_at).collect();
    let bodies: Vec<String> = events.iter().zip(&traces).map(|((e, _), trace)| e.render(trace.as_deref())).collect();
    let shards: Vec<i16> = events.iter().map(|(e, _)| shard_of(e.subject)).collect();
    let contexts: Vec<Value> = events
        .iter()
        .map(|(_, c)| serde_json::to_value(c).expect("a context is plain data, so it always serializes"))
        .collect();
    sqlx::query!(
        r#"
        WITH draft AS (
            SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::int8[], $6::int8[], $7::int2[],
                                 $8::int2[], $9::timestamptz[], $10::text[], $11::int2[], $12::jsonb[],
                                 $13::timestamptz[], $14::timestamptz[], $15::text[])
                WITH ORDINALITY
                AS d(event_id, kind, subject, type, version, prev, lane, class, recorded_at, body, shard, context, effective_at,
                     received_at, trace, n)
        ), written AS (
            INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, source,
                                       effective_at, received_at, recorded_at, body, trace)
            SELECT event_id, kind, subject, type, version, prev, lane, class, $16, effective_at, received_at, recorded_at, body, trace
            FROM draft ORDER BY n
            RETURNING id, event_id
        ), contexts AS (
            INSERT INTO ledger.event_context (event, context)
            SELECT w.id, d.context FROM written w JOIN draft d USING (event_id)
        )
        INSERT INTO ledger.pending (shard, lane, id)
        SELECT d.shard, d.lane, w.id FROM written w JOIN draft d USING (event_id)
        "#,
        &ids,
        &kinds,
        &subjects,
        &types,
        &versions,
        &prevs,
        &lanes,
        &classes,
        &instants,
        &bodies,
        &shards,
        &contexts,
        &effective as &[Option<DateTime<Utc>>],
        &received as &[Option<DateTime<Utc>>],
        &traces as &[Option<String>],
        cause.source,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Which events a reader wants.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Opaque position of the last event seen; events after it.
    pub after: Option<String>,
    pub event_type: Option<String>,
    pub subject: Option<Uuid>,
    pub since: Option<DateTime<Utc>>,
    pub limit: i64,
}

/// Rendered CloudEvents in commit order, and where to go on.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub items: Vec<String>,
    pub next: Option<String>,
}

impl Directory {
    /// A page of events ordered by (transaction, id), ending below the oldest transaction in flight, so that nothing that
    /// commits later is skipped.
    pub async fn events(&self, filter: &EventFilter) -> Result<EventPage> {
        let (xid, id) = filter.after.as_deref().and_then(parse_position).unwrap_or((0, 0));
        let rows = sqlx::query!(
            r#"
            SELECT (xid::text)::int8 AS "xid!", id, body FROM ledger.events
            WHERE (xid, id) > (($1::int8)::text::xid8, $2)
              AND xid < pg_snapshot_xmin(pg_current_snapshot())
              AND ($3::text IS NULL OR type = $3)
              AND ($4::uuid IS NULL OR subject_id = $4)
              AND ($5::timestamptz IS NULL OR recorded_at >= $5)
            ORDER BY xid, id LIMIT $6
            "#,
            xid,
            id,
            filter.event_type,
            filter.subject,
            filter.since,
            filter.limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let next = rows.last().map(|r| format!("{}-{}", r.xid, r.id));
        Ok(EventPage { next, items: rows.into_iter().map(|r| r.body).collect() })
    }
}

fn parse_position(text: &str) -> Option<(i64, i64)> {
    let (xid, id) = text.split_once('-')?;
    Some((xid.parse().ok()?, id.parse().ok()?))
}
