//! Looking at somebody's sessions, and at what a revocation would end of them: a revoker looks, and ends nothing.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, Query, State};
use directory::RequestKind;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Administrator;
use crate::{Console, problem::Problem};

/// Longer than a revoker gives each downstream.
const PATIENCE: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
pub(crate) struct WaitQuery {
    #[serde(default, with = "humantime_serde")]
    timeout: Option<Duration>,
}

/// The live sessions of an identity, by downstream.
pub(crate) async fn sessions(
    State(console): State<Console>,
    Extension(Administrator(by)): Extension<Administrator>,
    Path(who): Path<String>,
    Query(WaitQuery { timeout }): Query<WaitQuery>,
) -> Result<Json<Value>, Problem> {
    let subject = console.one(&who, true).await?;
    Ok(Json(console.look(subject, &json!({"subject": subject}), &by, timeout).await?))
}

impl Console {
    /// Asks for a look and waits for what was seen.
    pub(crate) async fn look(
        &self,
        subject: Uuid,
        payload: &Value,
        by: &str,
        timeout: Option<Duration>,
    ) -> Result<Value, Problem> {
        let request = self.directory.ask(RequestKind::Look, payload, by).await?;
        let timeout = timeout.unwrap_or(PATIENCE).min(LONGEST);
        let deadline = tokio::time::Instant::now() + timeout;
        let mut bell = self.directory.wake.progress.listen();
        loop {
            if let Some(mut answer) = self.directory.look(request).await? {
                // A stranger is none; whoever asked says what else there is to say.
                if let Some(identity) = self.directory.identities_by_id(&[subject]).await?.pop() {
                    answer["identity"] = json!(subject);
                    answer["kind"] = json!(identity.kind);
                    answer["state"] = json!(identity.state);
                    answer["userName"] = json!(identity.user_name);
                }
                return Ok(answer);
            }
            let row = self.directory.request(request).await?;
            if row.state == "failed" {
                let why = row.result.as_ref().and_then(|result| result["error"].as_str()).unwrap_or("the look failed");
                return Err(Problem::new(500, why).help("ask again"));
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                let within = timeout.as_secs_f64();
                return Err(Problem::new(504, format!("no revoker has looked within {within}s"))
                    .help("see whether one runs, and ask again"));
            }
            bell.heard_or(left.min(Duration::from_millis(250))).await;
        }
    }
}
