//! Who is known, and what became of them.

use axum::Json;
use axum::extract::{Path, Query, State};
use directory::Resolved;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, problem::Problem};

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    after: Option<Uuid>,
    limit: Option<i64>,
}

pub(crate) async fn list(
    State(console): State<Console>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let limit = query.limit.unwrap_or(100).clamp(1, 1_000);
    let items = console.directory.identities(query.q.as_deref(), query.after, limit).await?;
    let full = i64::try_from(items.len()).is_ok_and(|n| n == limit);
    let next = items.last().filter(|_| full).map(|last| last.id);
    Ok(Json(match next {
        Some(next) => json!({"items": items, "next": next}),
        None => json!({"items": items}),
    }))
}

pub(crate) async fn show(State(console): State<Console>, Path(who): Path<String>) -> Result<Json<Value>, Problem> {
    let id = console.one(&who, true).await?;
    let detail = console.directory.identity_detail(id).await?.ok_or_else(|| nobody(&who))?;
    Ok(Json(json!(detail)))
}

pub(crate) async fn trace(State(console): State<Console>, Path(who): Path<String>) -> Result<Json<Value>, Problem> {
    let id = console.one(&who, true).await?;
    Ok(Json(json!({"identity": id, "hops": console.directory.trace(id).await?})))
}

impl Console {
    /// The one identity that WHO names. `prefix`: at least eight leading characters of an id will do.
    pub(crate) async fn one(&self, who: &str, prefix: bool) -> Result<Uuid, Problem> {
        match self.directory.resolve(who, prefix).await? {
            Resolved::One(id) => Ok(id),
            Resolved::Nobody => Err(nobody(who)),
            Resolved::Several(matches) => Err(Problem::several(who, json!(matches))),
        }
    }
}

fn nobody(who: &str) -> Problem {
    Problem::new(404, format!("nobody is called {who}")).help("leaver identity list --query shows who is known")
}
