//! Held plans: what they would do, and answers to exactly one of them.

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use directory::{PlanRow, RequestKind};
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
    Ok(Json(json!({"items": console.directory.plans(query.held()).await?})))
}

/// A plan and some of its rows; `after` is the `next` of the answer before.
pub(crate) async fn show(
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let plan = console.plan(&id).await?;
    let (items, rows) = console.directory.plan_items(plan.id, page.after, page.limit().max(1)).await?;
    let mut body = json!({"plan": plan, "rows": rows, "items": items});
    if let Some(next) = page.next(items.len(), rows) {
        body["next"] = json!(next);
    }
    Ok(Json(body))
}

pub(crate) async fn approve(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Accepted {
    console.answer(RequestKind::Approve, id, json!({"plan": id}), &by, "approved").await
}

pub(crate) async fn reject(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
    body: Result<Json<Rejection>, JsonRejection>,
) -> Accepted {
    let Json(rejection) = body.map_err(|e| Problem::new(400, e.body_text()))?;
    let reason = rejection.why()?;
    console.answer(RequestKind::Reject, id, json!({"plan": id, "reason": reason}), &by, "rejected").await
}

impl Console {
    async fn answer(&self, kind: RequestKind, id: Uuid, payload: Value, by: &str, done: &str) -> Accepted {
        let plan = self.plan(&id.to_string()).await?;
        if plan.state != "held" {
            return Err(Problem::new(409, format!("plan {id} is {}; only a held plan can be {done}", plan.state)));
        }
        let request = self.directory.ask(kind, &payload, by).await?;
        Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
    }

    /// The plan whose id begins with this, if it is the only one.
    async fn plan(&self, id: &str) -> Result<PlanRow, Problem> {
        let help = "leaver plan list shows the ids";
        if id.len() < SHORTEST {
            return Err(Problem::new(400, format!("of an id give at least {SHORTEST} characters")).help(help));
        }
        let mut found = self.directory.plans_by_id(&id.to_lowercase()).await?;
        match (found.pop(), found.is_empty()) {
            (Some(plan), true) => Ok(plan),
            (None, _) => Err(Problem::new(404, format!("no plan has the id {id}")).help(help)),
            (Some(_), false) => Err(Problem::new(409, format!("{id} begins the ids of several plans")).help(help)),
        }
    }
}
