//! How much waits for the bus, for those who watch.

use std::time::Duration;

use lifecycle::Lane;

use crate::{Directory, Result};

/// How much of a lane waits for the bus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Depth {
    pub lane: Lane,
    pub events: i64,
    /// How long the first of them has been waiting.
    pub oldest: Duration,
}

impl Directory {
    /// How many events wait for the bus, and since when; without the lanes in which none does.
    pub async fn pending_depth(&self) -> Result<Vec<Depth>> {
        let rows = sqlx::query!(
            r#"SELECT p.lane AS "lane!", p.events AS "events!",
                      extract(epoch FROM clock_timestamp() - e.recorded_at)::float8 AS "seconds!"
               FROM (SELECT lane, count(*) AS events, min(id) AS id FROM ledger.pending GROUP BY lane) p
               JOIN ledger.events e ON e.id = p.id ORDER BY p.lane"#
        )
        .fetch_all(&self.pool)
        .await?;
        let oldest = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(rows
            .into_iter()
            .filter_map(|r| {
                Some(Depth { lane: Lane::from_number(r.lane)?, events: r.events, oldest: oldest(r.seconds) })
            })
            .collect())
    }
}
