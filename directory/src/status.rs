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
    /// The worst of its downstreams: `owed`, `stuck`, `applied`, `verified` or `settled`, which credentials are once they are
    /// `verified`; `handed_over` where nothing else was to be done.
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
/// Of what nobody has seen the effect.
const HANDED_OVER: &str = "handed_over";

impl Directory {
    pub async fn revocation(&self, id: Uuid) -> Result<Option<RevocationRow>> {
        let Some(row) =
            sqlx::query!("SELECT id, subject_id, at, reason, asked_by FROM ledger.revocations WHERE id = $1", id)
                .fetch_optional(&self.pool)
                .await?
        else {
            return Ok(None);
        };
        let answers = sqlx::query!(
            r#"SELECT downstream AS "downstream!", action, state AS "state!", found AS "found!", ended AS "ended!",
                      resurrected AS "resurrected!", collateral AS "collateral!", applied_at, verified_at, settled_at,
                      handed_over_at, stuck_at, note
               FROM ledger.answers WHERE revocation = $1 ORDER BY downstream COLLATE "C", action NULLS FIRST"#,
            id
        )
        .fetch_all(&self.pool)
        .await?;
        let mut worst = "settled";
        let mut items = Vec::new();
        for answer in &answers {
            let rank = |s: &str| ORDER.iter().position(|o| *o == s).unwrap_or(0);
            // What was handed over says nothing of the others and keeps none of them back, nor does an errand to which nothing more
            // will be done.
            let over = answer.action.is_some() && ["verified", HANDED_OVER].contains(&answer.state.as_str());
            if !over && rank(&answer.state) < rank(worst) {
                worst = ORDER[rank(&answer.state)];
            }
            let mut item = json!({
                "revocation": id,
                "downstream": answer.downstream,
                "state": answer.state,
                "asked": instant::text(&row.at),
                "found": answer.found,
                "ended": answer.ended,
                "resurrected": answer.resurrected,
                "collateral": answer.collateral,
                "at": {
                    "applied": answer.applied_at.as_ref().map(instant::text),
                    "verified": answer.verified_at.as_ref().map(instant::text),
                    "settled": answer.settled_at.as_ref().map(instant::text),
                    "stuck": answer.stuck_at.as_ref().map(instant::text),
                },
                "note": answer.note,
            });
            if let Some(action) = &answer.action {
                item["action"] = json!(action);
                item["at"]["handed_over"] = json!(answer.handed_over_at.as_ref().map(instant::text));
            }
            items.push(item);
        }
        if !answers.is_empty() && answers.iter().all(|answer| answer.state == HANDED_OVER) {
            worst = HANDED_OVER;
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
