//! What is still owed, and trying it again at once.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use directory::{OwedRow, RequestKind};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    state: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

pub(crate) async fn list(
    State(console): State<Console>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let stuck = match query.state.as_deref() {
        None | Some("owed") => false,
        Some("stuck") => true,
        Some(state) => {
            return Err(Problem::new(400, format!("{state} is no state of what is owed; known: owed, stuck")));
        }
    };
    let after = query.after.as_deref().map(position).transpose()?;
    let limit = query.limit.unwrap_or(100).clamp(1, 1_000);
    let items = console.directory.owed_rows(stuck, after, limit).await?;
    let full = i64::try_from(items.len()).is_ok_and(|n| n == limit);
    let next = items.last().filter(|_| full).map(|last| format!("{}_{}", last.since.timestamp_micros(), last.id));
    Ok(Json(match next {
        Some(next) => json!({"items": items, "next": next}),
        None => json!({"items": items}),
    }))
}

/// Where a page ended, as its `next` says.
fn position(text: &str) -> Result<(DateTime<Utc>, Uuid), Problem> {
    let read = || {
        let (at, id) = text.split_once('_')?;
        Some((DateTime::from_timestamp_micros(at.parse().ok()?)?, id.parse().ok()?))
    };
    read().ok_or_else(|| Problem::new(400, "after is the next of the page before, as it was given"))
}

pub(crate) async fn show(State(console): State<Console>, Path(id): Path<Uuid>) -> Result<Json<OwedRow>, Problem> {
    Ok(Json(console.owed(id).await?))
}

pub(crate) async fn retry(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let OwedRow { subject, downstream, .. } = console.owed(id).await?;
    if !console.downstreams.contains(&downstream) {
        return Err(Problem::new(409, format!("no downstream is called {downstream} any more, so nobody can try it"))
            .help("configure it again under its name"));
    }
    let payload = json!({"subject": subject, "downstream": downstream});
    let request = console.directory.ask(RequestKind::RetryOwed, &payload, &by).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
}

impl Console {
    async fn owed(&self, id: Uuid) -> Result<OwedRow, Problem> {
        let found = self.directory.owed_row(id).await?;
        found.ok_or_else(|| {
            Problem::new(404, format!("nothing is owed under the id {id}")).help("leaver owed list shows what is")
        })
    }
}
