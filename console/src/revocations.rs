//! Revocations by hand: accepted once durable, then followed until a downstream has answered.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use directory::{RequestKind, RevocationRow};
use lifecycle::Action;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    who: String,
    reason: String,
    #[serde(default)]
    downstreams: Option<Vec<String>>,
    /// Only say what would end where.
    #[serde(default)]
    dry_run: bool,
}

/// What a revocation by hand orders.
const ACTIONS: [Action; 2] = [Action::RevokeSessions, Action::RevokeRefresh];

pub(crate) async fn create(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    headers: HeaderMap,
    wish: Result<Json<Wish>, axum::extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(wish) = wish.map_err(|e| Problem::new(400, e.body_text()))?;
    if wish.reason.trim().is_empty() {
        return Err(Problem::new(400, "a reason is required"));
    }
    if let Some(unknown) = wish.downstreams.iter().flatten().find(|d| !console.downstreams.contains(d)) {
        return Err(Problem::new(
            400,
            format!("no downstream is called {unknown}; known: {}", console.downstreams.join(", ")),
        ));
    }
    let subject = console.one(&wish.who, false).await?;
    if wish.dry_run {
        let payload = json!({"subject": subject, "downstreams": wish.downstreams, "would": ACTIONS});
        return Ok((StatusCode::OK, Json(console.look(subject, &payload, &by, None).await?)));
    }
    let (span, trace) = crate::trace::begin(&headers, "revoke by hand");
    let payload = json!({
        "subject": subject, "reason": wish.reason, "downstreams": wish.downstreams, "traceparent": trace,
    });
    let id = console.directory.ask(RequestKind::Revoke, &payload, &by).instrument(span).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id, "identity": subject}))))
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
