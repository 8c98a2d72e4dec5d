//! Holds: orders that wait for a person, and answers to exactly one of them.

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use directory::{HoldRow, RequestKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::waiting::{ListQuery, PageQuery, Rejection, SHORTEST};
use crate::{Console, problem::Problem};

type Accepted = Result<(StatusCode, Json<Value>), Problem>;

pub(crate) async fn list(
    State(console): State<Console>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": console.directory.holds(query.held()).await?})))
}

/// A hold, how far it is, and some of its rows; `after` is the `next` of the answer before.
pub(crate) async fn show(
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    // Asked first: the hold is written with the end of the request, so that one of the two is always seen.
    let asked = match id.parse::<Uuid>() {
        Ok(id) if console.is_asked(id).await? => Some(id),
        _ => None,
    };
    let hold = match (console.hold(&id).await, asked) {
        (Ok(hold), _) => hold,
        (Err(unknown), Some(id)) if unknown.is_not_found() => return Ok(Json(json!({"asked": id}))),
        (Err(problem), _) => return Err(problem),
    };
    let items = console.directory.held_rows(hold.id, page.after, page.limit()).await?;
    let progress = console.directory.hold_progress(hold.id).await?;
    let mut body = json!({"hold": hold, "progress": progress, "items": items});
    if let Some(next) = page.next(items.len(), hold.rows.unsigned_abs()) {
        body["next"] = json!(next);
    }
    Ok(Json(body))
}

pub(crate) async fn approve(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Accepted {
    console.answer_hold(RequestKind::ApproveHold, id, json!({"hold": id}), &by, "approved").await
}

pub(crate) async fn reject(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
    body: Result<Json<Rejection>, JsonRejection>,
) -> Accepted {
    let Json(rejection) = body.map_err(|e| Problem::new(400, e.body_text()))?;
    let reason = rejection.why()?;
    console.answer_hold(RequestKind::RejectHold, id, json!({"hold": id, "reason": reason}), &by, "rejected").await
}

impl Console {
    async fn answer_hold(&self, kind: RequestKind, id: Uuid, payload: Value, by: &str, done: &str) -> Accepted {
        let hold = self.hold(&id.to_string()).await?;
        if hold.state != "held" {
            return Err(Problem::new(409, format!("hold {id} is {}; only a held one can be {done}", hold.state)));
        }
        let request = self.directory.ask(kind, &payload, by).await?;
        Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
    }

    async fn is_asked(&self, id: Uuid) -> Result<bool, Problem> {
        match self.directory.request(id).await {
            Ok(request) => Ok(request.kind == RequestKind::RevokeGroup.as_str() && request.state == "new"),
            Err(directory::Error::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The hold whose id begins with this, if it is the only one.
    async fn hold(&self, id: &str) -> Result<HoldRow, Problem> {
        let help = "leaver hold list shows the ids";
        if id.len() < SHORTEST {
            return Err(Problem::new(400, format!("of an id give at least {SHORTEST} characters")).help(help));
        }
        let mut found = self.directory.holds_by_id(&id.to_lowercase()).await?;
        match (found.pop(), found.is_empty()) {
            (Some(hold), true) => Ok(hold),
            (None, _) => Err(Problem::new(404, format!("no hold has the id {id}")).help(help)),
            (Some(_), false) => Err(Problem::new(409, format!("{id} begins the ids of several holds")).help(help)),
        }
    }
}
