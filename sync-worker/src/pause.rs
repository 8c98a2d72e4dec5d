//! A person stops a source from being read, or lets it be read again.

use directory::{Pause, Request, RequestKind, instant};
use serde_json::{Value, json};

use crate::SyncWorker;

impl SyncWorker {
    /// Carries out a request to pause or resume a source. It waits for nobody: a run that is under way is cut off.
    pub(crate) async fn pause_or_resume(&self, request: &Request) -> directory::Result<()> {
        let source = request.payload["source"].as_str().unwrap_or_default();
        let result = if self.pulled.contains_key(source) {
            Ok(self.halt(source, request).await?)
        } else if self.pushed.contains_key(source) {
            // What it said meanwhile would be lost, and a leaver with it.
            Err(format!("{source} pushes its changes, so there is nothing to pause; to shut it out, revoke its token"))
        } else {
            Err(format!("no source is called {source}"))
        };
        match result {
            Ok(done) => self.directory.finish_request(request.id, true, &done).await,
            Err(why) => self.directory.finish_request(request.id, false, &json!({"error": why})).await,
        }
    }

    async fn halt(&self, source: &str, request: &Request) -> directory::Result<Value> {
        let by = request.asked_by.as_str();
        if request.kind == RequestKind::Pause.as_str() {
            self.directory.pause(source, by, request.payload["reason"].as_str()).await?;
            tracing::warn!(source.name = source, by, "a source is paused: who leaves there is not noticed");
        } else if self.directory.resume(source).await? {
            tracing::info!(source.name = source, by, "a source is read again");
        }
        Ok(json!({"source": source, "paused": self.directory.paused(source).await?}))
    }
}

/// Why a paused source is not read although somebody asked for it.
pub(crate) fn refusal(source: &str, pause: &Pause) -> String {
    let (since, by) = (instant::text(&pause.since), &pause.by);
    let reason = pause.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!(
        "{source} has been paused since {since} by {by}{reason}; `leaver source resume {source}` lets it be read again"
    )
}
