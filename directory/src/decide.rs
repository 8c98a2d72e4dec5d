//! Decide: one transaction writes the decision, the cutoff, what is owed, and tells the bus. Idempotent by the event.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::cutoff::{Lock, StateMark};
use lifecycle::{Action, Class, Context, Cutoff, EventType, SubjectKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::braked::{self, Braked};
use crate::cutoffs::{self, Joins};
use crate::revocations::{self, Revocation, Written};
use crate::{Directory, Error, Result, errands, locks, names, receipts, shortenings};

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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ordered {
    /// Scopes to join into (`*` or a downstream), each with what it demands.
    pub scopes: Vec<(String, Vec<Action>)>,
    /// Downstreams that can do at least one of the actions.
    pub downstreams: Vec<String>,
    /// For how long, where a lock is ordered.
    pub lock_for: Option<Duration>,
    /// What is done once and is no cutoff, with the downstream that does it. The scopes say nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errands: Vec<(String, Action)>,
    /// What ends later. Nothing above speaks of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortened: Option<Shortened>,
}

/// Sessions that may live for a while yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortened {
    /// How long, from the order on.
    pub to: Duration,
    /// Scopes to join into (`*` or a downstream).
    pub scopes: Vec<String>,
    pub downstreams: Vec<String>,
}

impl Ordered {
    /// Whether cutoffs are joined now.
    pub(crate) fn joins_at_once(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// Whether anything of it is to be done now.
    pub(crate) fn acts_at_once(&self) -> bool {
        self.joins_at_once() || !self.errands.is_empty()
    }

    /// Everything ordered anywhere to be done now, without repetition.
    pub(crate) fn actions(&self) -> BTreeSet<Action> {
        let cutoffs = self.scopes.iter().flat_map(|(_, actions)| actions.iter().copied());
        cutoffs.chain(self.errands.iter().map(|(_, action)| *action)).collect()
    }

    /// Everywhere that something of it is owed now.
    pub(crate) fn places(&self) -> BTreeSet<&str> {
        let errands = self.errands.iter().map(|(downstream, _)| downstream);
        self.downstreams.iter().chain(errands).map(String::as_str).collect()
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

    /// Orders what `other` orders as well.
    pub(crate) fn add(&mut self, other: &Ordered) {
        for (scope, actions) in &other.scopes {
            match self.scopes.iter_mut().find(|(here, _)| here == scope) {
                Some((_, here)) => {
                    here.extend(actions.iter().filter(|a| !here.contains(a)).copied().collect::<Vec<_>>())
                }
                None => self.scopes.push((scope.clone(), actions.clone())),
            }
        }
        unite(&mut self.downstreams, &other.downstreams);
        self.lock_for = self.lock_for.max(other.lock_for);
        unite(&mut self.errands, &other.errands);
        match (&mut self.shortened, &other.shortened) {
            (Some(this), Some(that)) => {
                this.to = this.to.min(that.to);
                unite(&mut this.scopes, &that.scopes);
                unite(&mut this.downstreams, &that.downstreams);
            }
            (none, that) => *none = none.take().or_else(|| that.clone()),
        }
    }

    /// Where a lock is ordered.
    pub(crate) fn locked_scopes(&self) -> Vec<String> {
        let locked = self.scopes.iter().filter(|(_, actions)| actions.contains(&Action::Lock));
        locked.map(|(scope, _)| scope.clone()).collect()
    }
}

fn unite<T: Clone + PartialEq>(these: &mut Vec<T>, those: &[T]) {
    let new: Vec<T> = those.iter().filter(|one| !these.contains(one)).cloned().collect();
    these.extend(new);
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
    /// Whatever brakes say.
    pub ordered: Option<Ordered>,
    /// What rules with a brake add to that.
    pub braked: Vec<Braked>,
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

    /// What ended or gave back access before the reinstatements among `events` and nobody decided yet, each once. All of it, and
    /// not only the suspension that one ends: an earlier reinstatement joins into the scopes that hold `disabled` at its own
    /// turn, which after this one none does any more.
    pub async fn undecided_before(&self, events: &[Undecided]) -> Result<Vec<Undecided>> {
        let reinstated = || events.iter().filter(|e| e.event_type == EventType::IdentityReinstated);
        let (subjects, versions): (Vec<Uuid>, Vec<i64>) = reinstated().map(|e| (e.subject, e.version)).unzip();
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let ids = sqlx::query_scalar!(
            "SELECT e.event_id FROM (SELECT subject, max(version) AS version FROM UNNEST($1::uuid[], $2::int8[]) AS d(subject, version)
                                     GROUP BY subject) r
             JOIN ledger.events e ON e.subject_id = r.subject AND e.version < r.version
             LEFT JOIN ledger.decisions d ON d.event = e.id
             WHERE d.event IS NULL
               AND e.type IN ('identity.suspended', 'identity.departed', 'identity.erased', 'identity.reinstated')
             ORDER BY e.subject_id, e.version",
            &subjects,
            &versions
        )
        .fetch_all(&self.pool)
        .await?;
        if ids.is_empty() { Ok(Vec::new()) } else { self.undecided(&ids).await }
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
        let mut tx = self.begin().await?;
        let weighed = braked::weigh(&mut tx, made).await?;
        let new = insert(&mut tx, &weighed.made).await?;
        let mut order: Vec<&Made> = weighed.made.iter().filter(|m| new.contains(&m.event.id)).collect();
        // A subject's own events by version.
        order.sort_by_key(|m| (m.event.subject, m.event.version));
        let mut written = Written { published: self.publishes(), ..Written::default() };
        let joining = order.iter().filter(|m| m.joins()).map(|m| (m.event.subject, m.event.kind)).collect();
        let mut joins = Joins::of(&mut tx, &joining).await?;
        let mut locks = Vec::new();
        for decision in &order {
            take_effect(&mut tx, decision, &mut joins).await?;
            if let Some(revocation) = decision.revocation()
                && let Some(lock) = joins.scopes(revocation.subject).and_then(|s| locks::of(&revocation, s))
            {
                locks.push((revocation, lock));
            }
        }
        let orders: Vec<(Revocation<'_>, i64)> =
            order.iter().filter_map(|m| Some((m.order()?, m.generation()))).collect();
        let at_once = || orders.iter().map(|(order, _)| order).filter(|order| order.ordered.acts_at_once());
        revocations::insert(&mut tx, at_once(), &mut written).await?;
        errands::begin(&mut tx, at_once()).await?;
        written.subjects.extend(joining.into_keys());
        joins.write(&mut tx, written.published).await?;
        for (revocation, lock) in &locks {
            locks::begin(&mut tx, revocation, lock, &mut written).await?;
        }
        shortenings::begin(&mut tx, &orders).await?;
        weighed.hold(&mut tx).await?;
        self.tell(&mut tx, &written).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        Ok(new.len())
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
        if !revocations::insert(&mut tx, [&revocation], &mut written).await?.is_empty() {
            errands::begin(&mut tx, [&revocation]).await?;
            written.subjects.insert(subject);
            let mut joins = Joins::of(&mut tx, &BTreeMap::from([(subject, kind)])).await?;
            let demands = ordered.demands(at, None, 0);
            let lock = locks::of(&revocation, joins.join(subject, |_| demands, Some(revocation.waiting())));
            joins.write(&mut tx, written.published).await?;
            if let Some(lock) = lock {
                locks::begin(&mut tx, &revocation, &lock, &mut written).await?;
            }
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

/// Writes the decisions that are new. Returns their events.
async fn insert(tx: &mut PgConnection, made: &[Made]) -> Result<HashSet<i64>> {
    let events: Vec<i64> = made.iter().map(|m| m.event.id).collect();
    let digests: Vec<String> = made.iter().map(|m| m.policy_digest.clone()).collect();
    let rules: Vec<Value> = made.iter().map(|m| json!(m.rules)).collect();
    let actions: Vec<Value> = made.iter().map(|m| m.actions.clone()).collect();
    let contexts: Vec<String> = made.iter().map(|m| m.context_digest.clone()).collect();
    let notes: Vec<Option<String>> = made.iter().map(|m| m.note.clone()).collect();
    let published: Vec<DateTime<Utc>> = made.iter().map(|m| m.published_at).collect();
    let new = sqlx::query_scalar!(
        "INSERT INTO ledger.decisions (event, policy_digest, rules, actions, context_digest, note, published_at)
         SELECT event, digest, ARRAY(SELECT jsonb_array_elements_text(rules)), actions, context, note, published
         FROM UNNEST($1::int8[], $2::text[], $3::jsonb[], $4::jsonb[], $5::text[], $6::text[], $7::timestamptz[])
             AS d(event, digest, rules, actions, context, note, published)
         ORDER BY event ON CONFLICT (event) DO NOTHING RETURNING event",
        &events,
        &digests,
        &rules,
        &actions,
        &contexts,
        &notes as &[Option<String>],
        &published
    )
    .fetch_all(tx)
    .await?;
    Ok(new.into_iter().collect())
}

impl Made {
    /// Whether it has an effect on the subject's cutoffs.
    fn joins(&self) -> bool {
        let built_in = [EventType::IdentityReinstated, EventType::IdentityMerged];
        self.revocation().is_some() || built_in.contains(&self.event.event_type)
    }

    fn generation(&self) -> i64 {
        self.event.context.identity.as_ref().map_or(0, |i| i.generation)
    }

    /// What it orders, if cutoffs are joined by that at once.
    fn revocation(&self) -> Option<Revocation<'_>> {
        self.order().filter(|order| order.ordered.joins_at_once())
    }

    /// What it orders, under the event's own id and instant.
    fn order(&self) -> Option<Revocation<'_>> {
        let event = &self.event;
        Some(Revocation {
            id: event.event_id,
            subject: event.subject,
            kind: SubjectKind::Identity,
            event: Some(event.id),
            class: event.class,
            at: event.recorded_at,
            ordered: self.ordered.as_ref()?,
            reason: None,
            by: None,
            trace: event.trace.as_deref(),
        })
    }
}

/// Joins what a new decision demands into the cutoffs of its subject.
async fn take_effect<'a>(tx: &mut PgConnection, made: &'a Made, joins: &mut Joins<'a>) -> Result<()> {
    let (event, generation) = (&made.event, made.generation());
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
        let everywhere = |scopes: &BTreeMap<String, Cutoff>| {
            scopes.iter().filter(|(_, c)| c.disabled()).map(|(s, c)| (s.clone(), reinstated(c))).collect()
        };
        joins.join(event.subject, everywhere, None);
    }
    if event.event_type == EventType::IdentityMerged {
        let inherited = inherited(tx, event, joins).await?;
        joins.join(event.subject, |_| inherited, None);
    }
    if let (Some(ordered), Some(revocation)) = (&made.ordered, made.revocation()) {
        let state = event.event_type.ends_access().then_some(StateMark { version: event.version, disabled: true });
        let demands = ordered.demands(event.recorded_at, state, generation);
        joins.join(event.subject, |now| locks::no_shorter(demands, now), Some(revocation.waiting()));
    }
    Ok(())
}

/// After a merge the survivor joins the merged identity's instants; its `state` comes from its own events.
async fn inherited(tx: &mut PgConnection, event: &Undecided, joins: &Joins<'_>) -> Result<Vec<(String, Cutoff)>> {
    let Some(merged) = event.data.get("merged").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok()) else {
        return Ok(Vec::new());
    };
    let scopes = match joins.scopes(merged) {
        Some(scopes) => scopes.clone(),
        None => cutoffs::of(tx, merged).await?,
    };
    Ok(scopes.into_iter().map(|(scope, cutoff)| (scope, Cutoff { state: None, ..cutoff })).collect())
}
