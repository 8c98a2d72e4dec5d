//! The ledger's events, page by page in commit order.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use chrono::{DateTime, Utc};
use directory::EventFilter;
use lifecycle::EventType;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, problem::Problem};

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    after: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    subject: Option<Uuid>,
    since: Option<DateTime<Utc>>,
    limit: Option<i64>,
    /// How long to wait for a first event.
    #[serde(default, with = "humantime_serde")]
    wait: Option<Duration>,
}

pub(crate) async fn list(
    State(console): State<Console>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    if let Some(unknown) = query.event_type.as_deref().filter(|t| EventType::parse(t).is_none()) {
        let known: Vec<&str> = EventType::ALL.iter().map(|t| t.as_str()).collect();
        return Err(Problem::new(400, format!("{unknown} is no event type; known: {}", known.join(", "))));
    }
    let deadline = tokio::time::Instant::now() + query.wait.unwrap_or_default().min(Duration::from_secs(60));
    let filter = EventFilter {
        after: query.after,
        event_type: query.event_type,
        subject: query.subject,
        since: query.since,
        limit: query.limit.unwrap_or(100).clamp(1, 1_000),
    };
    let mut bell = console.directory.wake.pending.listen();
    loop {
        let page = console.directory.events(&filter).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if page.items.is_empty() && !left.is_zero() {
            bell.heard_or(left.min(Duration::from_millis(200))).await;
            continue;
        }
        let items: Vec<Value> = page.items.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
        return Ok(Json(match page.next {
            Some(next) => json!({"items": items, "next": next}),
            None => json!({"items": items}),
        }));
    }
}
