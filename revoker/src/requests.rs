//! What people ask for: request rows that the console stored are carried out. A revocation has its request's id and instant.

use std::sync::Arc;
use std::time::Duration;

use directory::{EVERYWHERE, GroupOrder, Ordered, Request, RequestKind};
use lifecycle::{Action, SubjectKind};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Revoker, Target};

const POLL: Duration = Duration::from_secs(1);

/// What this loop carries out.
const KINDS: [RequestKind; 7] = [
    RequestKind::Revoke,
    RequestKind::Lock,
    RequestKind::Unlock,
    RequestKind::RetryOwed,
    RequestKind::RevokeGroup,
    RequestKind::ApproveHold,
    RequestKind::RejectHold,
];

/// What the console writes into a request to revoke or lock.
#[derive(Debug, Deserialize)]
struct Revocation {
    subject: Uuid,
    reason: String,
    /// What the subject is.
    #[serde(default = "identity")]
    kind: SubjectKind,
    #[serde(default)]
    downstreams: Option<Vec<String>>,
    /// How long a lock lasts; of a revocation: that it locks as well.
    #[serde(default)]
    lock_for_ms: Option<u64>,
    #[serde(default)]
    credentials: bool,
}

fn identity() -> SubjectKind {
    SubjectKind::Identity
}

/// Into one to revoke a whole group.
#[derive(Debug, Deserialize)]
struct OfGroup {
    group: Uuid,
    reason: String,
    #[serde(default)]
    downstreams: Option<Vec<String>>,
    #[serde(default)]
    lock_for_ms: Option<u64>,
    #[serde(default)]
    credentials: bool,
    #[serde(default)]
    traceparent: Option<String>,
}

/// Into an answer to a hold.
#[derive(Debug, Deserialize)]
struct Answered {
    hold: Uuid,
    #[serde(default)]
    reason: Option<String>,
}

/// Into one to unlock.
#[derive(Debug, Deserialize)]
struct Unlock {
    subject: Uuid,
    #[serde(default)]
    reason: Option<String>,
}

/// And into one to try again what is owed.
#[derive(Debug, Deserialize)]
struct Owed {
    subject: Uuid,
    downstream: String,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Whoever wrote it has another version; trying again will not help.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Directory(#[from] directory::Error),
}

impl Revoker {
    /// Takes requests until `stop`, and notes locks whose time is over.
    pub async fn serve_requests(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.requests.listen();
        while !stop.is_cancelled() {
            match self.directory.open_requests(&KINDS).await {
                Ok(requests) => {
                    for request in requests {
                        if let Err(error) = self.carry_out(&request).await {
                            tracing::warn!(error = &error as &dyn std::error::Error, request.id = %request.id, "what a person asked for could not be written; trying again");
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again")
                }
            }
            if let Err(error) = self.directory.expire_locks().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "locks could not be ended; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn carry_out(&self, request: &Request) -> directory::Result<()> {
        let done = match request.kind.as_str() {
            kind if kind == RequestKind::RetryOwed.as_str() => self.retry_owed(request).await,
            kind if kind == RequestKind::Unlock.as_str() => self.unlock(request).await,
            kind if kind == RequestKind::RevokeGroup.as_str() => self.revoke_group(request).await,
            kind if kind == RequestKind::ApproveHold.as_str() => self.approve_hold(request).await,
            kind if kind == RequestKind::RejectHold.as_str() => self.reject_hold(request).await,
            _ => self.revoke(request).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(Error::Directory(error)) => Err(error),
            Err(Error::Unreadable(error)) => {
                self.directory.finish_request(request.id, false, &json!({"error": error.to_string()})).await
            }
        }
    }

    async fn retry_owed(&self, request: &Request) -> Result<(), Error> {
        let Owed { subject, downstream } = Deserialize::deserialize(&request.payload)?;
        Ok(self.directory.retry_owed(request, subject, &downstream).await?)
    }

    async fn unlock(&self, request: &Request) -> Result<(), Error> {
        let Unlock { subject, reason } = Deserialize::deserialize(&request.payload)?;
        self.directory.unlock(request, subject, reason.as_deref()).await?;
        self.directory.rename(&[subject]).await?;
        Ok(())
    }

    async fn revoke(&self, request: &Request) -> Result<(), Error> {
        let payload: Revocation = Deserialize::deserialize(&request.payload)?;
        let lock_for = payload.lock_for_ms.map(Duration::from_millis);
        let mut actions = Vec::new();
        if request.kind == RequestKind::Revoke.as_str() {
            actions.extend([Action::RevokeSessions, Action::RevokeRefresh]);
        }
        actions.extend(lock_for.map(|_| Action::Lock));
        actions.extend(payload.credentials.then_some(Action::RevokeCredentials));
        let ordered = self.by_hand(payload.downstreams.as_deref(), &actions, lock_for);
        let whom = (payload.subject, payload.kind);
        self.directory.revoke_by_hand(request, whom, &ordered, &payload.reason).await?;
        self.directory.rename(&[payload.subject]).await?;
        Ok(())
    }

    async fn revoke_group(&self, request: &Request) -> Result<(), Error> {
        let OfGroup { group, reason, downstreams, lock_for_ms, credentials, traceparent } =
            Deserialize::deserialize(&request.payload)?;
        let lock_for = lock_for_ms.map(Duration::from_millis);
        let mut actions = vec![Action::RevokeSessions, Action::RevokeRefresh];
        actions.extend(lock_for.map(|_| Action::Lock));
        actions.extend(credentials.then_some(Action::RevokeCredentials));
        let ordered = self.by_hand(downstreams.as_deref(), &actions, lock_for);
        let break_glass = self.judge.break_glass();
        let order = GroupOrder {
            group,
            ordered: &ordered,
            reason: &reason,
            trace: traceparent.as_deref(),
            break_glass: &break_glass,
            mass: self.mass,
        };
        self.directory.revoke_group(request, &order).await?;
        self.directory.wake.requests.ring();
        Ok(())
    }

    async fn approve_hold(&self, request: &Request) -> Result<(), Error> {
        let Answered { hold, .. } = Deserialize::deserialize(&request.payload)?;
        self.directory.approve_hold(request, hold, self.mass).await?;
        self.directory.wake.requests.ring();
        Ok(())
    }

    async fn reject_hold(&self, request: &Request) -> Result<(), Error> {
        let Answered { hold, reason } = Deserialize::deserialize(&request.payload)?;
        Ok(self.directory.reject_hold(request, hold, reason.as_deref().unwrap_or_default()).await?)
    }

    /// What a person orders: these actions, there or everywhere.
    pub(crate) fn by_hand(
        &self,
        downstreams: Option<&[String]>,
        actions: &[Action],
        lock_for: Option<Duration>,
    ) -> Ordered {
        let (cutoffs, errands): (Vec<Action>, Vec<Action>) = actions.iter().partition(|action| action.is_cutoff());
        let named = self.targets.iter().filter(|(name, _)| downstreams.is_none_or(|names| names.contains(name)));
        let able = |actions: &[Action]| -> Vec<(String, Action)> {
            let can = |(name, target): (&String, &Arc<Target>)| {
                let first = actions.iter().find(|action| target.can(**action))?;
                Some((name.clone(), *first))
            };
            named.clone().filter_map(can).collect()
        };
        let concerned = able(&cutoffs).into_iter().map(|(name, _)| name).collect();
        let scopes = downstreams.map_or_else(|| vec![EVERYWHERE.to_owned()], <[String]>::to_vec);
        let scopes = scopes.into_iter().map(|scope| (scope, cutoffs.clone())).collect();
        Ordered { scopes, downstreams: concerned, lock_for, errands: able(&errands), ..Ordered::default() }
    }
}
