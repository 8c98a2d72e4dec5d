//! How revocations and sources are doing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Directory, Result, instant, plans};

/// A revocation with what each downstream has answered.
#[derive(Debug, Clone, Serialize)]
pub struct RevocationRow {
    pub id: Uuid,
    pub subject: Uuid,
    /// The worst of its downstreams: `owed`, `stuck`, `applied`, `verified` or `settled`.
    pub state: String,
    #[serde(serialize_with = "crate::instant::ms")]
    pub at: DateTime<Utc>,
    pub reason: Option<String>,
    pub asked_by: Option<String>,
    pub receipts: Vec<Value>,
}

/// How a source does.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: String,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub last_run: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub next_run: Option<DateTime<Utc>>,
    pub accounts: i64,
    pub note: Option<String>,
    /// Of SCIM, as configured or as its requests tell.
    pub dialect: Option<String>,
}

/// From worst to best.
const ORDER: [&str; 5] = ["owed", "stuck", "applied", "verified", "settled"];

impl Directory {
    pub async fn revocation(&self, id: Uuid) -> Result<Option<RevocationRow>> {
        let Some(row) = sqlx::query!(
            "SELECT id, subject_id, at, reason, asked_by, downstreams FROM ledger.revocations WHERE id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?
        else {
            return Ok(None);
        };
        let receipts = sqlx::query!(
            "SELECT downstream, state, found, ended, resurrected, collateral, applied_at, verified_at, settled_at, stuck_at, note
             FROM ledger.receipts WHERE revocation = $1",
            id
        )
        .fetch_all(&self.pool)
        .await?;
        let mut worst = "settled";
        let mut items = Vec::new();
        for downstream in &row.downstreams {
            let receipt = receipts.iter().find(|r| &r.downstream == downstream);
            let state = receipt.map_or("owed", |r| r.state.as_str());
            let rank = |s: &str| ORDER.iter().position(|o| *o == s).unwrap_or(0);
            if rank(state) < rank(worst) {
                worst = ORDER[rank(state)];
            }
            items.push(json!({
                "revocation": id,
                "downstream": downstream,
                "state": state,
                "asked": instant::text(&row.at),
                "found": receipt.map_or(0, |r| r.found),
                "ended": receipt.map_or(0, |r| r.ended),
                "resurrected": receipt.map_or(0, |r| r.resurrected),
                "collateral": receipt.map_or(0, |r| r.collateral),
                "at": {
                    "applied": receipt.and_then(|r| r.applied_at).as_ref().map(instant::text),
                    "verified": receipt.and_then(|r| r.verified_at).as_ref().map(instant::text),
                    "settled": receipt.and_then(|r| r.settled_at).as_ref().map(instant::text),
                    "stuck": receipt.and_then(|r| r.stuck_at).as_ref().map(instant::text),
                },
                "note": receipt.and_then(|r| r.note.clone()),
            }));
        }
        Ok(Some(RevocationRow {
            id,
            subject: row.subject_id,
            state: worst.to_owned(),
            at: row.at,
            reason: row.reason,
            asked_by: row.asked_by,
            receipts: items,
        }))
    }

    pub async fn source_statuses(&self) -> Result<Vec<SourceStatus>> {
        Ok(sqlx::query!(
            r#"SELECT s.name, s.kind, CASE WHEN s.paused_at IS NULL THEN coalesce(w.state, 'ok') ELSE 'paused' END AS "state!",
                      w.last_run AS "last_run?", CASE WHEN s.paused_at IS NULL THEN w.next_run END AS "next_run?",
                      CASE WHEN s.paused_at IS NULL THEN w.note
                           ELSE concat('by ', s.paused_by, ': ' || s.pause_reason) END AS "note?", w.dialect AS "dialect?",
                      (SELECT count(*) FROM directory.accounts a WHERE a.source = s.name AND a.tombstone IS NULL) AS "accounts!"
               FROM directory.sources s LEFT JOIN working.source_status w ON w.source = s.name ORDER BY s.name"#
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|r| SourceStatus {
            name: r.name,
            kind: r.kind,
            state: r.state,
            last_run: r.last_run,
            next_run: r.next_run,
            accounts: r.accounts,
            note: r.note,
            dialect: r.dialect,
        })
        .collect())
    }

    /// Notes how many plans of a source that pushes wait for a person: its own, and those of its groups.
    pub async fn note_held(&self, source: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        plans::note_held(&mut tx, source).await?;
        Ok(tx.commit().await?)
    }

    /// Notes who a source that pushes seems to be.
    pub async fn note_dialect(&self, source: &str, dialect: Option<&str>) -> Result<()> {
        sqlx::query!(
            "INSERT INTO working.source_status AS w (source, state, dialect) VALUES ($1, 'ok', $2)
             ON CONFLICT (source) DO UPDATE SET dialect = excluded.dialect WHERE w.dialect IS DISTINCT FROM excluded.dialect",
            source,
            dialect
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Notes how a source does while no run of it ends.
    pub async fn set_source_status(
        &self,
        source: &str,
        state: &str,
        note: Option<&str>,
        next_run: Option<DateTime<Utc>>,
    ) -> Result<()> {
        sqlx::query!(
            "INSERT INTO working.source_status AS w (source, state, note, next_run) VALUES ($1, $2, $3, $4)
             ON CONFLICT (source) DO UPDATE SET state = excluded.state, note = excluded.note, next_run = excluded.next_run",
            source,
            state,
            note,
            next_run
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
