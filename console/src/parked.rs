//! What nobody could understand, and carrying it out again.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use directory::{ParkedRow, RequestKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

pub(crate) async fn list(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": console.directory.parked().await?})))
}

pub(crate) async fn retry(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let record = console.directory.parked_record(id).await?.ok_or_else(|| {
        Problem::new(404, format!("no parked record has the id {id}")).help("leaver parked list shows them")
    })?;
    if let Some(problem) = why_not(&record) {
        return Err(problem);
    }
    let request = console.directory.ask(RequestKind::Retry, &json!({"parked": id}), &by).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
}

fn why_not(record: &ParkedRow) -> Option<Problem> {
    if record.resolved {
        return Some(Problem::new(409, format!("{} was carried out already", record.id)));
    }
    if record.kept > 0 {
        return None;
    }
    let source = &record.source;
    Some(match record.kind.as_deref() {
        Some("scim") => Problem::new(409, format!("nothing that could be carried out again is kept of {}", record.id))
            .help("let the source send it again; requests are kept for seven days, if they are JSON"),
        Some(_) => Problem::new(409, format!("{source} is read, so there is nothing to send again"))
            .help("mend what it says; the next run reads it again"),
        None => Problem::new(409, format!("what {source} brought cannot be carried out again"))
            .help("the reason says what to do"),
    })
}
