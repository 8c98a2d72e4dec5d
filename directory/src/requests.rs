//! Requests: what people ask for becomes a row, and the worker of that kind takes it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Revoke,
    Sync,
    Plan,
    Approve,
    Reject,
    Pause,
    Resume,
    /// Of a parked record.
    Retry,
    /// Of what a downstream owes.
    RetryOwed,
    /// At somebody's sessions, or at what a revocation would end of them.
    Look,
    Lock,
    Unlock,
    /// Of everybody in a group.
    RevokeGroup,
    ApproveHold,
    RejectHold,
}

impl RequestKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RequestKind::Revoke => "revoke",
            RequestKind::Sync => "sync",
            RequestKind::Plan => "plan",
            RequestKind::Approve => "approve",
            RequestKind::Reject => "reject",
            RequestKind::Pause => "pause",
            RequestKind::Resume => "resume",
            RequestKind::Retry => "retry",
            RequestKind::RetryOwed => "retry_owed",
            RequestKind::Look => "look",
            RequestKind::Lock => "lock",
            RequestKind::Unlock => "unlock",
            RequestKind::RevokeGroup => "revoke_group",
            RequestKind::ApproveHold => "approve_hold",
            RequestKind::RejectHold => "reject_hold",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: Uuid,
    pub kind: String,
    pub payload: Value,
    pub asked_by: String,
    pub asked_at: DateTime<Utc>,
    pub state: String,
    pub result: Option<Value>,
}

impl Directory {
    /// Stores a request. It is answered only after this returns.
    pub async fn ask(&self, kind: RequestKind, payload: &Value, by: &str) -> Result<Uuid> {
        let id = Uuid::now_v7();
        sqlx::query!(
            "INSERT INTO ledger.requests (id, kind, payload, asked_by) VALUES ($1, $2, $3, $4)",
            id,
            kind.as_str(),
            payload,
            by
        )
        .execute(&self.pool)
        .await?;
        self.wake.requests.ring();
        Ok(id)
    }

    /// Requests of these kinds that nobody has finished, oldest first.
    pub async fn open_requests(&self, kinds: &[RequestKind]) -> Result<Vec<Request>> {
        let kinds: Vec<String> = kinds.iter().map(|k| k.as_str().to_owned()).collect();
        Ok(sqlx::query_as!(
            Request,
            "SELECT id, kind, payload, asked_by, asked_at, state, result FROM ledger.requests
             WHERE state = 'new' AND kind = ANY($1) ORDER BY asked_at LIMIT 100",
            &kinds
        )
        .fetch_all(&self.pool)
        .await?)
    }

    pub async fn request(&self, id: Uuid) -> Result<Request> {
        sqlx::query_as!(
            Request,
            "SELECT id, kind, payload, asked_by, asked_at, state, result FROM ledger.requests WHERE id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| Error::Refused(format!("no request has the id {id}")))
    }

    /// Marks a request as done or failed, with what came of it.
    pub async fn finish_request(&self, id: Uuid, ok: bool, result: &Value) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        finish(&mut connection, id, ok, result).await?;
        self.wake.progress.ring();
        Ok(())
    }
}

pub(crate) async fn finish(tx: &mut PgConnection, id: Uuid, ok: bool, result: &Value) -> Result<()> {
    sqlx::query!(
        "UPDATE ledger.requests SET state = $2, result = $3, done_at = clock_timestamp() WHERE id = $1 AND state = 'new'",
        id,
        if ok { "done" } else { "failed" },
        result
    )
    .execute(tx)
    .await?;
    Ok(())
}
