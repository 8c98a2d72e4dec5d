//! How much a process has added: each time that it is four times as much, the planner's statistics are made anew, so that plans
//! from when the tables were small are given up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Directory;

/// Accounts and memberships after which statistics are made for the first time.
const FIRST: u64 = 250;
const FACTOR: u64 = 4;

#[derive(Debug)]
pub(crate) struct Growth {
    added: AtomicU64,
    next: AtomicU64,
}

impl Default for Growth {
    fn default() -> Self {
        Self { added: AtomicU64::new(0), next: AtomicU64::new(FIRST) }
    }
}

impl Growth {
    /// Whether statistics are due, now that so many more were added. Says so to one caller.
    fn due(&self, more: u64) -> bool {
        let added = self.added.fetch_add(more, Ordering::Relaxed) + more;
        let mut next = self.next.load(Ordering::Relaxed);
        while added >= next {
            match self.next.compare_exchange_weak(next, added * FACTOR, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => next = now,
            }
        }
        false
    }
}

impl Directory {
    /// So many rows were committed. Nobody waits for the statistics.
    pub(crate) fn grew(&self, rows: u64) {
        if rows == 0 || !self.growth.due(rows) {
            return;
        }
        let pool = self.pool.clone();
        tokio::spawn(async move {
            if let Err(error) = sqlx::query!("SELECT FROM directory.refresh_statistics()").execute(&pool).await {
                // Autovacuum does the same a little later.
                tracing::debug!(error = &error as &dyn std::error::Error, "statistics were not made anew");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_due_once_for_every_fourfold() {
        let growth = Growth::default();
        let due: Vec<u64> = (1..=5_000).filter(|_| growth.due(1)).collect();
        assert_eq!(due, [250, 1_000, 4_000]);
        assert!(growth.due(1_000_000) && !growth.due(1), "many at once are one occasion");
    }
}
