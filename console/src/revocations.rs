//! Revocations and locks by hand: accepted once durable, then followed until a downstream has answered.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use directory::{RequestKind, RevocationRow};
use lifecycle::Action;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;
use uuid::Uuid;

use crate::auth::Administrator;
use crate::whom::Named;
use crate::{Console, problem::Problem};

type Accepted = Result<(StatusCode, Json<Value>), Problem>;

/// Longer, and it is a suspension, which sources say.
const LONGEST_LOCK: Duration = Duration::from_secs(365 * 86_400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default)]
    pub(crate) who: Option<String>,
    /// Instead of `who`: what the one downstream calls somebody whom no source knows.
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// Instead of both: everybody who is in this group now.
    #[serde(default)]
    pub(crate) group: Option<String>,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) downstreams: Option<Vec<String>>,
    /// For so long every session is dead as well, also one that begins later.
    #[serde(default, with = "humantime_serde")]
    pub(crate) lock_for: Option<Duration>,
    /// What somebody signs in with elsewhere, such as API keys, is revoked as well.
    #[serde(default)]
    pub(crate) credentials: bool,
    /// Only say what would end where.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

impl Wish {
    /// What is done.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = vec![Action::RevokeSessions, Action::RevokeRefresh];
        actions.extend(self.lock_for.map(|_| Action::Lock));
        actions.extend(self.credentials.then_some(Action::RevokeCredentials));
        actions
    }
}

pub(crate) async fn create(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    headers: HeaderMap,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Accepted {
    let Json(wish) = wish.map_err(|e| Problem::new(400, e.body_text()))?;
    if let Some(group) = &wish.group {
        console.check(&wish)?;
        return console.order_group(group, &wish, &headers, &by).await;
    }
    console.order(RequestKind::Revoke, &wish, &wish.actions(), &headers, &by).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockWish {
    who: String,
    reason: String,
    #[serde(rename = "for", with = "humantime_serde")]
    lasts: Duration,
    #[serde(default)]
    downstreams: Option<Vec<String>>,
}

/// A lock is a revocation that lasts: it is followed like one.
pub(crate) async fn lock(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    headers: HeaderMap,
    wish: Result<Json<LockWish>, JsonRejection>,
) -> Accepted {
    let Json(LockWish { who, reason, lasts, downstreams }) = wish.map_err(|e| Problem::new(400, e.body_text()))?;
    let (who, lock_for) = (Some(who), Some(lasts));
    let wish =
        Wish { who, subject: None, group: None, reason, downstreams, lock_for, credentials: false, dry_run: false };
    console.order(RequestKind::Lock, &wish, &[Action::Lock], &headers, &by).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnlockWish {
    who: String,
    #[serde(default)]
    reason: Option<String>,
}

pub(crate) async fn unlock(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    wish: Result<Json<UnlockWish>, JsonRejection>,
) -> Accepted {
    let Json(UnlockWish { who, reason }) = wish.map_err(|e| Problem::new(400, e.body_text()))?;
    let subject = console.one(&who, false).await?;
    let payload = json!({"subject": subject, "reason": reason});
    let request = console.directory.ask(RequestKind::Unlock, &payload, &by).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"request": request, "identity": subject}))))
}

impl Console {
    /// What must hold of every order.
    fn check(&self, wish: &Wish) -> Result<(), Problem> {
        if wish.reason.trim().is_empty() {
            return Err(Problem::new(400, "a reason is required"));
        }
        if let Some(unknown) = wish.downstreams.iter().flatten().find(|d| !self.downstreams.contains(d)) {
            return Err(Problem::new(
                400,
                format!("no downstream is called {unknown}; known: {}", self.downstreams.join(", ")),
            ));
        }
        if wish.lock_for.is_some_and(|lasts| lasts.is_zero() || lasts > LONGEST_LOCK) {
            return Err(Problem::new(400, "a lock lasts some time, and a year at most")
                .help("whoever must be out for longer is suspended at a source"));
        }
        if wish.credentials && self.judge.able(&[Action::RevokeCredentials], wish.downstreams.as_deref()).is_empty() {
            return Err(Problem::new(400, "no downstream there can revoke credentials")
                .help("leaver check shows what each can do; a downstream of type sql can be told how"));
        }
        Ok(())
    }

    /// Stores what a person orders about somebody's sessions, or has a revoker say what `would` be done.
    async fn order(&self, kind: RequestKind, wish: &Wish, would: &[Action], headers: &HeaderMap, by: &str) -> Accepted {
        self.check(wish)?;
        let named = Named::read(wish.who.as_deref(), wish.subject.as_deref(), wish.downstreams.as_deref())?;
        if wish.subject.is_some() && wish.lock_for.is_some() {
            return Err(Problem::new(400, "nobody could unlock somebody whom no source knows")
                .help("end their sessions without lock_for"));
        }
        if wish.subject.is_some() && wish.credentials {
            return Err(Problem::new(400, "credentials are revoked of somebody whom a source knows"));
        }
        let whom = self.whom(&named).await?;
        let lock_for_ms = wish.lock_for.map(|lasts| lasts.as_millis() as u64);
        let mut payload = json!({"subject": whom.subject, "kind": whom.kind, "downstreams": wish.downstreams,
                                 "lock_for_ms": lock_for_ms, "credentials": wish.credentials});
        if wish.dry_run {
            payload["would"] = json!(would);
            let mut seen = self.look(whom.subject, &payload, by, None).await?;
            whom.tell(&mut seen);
            return Ok((StatusCode::OK, Json(seen)));
        }
        let (span, trace) =
            crate::trace::begin(headers, if kind == RequestKind::Lock { "lock" } else { "revoke by hand" });
        payload["reason"] = json!(wish.reason);
        payload["traceparent"] = json!(trace);
        let id = self.directory.ask(kind, &payload, by).instrument(span).await?;
        let mut accepted = json!({"id": id});
        whom.tell(&mut accepted);
        Ok((StatusCode::ACCEPTED, Json(accepted)))
    }
}

#[derive(Deserialize)]
pub(crate) struct WaitQuery {
    wait: Option<String>,
    #[serde(default, with = "humantime_serde")]
    timeout: Option<Duration>,
}

pub(crate) async fn read(
    State(console): State<Console>,
    Path(id): Path<Uuid>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<Value>, Problem> {
    const STATES: [&str; 3] = ["applied", "verified", "settled"];
    let wanted = match query.wait.as_deref() {
        None => None,
        Some(state) => Some(STATES.iter().position(|s| *s == state).ok_or_else(|| {
            Problem::new(400, format!("{state} is no state to wait for; known: {}", STATES.join(", ")))
        })?),
    };
    let reached = |row: &RevocationRow| {
        wanted.is_none_or(|wanted| STATES.iter().position(|s| *s == row.state).is_some_and(|at| at >= wanted))
    };
    let deadline = tokio::time::Instant::now() + query.timeout.unwrap_or_default().min(Duration::from_secs(60));
    let mut bell = console.directory.wake.progress.listen();
    loop {
        let row = console.directory.revocation(id).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        match row {
            Some(row) if reached(&row) || left.is_zero() => {
                let reached = reached(&row);
                let mut body = json!(row);
                body["reached"] = json!(reached);
                return Ok(Json(body));
            }
            None if left.is_zero() => {
                // The request is durable, but the revoker has not taken it yet; any other id is unknown.
                let request = console.directory.request(id).await.map_err(|error| match error {
                    directory::Error::Refused(_) => Problem::new(404, format!("no revocation has the id {id}")),
                    other => other.into(),
                })?;
                return Ok(Json(
                    json!({"id": id, "state": "owed", "at": directory::instant::text(&request.asked_at), "receipts": [], "reached": false}),
                ));
            }
            _ => bell.heard_or(left.min(Duration::from_millis(250))).await,
        }
    }
}
