//! Parked: what nobody could understand and what the bus will never take. Places, reasons and shapes, no content.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Result};

/// Whence the bus's own parked records come.
pub(crate) const BUS: &str = "bus";

/// How many parked records a list shows, those seen last first.
const SHOWN: i64 = 1_000;

/// One parked record, as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct ParkedRow {
    pub id: Uuid,
    pub source: String,
    /// What the source is, such as `scim`; absent for the bus, and for a source that is no longer configured anywhere.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub place: String,
    pub reason: String,
    #[serde(serialize_with = "crate::instant::ms")]
    pub first_seen: DateTime<Utc>,
    #[serde(serialize_with = "crate::instant::ms")]
    pub last_seen: DateTime<Utc>,
    pub times: i64,
    /// How many of its requests are kept, and so can be carried out again.
    pub kept: i64,
    /// The latest, redacted.
    pub example: Option<Value>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub retried_at: Option<DateTime<Utc>>,
    pub retry_error: Option<String>,
    /// A retry carried it out.
    pub resolved: bool,
}

impl Directory {
    /// Remembers a record that could not be understood; the same place and reason again is counted.
    pub async fn park(&self, source: &str, place: &str, reason: &str) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        write(&mut connection, source, &[(place, reason)]).await
    }

    /// The same for records that the bus brought and nobody can read: place and reason of each.
    pub async fn park_unreadable(&self, records: &[(&str, &str)]) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        write(&mut connection, BUS, records).await
    }

    /// What is parked and no retry has carried out, the latest first.
    pub async fn parked(&self) -> Result<Vec<ParkedRow>> {
        Ok(sqlx::query_as!(
            ParkedRow,
            "SELECT p.id, p.source, s.kind AS \"kind?\", p.place, p.reason, p.first_seen, p.last_seen, p.times,
                    (SELECT count(r.parked) FROM working.refused_requests r WHERE r.parked = p.id) AS \"kept!\",
                    p.example, p.retried_at, p.retry_error, p.resolved_at IS NOT NULL AS \"resolved!\"
             FROM ledger.parked p LEFT JOIN directory.sources s ON s.name = p.source
             WHERE p.resolved_at IS NULL ORDER BY p.last_seen DESC, p.id LIMIT $1",
            SHOWN
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// One of them, also when a retry has carried it out.
    pub async fn parked_record(&self, id: Uuid) -> Result<Option<ParkedRow>> {
        Ok(sqlx::query_as!(
            ParkedRow,
            "SELECT p.id, p.source, s.kind AS \"kind?\", p.place, p.reason, p.first_seen, p.last_seen, p.times,
                    (SELECT count(r.parked) FROM working.refused_requests r WHERE r.parked = p.id) AS \"kept!\",
                    p.example, p.retried_at, p.retry_error, p.resolved_at IS NOT NULL AS \"resolved!\"
             FROM ledger.parked p LEFT JOIN directory.sources s ON s.name = p.source WHERE p.id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

pub(crate) async fn write(connection: &mut PgConnection, source: &str, records: &[(&str, &str)]) -> Result<()> {
    // One statement cannot count the same row twice.
    let records: BTreeSet<&(&str, &str)> = records.iter().collect();
    let ids: Vec<Uuid> = records.iter().map(|_| Uuid::now_v7()).collect();
    let places: Vec<String> = records.iter().map(|(place, _)| (*place).to_owned()).collect();
    let reasons: Vec<String> = records.iter().map(|(_, reason)| (*reason).to_owned()).collect();
    sqlx::query!(
        "INSERT INTO ledger.parked AS p (id, source, place, reason)
         SELECT r.id, $1, r.place, r.reason FROM UNNEST($2::uuid[], $3::text[], $4::text[]) AS r(id, place, reason)
         ON CONFLICT (source, place, reason) DO UPDATE
         SET times = p.times + 1, last_seen = clock_timestamp(), resolved_at = NULL",
        source,
        &ids,
        &places,
        &reasons
    )
    .execute(connection)
    .await?;
    Ok(())
}
