//! Held plans, and approving exactly one of them.

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

pub(crate) async fn approve(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let plans = console.directory.plans(false).await?;
    let plan = plans.iter().find(|p| p.id == id).ok_or_else(|| {
        Problem::new(404, format!("no plan has the id {id}")).help("leaver plan list --held shows what waits")
    })?;
    if plan.state != "held" {
        return Err(Problem::new(409, format!("plan {id} is {}; only a held plan can be approved", plan.state)));
    }
    let request = console.directory.ask(RequestKind::Approve, &json!({"plan": id}), &by).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"request": request}))))
}
