//! Decide: one transaction writes the decision, the cutoff, what is owed, and tells the bus. Idempotent by the event.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::cutoff::{Lock, StateMark};
use lifecycle::{Action, Class, Context, Cutoff, EventType, SubjectKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cutoffs::{self, Waiting, Whose};
use crate::receipts::{self, Note, Requested};
use crate::{Directory, Error, Result, locks, names};

/// An event as the revoker needs it.
#[derive(Debug, Clone)]
pub struct Undecided {
    pub id: i64,
    pub event_id: Uuid,
    pub event_type: EventType,
    pub kind: SubjectKind,
    pub subject: Uuid,
    pub version: i64,
    pub class: Class,
    pub recorded_at: DateTime<Utc>,
    pub urgent: bool,
    pub data: Value,
    pub context: Context,
    /// The W3C `traceparent` of what caused it.
    pub trace: Option<String>,
}

/// What is to end, and where.
#[derive(Debug, Clone, Default)]
pub struct Ordered {
    /// Scopes to join into (`*` or a downstream), each with what it demands.
    pub scopes: Vec<(String, Vec<Action>)>,
    /// Downstreams that can do at least one of the actions.
    pub downstreams: Vec<String>,
    /// For how long, where a lock is ordered.
    pub lock_for: Option<Duration>,
}

impl Ordered {
    /// Everything ordered anywhere, without repetition.
    fn actions(&self) -> BTreeSet<Action> {
        self.scopes.iter().flat_map(|(_, actions)| actions.iter().copied()).collect()
    }

    /// What it demands, by scope.
    pub fn demands(&self, at: DateTime<Utc>, state: Option<StateMark>, generation: i64) -> Vec<(String, Cutoff)> {
        let demand =
            |actions: &[Action]| Cutoff { lock: self.lock(actions, at), ..demand(actions, at, state, generation) };
        self.scopes.iter().map(|(scope, actions)| (scope.clone(), demand(actions))).collect()
    }

    /// The lock that actions at an instant demand.
    fn lock(&self, actions: &[Action], at: DateTime<Utc>) -> Option<Lock> {
        let lasts = self.lock_for.filter(|_| actions.contains(&Action::Lock))?;
        Some(Lock { at, until: Some(at + lasts) })
    }

    /// Where a lock is ordered.
    pub(crate) fn locked_scopes(&self) -> Vec<String> {
        let locked = self.scopes.iter().filter(|(_, actions)| actions.contains(&Action::Lock));
        locked.map(|(scope, _)| scope.clone()).collect()
    }
}

/// A decision that was made and is to be written.
#[derive(Debug, Clone)]
pub struct Made {
    pub event: Undecided,
    pub published_at: DateTime<Utc>,
    pub policy_digest: String,
    pub rules: Vec<String>,
    pub actions: Value,
    pub context_digest: String,
    pub note: Option<String>,
    pub ordered: Option<Ordered>,
}

/// The cutoff that actions at an instant demand. `state` only from an event that ends access.
fn demand(actions: &[Action], at: DateTime<Utc>, state: Option<StateMark>, generation: i64) -> Cutoff {
    let when = |action: Action| actions.contains(&action).then_some(at);
    Cutoff {
        sessions_before: when(Action::RevokeSessions),
        refresh_before: when(Action::RevokeRefresh),
        recheck_before: when(Action::Recheck),
        state: state.filter(|_| actions.contains(&Action::RevokeSessions)),
        lock: None,
        generation,
    }
}

impl Directory {
    /// Reads events that have no decision yet, with what policy may see.
    pub async fn undecided(&self, ids: &[Uuid]) -> Result<Vec<Undecided>> {
        let mut connection = self.pool.acquire().await?;
        load(&mut connection, ids).await
    }

    /// What ended or gave back access before this reinstatement and nobody decided yet. All of it, in order, and not only the
    /// suspension that it ends: an earlier reinstatement joins into the scopes that hold `disabled` at its own turn, which
    /// after this one none does any more.
    pub async fn undecided_before(&self, reinstatement: &Undecided) -> Result<Vec<Undecided>> {
        let ids = sqlx::query_scalar!(
            "SELECT e.event_id FROM ledger.events e LEFT JOIN ledger.decisions d ON d.event = e.id
             WHERE e.subject_id = $1 AND e.version < $2 AND d.event IS NULL
               AND e.type IN ('identity.suspended', 'identity.departed', 'identity.erased', 'identity.reinstated')
             ORDER BY e.version",
            reinstatement.subject,
            reinstatement.version
        )
        .fetch_all(&self.pool)
        .await?;
        self.undecided(&ids).await
    }

    /// Events that should have had a decision by now: the safety net of reconcile. Urgent ones recorded before `older_than`; of
    /// the bulk lane those that end access and are among `listened`, once the bus has had them and five minutes have passed.
    pub async fn overdue(
        &self,
        older_than: DateTime<Utc>,
        listened: &[EventType],
        limit: i64,
    ) -> Result<Vec<Undecided>> {
        let ending: Vec<String> = listened.iter().filter(|t| t.ends_access()).map(|t| t.as_str().to_owned()).collect();
        let ids = sqlx::query_scalar!(
            r#"(SELECT e.event_id AS "id!" FROM ledger.events e LEFT JOIN ledger.decisions d ON d.event = e.id
                WHERE e.lane = 0 AND d.event IS NULL AND e.recorded_at < $1 ORDER BY e.id LIMIT $2)
               UNION ALL
               (SELECT e.event_id FROM ledger.events e LEFT JOIN ledger.decisions d ON d.event = e.id
                WHERE e.lane = 1 AND e.type IN ('identity.suspended', 'identity.departed', 'identity.erased')
                  AND e.type = ANY($3) AND d.event IS NULL AND e.recorded_at < $1 - interval '5 minutes'
                  AND NOT EXISTS (SELECT FROM ledger.pending p WHERE p.lane = 1 AND p.id = e.id)
                ORDER BY e.id LIMIT $2)"#,
            older_than,
            limit,
            &ending
        )
        .fetch_all(&self.pool)
        .await?;
        self.undecided(&ids).await
    }

    /// Writes decisions and their effects. A decision that exists already keeps its first form and has no second effect.
    /// Returns how many were new.
    pub async fn decide(&self, made: &[Made]) -> Result<usize> {
        let mut order: Vec<&Made> = made.iter().collect();
        // Subjects are locked in one order by every writer; a subject's own events by version.
        order.sort_by_key(|m| (m.event.subject, m.event.version));
        let mut tx = self.begin().await?;
        let mut written = Written { published: self.publishes(), ..Written::default() };
        let mut new = 0;
        for decision in order {
            new += usize::from(write_one(&mut tx, decision, &mut written).await?);
        }
        self.tell(&mut tx, &written).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        Ok(new)
    }

    /// Carries out a request to revoke: the revocation has the request's id and instant.
    pub async fn revoke_by_hand(
        &self,
        request: &crate::Request,
        (subject, kind): (Uuid, SubjectKind),
        ordered: &Ordered,
        reason: &str,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut written = Written { published: self.publishes(), ..Written::default() };
        let at = request.asked_at;
        let revocation = Revocation {
            id: request.id,
            subject,
            kind,
            event: None,
            class: Class::Hand,
            at,
            ordered,
            reason: Some(reason),
            by: Some(&request.asked_by),
            trace: request.payload.get("traceparent").and_then(Value::as_str),
        };
        if insert_revocation(&mut tx, &revocation, &mut written).await? {
            let waiting = Waiting { revocation: request.id, class: Class::Hand, downstreams: &ordered.downstreams };
            let demands = ordered.demands(at, None, 0);
            let whose = written.joins(subject, kind);
            let scopes = cutoffs::join(&mut tx, whose, |_| demands, Some(waiting)).await?;
            locks::begin(&mut tx, &revocation, &scopes, &mut written).await?;
        }
        self.tell(&mut tx, &written).await?;
        crate::requests::finish(&mut tx, request.id, true, &json!({"revocation": request.id})).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        self.wake.progress.ring();
        Ok(())
    }

    /// What subscribers learn of it: records of the new revocations, and subjects under their names.
    pub(crate) async fn tell(&self, tx: &mut PgConnection, written: &Written) -> Result<()> {
        receipts::tell(tx, &written.notes).await?;
        if self.naming().is_some() {
            let subjects: Vec<Uuid> = written.subjects.iter().copied().collect();
            names::refresh(tx, self.naming(), &subjects).await?;
        }
        Ok(())
    }
}

/// What a transaction has written so far.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Whether subscribers are told of it.
    pub published: bool,
    pub notes: Vec<Note>,
    /// Whose cutoffs were joined.
    pub subjects: BTreeSet<Uuid>,
}

impl Written {
    pub fn joins(&mut self, subject: Uuid, kind: SubjectKind) -> Whose {
        self.subjects.insert(subject);
        Whose { subject, kind, published: self.published }
    }
}

async fn load(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Undecided>> {
    let rows = sqlx::query!(
        r#"SELECT e.id, e.event_id, e.type, e.subject_kind, e.subject_id, e.version, e.class, e.lane, e.recorded_at, e.body, e.trace,
                  c.context AS "context?"
           FROM UNNEST($1::uuid[]) WITH ORDINALITY AS w(id, n)
           JOIN ledger.events e ON e.event_id = w.id
           LEFT JOIN ledger.event_context c ON c.event = e.id
           LEFT JOIN ledger.decisions d ON d.event = e.id
           WHERE d.event IS NULL ORDER BY w.n"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    let mut events = Vec::with_capacity(rows.len());
    for r in rows {
        let bad = |column| Error::Inconsistent { table: "events", column, row: r.id.to_string() };
        let read = || {
            let body: Value = serde_json::from_str(&r.body).map_err(|_| bad("body"))?;
            let context = match &r.context {
                Some(value) => serde_json::from_value(value.clone()).map_err(|_| bad("context"))?,
                None => Context::default(),
            };
            Ok::<_, Error>(Undecided {
                id: r.id,
                event_id: r.event_id,
                event_type: EventType::parse(&r.r#type).ok_or_else(|| bad("type"))?,
                kind: serde_json::from_value(json!(r.subject_kind)).map_err(|_| bad("subject_kind"))?,
                subject: r.subject_id,
                version: r.version,
                class: Class::from_number(r.class).ok_or_else(|| bad("class"))?,
                recorded_at: r.recorded_at,
                urgent: r.lane == 0,
                data: body.get("data").cloned().unwrap_or(Value::Null),
                context,
                trace: r.trace.clone(),
            })
        };
        match read() {
            Ok(event) => events.push(event),
            // It must not stand in front of everybody else. It stays undecided, which `ledger check` and reconcile show.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, event.id = %r.event_id, "an event cannot be read and stays undecided");
            }
        }
    }
    Ok(events)
}

async fn write_one(tx: &mut PgConnection, made: &Made, written: &mut Written) -> Result<bool> {
    let event = &made.event;
    let inserted = sqlx::query!(
        "INSERT INTO ledger.decisions (event, policy_digest, rules, actions, context_digest, note, published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (event) DO NOTHING",
        event.id,
        made.policy_digest,
        &made.rules,
        made.actions,
        made.context_digest,
        made.note,
        made.published_at
    )
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    let generation = event.context.identity.as_ref().map_or(0, |i| i.generation);
    if event.event_type == EventType::IdentityReinstated {
        // Built in, needing no rule: wherever the subject was disabled it is no longer, and nothing old is revived.
        let reinstated = |disabled: &Cutoff| Cutoff {
            sessions_before: Some(event.recorded_at),
            // What refreshes ended only where that was asked for.
            refresh_before: disabled.refresh_before.map(|_| event.recorded_at),
            state: Some(StateMark { version: event.version, disabled: false }),
            generation,
            ..Cutoff::default()
        };
        let everywhere = |scopes: &std::collections::BTreeMap<String, Cutoff>| {
            scopes.iter().filter(|(_, c)| c.disabled()).map(|(s, c)| (s.clone(), reinstated(c))).collect()
        };
        cutoffs::join(tx, written.joins(event.subject, event.kind), everywhere, None).await?;
    }
    if event.event_type == EventType::IdentityMerged {
        inherit(tx, event, written).await?;
    }
    if let Some(ordered) = &made.ordered {
        let revocation = Revocation {
            id: event.event_id,
            subject: event.subject,
            kind: SubjectKind::Identity,
            event: Some(event.id),
            class: event.class,
            at: event.recorded_at,
            ordered,
            reason: None,
            by: None,
            trace: event.trace.as_deref(),
        };
        insert_revocation(tx, &revocation, written).await?;
        let state = event.event_type.ends_access().then_some(StateMark { version: event.version, disabled: true });
        let demands = ordered.demands(event.recorded_at, state, generation);
        let waiting = Waiting { revocation: event.event_id, class: event.class, downstreams: &ordered.downstreams };
        let whose = written.joins(event.subject, event.kind);
        let scopes = cutoffs::join(tx, whose, |now| locks::no_shorter(demands, now), Some(waiting)).await?;
        locks::begin(tx, &revocation, &scopes, written).await?;
    }
    Ok(true)
}

/// After a merge the survivor joins the merged identity's instants; its `state` comes from its own events.
async fn inherit(tx: &mut PgConnection, event: &Undecided, written: &mut Written) -> Result<()> {
    let Some(merged) = event.data.get("merged").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok()) else {
        return Ok(());
    };
    let rows = sqlx::query!("SELECT scope, cutoff FROM ledger.cutoffs WHERE subject_id = $1", merged)
        .fetch_all(&mut *tx)
        .await?;
    let mut inherited = Vec::new();
    for row in rows {
        inherited.push((row.scope, Cutoff { state: None, ..cutoffs::read(row.cutoff, merged)? }));
    }
    if inherited.is_empty() {
        return Ok(());
    }
    cutoffs::join(tx, written.joins(event.subject, event.kind), |_| inherited, None).await?;
    Ok(())
}

/// A revocation that is written.
pub(crate) struct Revocation<'a> {
    pub id: Uuid,
    pub subject: Uuid,
    pub kind: SubjectKind,
    event: Option<i64>,
    class: Class,
    pub at: DateTime<Utc>,
    pub ordered: &'a Ordered,
    reason: Option<&'a str>,
    by: Option<&'a str>,
    pub trace: Option<&'a str>,
}

async fn insert_revocation(tx: &mut PgConnection, revocation: &Revocation<'_>, written: &mut Written) -> Result<bool> {
    let actions: Vec<Action> = revocation.ordered.actions().into_iter().collect();
    let words: Vec<String> = actions.iter().map(ToString::to_string).collect();
    let done = sqlx::query!(
        "INSERT INTO ledger.revocations (id, subject_id, subject_kind, event, class, at, actions, downstreams, reason, asked_by,
                                         trace)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
        revocation.id,
        revocation.subject,
        revocation.kind.as_str(),
        revocation.event,
        revocation.class.number(),
        revocation.at,
        &words,
        &revocation.ordered.downstreams,
        revocation.reason,
        revocation.by,
        revocation.trace
    )
    .execute(tx)
    .await?;
    let new = done.rows_affected() == 1;
    if new && written.published {
        written.notes.push(Note::requested(&Requested {
            revocation: revocation.id,
            subject: revocation.subject,
            kind: revocation.kind,
            at: revocation.at,
            class: revocation.class,
            actions: &actions,
            downstreams: &revocation.ordered.downstreams,
            by_event: revocation.event.is_some(),
            trace: revocation.trace,
        }));
    }
    Ok(new)
}
