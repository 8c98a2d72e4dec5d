//! Whether the ledger holds together, and what is still owed.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::{Console, problem::Problem};

/// Findings per rule; one is enough to look, more help to see a pattern.
const LIMIT: i64 = 20;

pub(crate) async fn check(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    let findings = console.directory.check_ledger(LIMIT).await?;
    let owed: serde_json::Map<String, Value> = console
        .directory
        .owed()
        .await?
        .into_iter()
        .map(|(name, (owed, stuck))| (name, json!({"owed": owed, "stuck": stuck})))
        .collect();
    let pending: i64 = console.directory.pending_depth().await?.into_iter().map(|depth| depth.events).sum();
    Ok(Json(json!({"findings": findings, "owed": owed, "pending": pending})))
}
