//! Revocations by hand: request rows that the console stored become revocations with the request's id and instant.

use std::time::Duration;

use directory::{EVERYWHERE, Ordered, Request, RequestKind};
use lifecycle::Action;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Revoker;

const POLL: Duration = Duration::from_secs(1);

/// What the console writes into a request to revoke.
#[derive(Debug, Deserialize)]
struct Payload {
    subject: Uuid,
    reason: String,
    #[serde(default)]
    downstreams: Option<Vec<String>>,
}

impl Revoker {
    /// Takes requests until `stop`.
    pub async fn serve_requests(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.requests.listen();
        while !stop.is_cancelled() {
            match self.directory.open_requests(&[RequestKind::Revoke]).await {
                Ok(requests) => {
                    for request in requests {
                        if let Err(error) = self.carry_out(&request).await {
                            tracing::warn!(error = &error as &dyn std::error::Error, revocation.id = %request.id, "a revocation by hand could not be written; trying again");
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again")
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn carry_out(&self, request: &Request) -> directory::Result<()> {
        let payload: Payload = match serde_json::from_value(request.payload.clone()) {
            Ok(payload) => payload,
            Err(error) => {
                return self.directory.finish_request(request.id, false, &json!({"error": error.to_string()})).await;
            }
        };
        let wanted = payload.downstreams.as_ref();
        let actions = [Action::RevokeSessions, Action::RevokeRefresh];
        let downstreams: Vec<String> = self
            .targets
            .iter()
            .filter(|(name, target)| {
                wanted.is_none_or(|names| names.contains(name)) && actions.iter().any(|action| target.can(*action))
            })
            .map(|(name, _)| name.clone())
            .collect();
        let names = payload.downstreams.clone().unwrap_or_else(|| vec![EVERYWHERE.to_owned()]);
        let scopes = names.into_iter().map(|scope| (scope, actions.to_vec())).collect();
        let ordered = Ordered { scopes, downstreams };
        self.directory.revoke_by_hand(request, payload.subject, &ordered, &payload.reason).await?;
        self.directory.rename(&[payload.subject]).await?;
        Ok(())
    }
}
