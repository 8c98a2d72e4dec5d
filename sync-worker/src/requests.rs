//! Requests that belong to no one source's loop: approvals, and wishes that no source here can fulfil.

use std::time::Duration;

use directory::{Request, RequestKind};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::SyncWorker;

const POLL: Duration = Duration::from_secs(1);

impl SyncWorker {
    /// Takes requests until `stop`.
    pub async fn serve_requests(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.requests.listen();
        while !stop.is_cancelled() {
            match self.directory.open_requests(&[RequestKind::Approve, RequestKind::Sync, RequestKind::Plan]).await {
                Ok(requests) => {
                    for request in requests {
                        if let Err(error) = self.carry_out(&request).await {
                            tracing::warn!(error = &error as &dyn std::error::Error, "a request could not be carried out; trying again");
                        }
                    }
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn carry_out(&self, request: &Request) -> directory::Result<()> {
        if request.kind == RequestKind::Approve.as_str() {
            let Some(plan) = request.payload["plan"].as_str().and_then(|id| id.parse().ok()) else {
                return self.directory.finish_request(request.id, false, &json!({"error": "the request names no plan"})).await;
            };
            return match self.directory.approve(plan, &request.asked_by).await {
                Ok(verdict) => self.directory.finish_request(request.id, true, &json!(verdict)).await,
                Err(directory::Error::Refused(why)) => {
                    self.directory.finish_request(request.id, false, &json!({"error": why})).await
                }
                Err(error) => Err(error),
            };
        }
        let source = request.payload["source"].as_str().unwrap_or_default();
        if self.pulled.contains_key(source) {
            return Ok(());
        }
        let why = if self.pushed.contains_key(source) {
            format!("{source} pushes its changes; there is nothing to read")
        } else {
            format!("no source is called {source}")
        };
        self.directory.finish_request(request.id, false, &json!({"error": why})).await
    }
}
