//! The share of each hop, from the ledger's own clock readings to the microsecond.

use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::histogram;

const NAMES: [&str; 5] =
    ["received → committed", "committed → published", "published → decided", "decided → applied", "applied → verified"];

/// Microseconds of each hop of every suspension whose sessions were verified, but for the first of all.
const QUERY: &str = "
    SELECT ARRAY[extract(epoch FROM e.recorded_at - e.received_at), extract(epoch FROM d.published_at - e.recorded_at),
                 extract(epoch FROM d.decided_at - d.published_at), extract(epoch FROM r.applied_at - d.decided_at),
                 extract(epoch FROM r.verified_at - r.applied_at)]::float8[]
    FROM ledger.events e JOIN ledger.decisions d ON d.event = e.id
    JOIN ledger.receipts r ON r.revocation = e.event_id
    WHERE e.type = 'identity.suspended' AND r.verified_at IS NOT NULL
    ORDER BY e.id OFFSET 1";

/// The ledger of a world.
pub struct Hops(PgPool);

/// One histogram for each hop.
pub struct Read(Vec<Histogram<u64>>);

impl Hops {
    /// Of the embedded PostgreSQL below `data_dir`.
    pub async fn of_embedded(data_dir: &Path) -> Self {
        Self(connect(data_dir).await)
    }

    pub async fn of(url: &str) -> Self {
        Self(PgPoolOptions::new().max_connections(1).connect(url).await.expect("the database of the world answers"))
    }

    /// Reads it once `changes` of them are verified.
    pub async fn read(self, changes: usize) -> Read {
        let rows = loop {
            let rows: Vec<Vec<f64>> =
                sqlx::query_scalar(QUERY).fetch_all(&self.0).await.expect("the ledger can be read");
            if rows.len() >= changes {
                break rows;
            }
        };
        let mut hops: Vec<_> = NAMES.iter().map(|_| histogram()).collect();
        for row in rows {
            for (seconds, times) in row.iter().zip(&mut hops) {
                times.saturating_record((seconds * 1e6).max(0.0) as u64);
            }
        }
        Read(hops)
    }
}

impl Read {
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Histogram<u64>)> {
        NAMES.iter().copied().zip(&self.0)
    }
}

async fn connect(data_dir: &Path) -> PgPool {
    let file = data_dir.join("postgres/cluster/postmaster.pid");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let line = |n: usize| text.lines().nth(n).unwrap_or_default().to_owned();
    let options = PgConnectOptions::new_without_pgpass()
        .socket(line(4))
        .port(line(3).parse().expect("the port of the server"))
        .username("leaver")
        .database("leaver");
    PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("the embedded PostgreSQL answers")
}
