//! Sources, and requests to read them.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use directory::RequestKind;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

type Accepted = Result<(StatusCode, Json<Value>), Problem>;

pub(crate) async fn sources(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": console.directory.source_statuses().await?})))
}

pub(crate) async fn sync(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(name): Path<String>,
) -> Accepted {
    console.ask_source(RequestKind::Sync, &name, None, &by).await
}

pub(crate) async fn plan(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(name): Path<String>,
) -> Accepted {
    console.ask_source(RequestKind::Plan, &name, None, &by).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseBody {
    /// For whoever asks why it is not read.
    #[serde(default)]
    reason: Option<String>,
}

pub(crate) async fn pause(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(name): Path<String>,
    Json(PauseBody { reason }): Json<PauseBody>,
) -> Accepted {
    console.ask_source(RequestKind::Pause, &name, reason, &by).await
}

pub(crate) async fn resume(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(name): Path<String>,
) -> Accepted {
    console.ask_source(RequestKind::Resume, &name, None, &by).await
}

impl Console {
    async fn ask_source(&self, kind: RequestKind, name: &str, reason: Option<String>, by: &str) -> Accepted {
        if self.directory.source(name).await?.is_none() {
            return Err(Problem::new(404, format!("no source is called {name}")).help("leaver source list shows them"));
        }
        let request = self.directory.ask(kind, &json!({"source": name, "reason": reason}), by).await?;
        Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
    }
}

#[derive(Deserialize)]
pub(crate) struct WaitQuery {
    #[serde(default, with = "humantime_serde")]
    timeout: Option<Duration>,
}

/// A request, once it is done or `timeout` has passed.
pub(crate) async fn read(
    State(console): State<Console>,
    Path(id): Path<Uuid>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<Value>, Problem> {
    let deadline = tokio::time::Instant::now() + query.timeout.unwrap_or_default().min(Duration::from_secs(60));
    let mut bell = console.directory.wake.progress.listen();
    loop {
        let request = console.directory.request(id).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if request.state != "new" || left.is_zero() {
            return Ok(Json(json!({"id": id, "kind": request.kind, "state": request.state, "result": request.result})));
        }
        bell.heard_or(left.min(Duration::from_millis(250))).await;
    }
}
