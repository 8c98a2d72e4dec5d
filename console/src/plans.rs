//! Held plans: what they would do, and answers to exactly one of them.

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use directory::{PlanRow, RequestKind};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

type Accepted = Result<(StatusCode, Json<Value>), Problem>;

/// Rows of a plan in one answer, at most.
const LIMIT: u32 = 1_000;
/// A shorter beginning of an id could soon name several.
const SHORTEST: usize = 8;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    state: Option<String>,
}

pub(crate) async fn list(
    State(console): State<Console>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let held = query.state.as_deref() == Some("held");
    Ok(Json(json!({"items": console.directory.plans(held).await?})))
}

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    #[serde(default)]
    after: u32,
    limit: Option<u32>,
}

/// A plan and some of its rows; `after` is the `next` of the answer before.
pub(crate) async fn show(
    State(console): State<Console>,
    Path(id): Path<String>,
    Query(PageQuery { after, limit }): Query<PageQuery>,
) -> Result<Json<Value>, Problem> {
    let plan = console.plan(&id).await?;
    let (items, rows) = console.directory.plan_items(plan.id, after, limit.unwrap_or(50).clamp(1, LIMIT)).await?;
    let shown = u64::from(after) + items.len() as u64;
    let mut body = json!({"plan": plan, "rows": rows, "items": items});
    if shown < rows {
        body["next"] = json!(shown);
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    reason: String,
}

pub(crate) async fn reject(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
    body: Result<Json<Rejection>, JsonRejection>,
) -> Accepted {
    let Json(Rejection { reason }) = body.map_err(|e| Problem::new(400, e.body_text()))?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Problem::new(400, "a reason is missing").help("say why; it is kept with the plan"));
    }
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
