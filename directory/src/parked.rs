//! Parked: what nobody could understand and what the bus will never take. Places and reasons, no content.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Directory, Result};

/// Whence the bus's own parked records come.
pub(crate) const BUS: &str = "bus";

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
         ON CONFLICT (source, place, reason) DO UPDATE SET times = p.times + 1, last_seen = clock_timestamp()",
        source,
        &ids,
        &places,
        &reasons
    )
    .execute(connection)
    .await?;
    Ok(())
}
