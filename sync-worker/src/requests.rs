//! Requests that belong to no one source's loop: what people answer to plans, and wishes that no source here can fulfil.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use directory::{Burst, Cause, Request, RequestKind};
use lifecycle::Class;
use lifecycle::brake::Reason;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::alone::of_source;
use crate::receive::{self, Retried};
use crate::{Pushed, SyncWorker};

const POLL: Duration = Duration::from_secs(1);
/// The lease of whoever carries out what people answer to plans: a second worker would find the plan half applied.
const ANSWERS: &str = "approvals";
/// The same for what is carried out again: twice at once, each would overtake the other.
const RETRIES: &str = "retries";
/// A burst goes on after its first deactivation was held. Within so long, or a window of it if that is shorter, the rest waits
/// for one plan, so that people are not alarmed by each push and do not judge a plan that is another one a second later.
const GATHER: Duration = Duration::from_secs(60);
/// How often is looked for refused requests and rehearsals that have been kept long enough.
const FORGET: Duration = Duration::from_secs(600);

impl SyncWorker {
    /// Takes requests until `stop`.
    pub async fn serve_requests(self: &Arc<Self>, stop: CancellationToken) {
        const KINDS: [RequestKind; 7] = [
            RequestKind::Approve,
            RequestKind::Reject,
            RequestKind::Retry,
            RequestKind::Sync,
            RequestKind::Plan,
            RequestKind::Pause,
            RequestKind::Resume,
        ];
        let mut bell = self.directory.wake.requests.listen();
        let mut forgotten = Instant::now();
        while !stop.is_cancelled() {
            match self.directory.open_requests(&KINDS).await {
                Ok(requests) => {
                    for request in requests {
                        if let Err(error) = self.carry_out(&request).await {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "a request could not be carried out; trying again"
                            );
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again")
                }
            }
            if forgotten.elapsed() >= FORGET {
                forgotten = Instant::now();
                if let Err(error) = self.forget().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what is kept only for a while could not be erased; trying again"
                    );
                }
            }
            for source in self.pushed.values() {
                if let Err(error) = self.hold_bursts(source).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        source.name = source.name,
                        "what a burst left waiting could not be planned; trying again"
                    );
                }
            }
            if let Err(error) = self.watch_plans().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "held plans could not be looked at; trying again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn forget(&self) -> directory::Result<()> {
        self.directory.forget_old_refused().await?;
        self.directory.forget_rehearsals().await
    }

    /// Puts deactivations that came beyond the burst of a pushing source into a held plan, where people see them.
    async fn hold_bursts(&self, source: &Pushed) -> directory::Result<()> {
        if self.directory.unplanned(&source.name).await? == 0 {
            return Ok(());
        }
        self.alone(&of_source(&source.name), self.hold_burst(source)).await.unwrap_or(Ok(()))
    }

    async fn hold_burst(&self, source: &Pushed) -> directory::Result<()> {
        let Burst { count, window } = source.burst;
        let gathers = self.directory.held_within(&source.name, window.min(GATHER)).await?;
        if gathers || self.directory.unplanned(&source.name).await? == 0 {
            return Ok(());
        }
        let counts = self.directory.waiting_counts(&source.name).await?;
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let reason = Reason::Burst { count, window_ms, waiting: counts.dangerous() };
        let cause = Cause {
            source: Some(source.name.clone()),
            class: Class::of_plan(usize::try_from(counts.dangerous()).unwrap_or(usize::MAX)),
            effective_at: None,
            received_at: Some(Utc::now()),
            trace: None,
            via: "SCIM",
        };
        let held = self.directory.hold(&cause, None, &counts, std::slice::from_ref(&reason), 0, "").await?;
        if held.new {
            self.metrics.held(&source.name);
            tracing::warn!(source.name = source.name, plan.id = %held.plan, reasons = %reason, "a plan is held for a person");
        }
        self.directory.note_held(&source.name).await
    }

    async fn carry_out(self: &Arc<Self>, request: &Request) -> directory::Result<()> {
        let answers = [RequestKind::Approve, RequestKind::Reject].map(RequestKind::as_str);
        if answers.contains(&request.kind.as_str()) {
            let Some(plan) = request.payload["plan"].as_str().and_then(|id| id.parse().ok()) else {
                return self
                    .directory
                    .finish_request(request.id, false, &json!({"error": "the request names no plan"}))
                    .await;
            };
            return self.alone(ANSWERS, self.answer_plan(request, plan)).await.unwrap_or(Ok(()));
        }
        if [RequestKind::Pause.as_str(), RequestKind::Resume.as_str()].contains(&request.kind.as_str()) {
            return self.pause_or_resume(request).await;
        }
        if request.kind == RequestKind::Retry.as_str() {
            return self.alone(RETRIES, self.retry(request)).await.unwrap_or(Ok(()));
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

    /// Carries out again what a source sent and was refused.
    async fn retry(self: &Arc<Self>, request: &Request) -> directory::Result<()> {
        // Before the lease was ours, another worker may have done it.
        if self.directory.request(request.id).await?.state != request.state {
            return Ok(());
        }
        let id = request.payload["parked"].as_str().and_then(|id| id.parse().ok());
        let record = match id {
            Some(id) => self.directory.parked_record(id).await?,
            None => None,
        };
        let Some(record) = record.filter(|record| self.pushed.contains_key(&record.source)) else {
            let why = json!({"error": "no source that pushes has such a record any more"});
            return self.directory.finish_request(request.id, false, &why).await;
        };
        let Retried { done, error } = receive::retry(self, &record.source, record.id).await?;
        let result = match &error {
            None => json!({"source": record.source, "carried_out": done}),
            Some(error) => json!({"source": record.source, "carried_out": done, "error": error}),
        };
        self.directory.finish_request(request.id, error.is_none(), &result).await
    }

    async fn answer_plan(&self, request: &Request, plan: Uuid) -> directory::Result<()> {
        // Before the lease was ours, another worker may have done it.
        if self.directory.request(request.id).await?.state != request.state {
            return Ok(());
        }
        let by = request.asked_by.as_str();
        let answered = if request.kind == RequestKind::Reject.as_str() {
            let reason = request.payload["reason"].as_str().unwrap_or_default();
            self.directory.reject(plan, by, reason).await.map(|rejection| json!(rejection))
        } else {
            self.directory.approve(plan, by, self.mass).await.map(|verdict| json!(verdict))
        };
        match answered {
            Ok(result) => self.directory.finish_request(request.id, true, &result).await,
            Err(directory::Error::Refused(why)) => {
                self.directory.finish_request(request.id, false, &json!({"error": why})).await
            }
            Err(error) => Err(error),
        }
    }
}
