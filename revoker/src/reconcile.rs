//! Reconcile, by the clock: owes what truth demands and receipts lack. Events only make it fast.

use std::time::Duration;

use chrono::Utc;
use lifecycle::Action;
use tokio_util::sync::CancellationToken;

use crate::Revoker;

/// How often truth is compared with receipts.
const EVERY: Duration = Duration::from_secs(30);
/// An urgent event this old without a decision was missed.
const OVERDUE: Duration = Duration::from_secs(15);
const LIMIT: i64 = 1_000;
/// The actions that are cutoffs.
const CUTOFFS: [Action; 3] = [Action::RevokeSessions, Action::RevokeRefresh, Action::Recheck];

impl Revoker {
    /// Reconciles now and then every 30 s, until `stop`.
    pub async fn reconcile(&self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.reconcile_once().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "reconcile could not read or write; trying again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Takes no input: reads truth, decides urgent events that nobody decided, makes missing deliveries.
    pub async fn reconcile_once(&self) -> directory::Result<u64> {
        let now = Utc::now();
        let overdue = self.directory.overdue_urgent(now - OVERDUE, LIMIT).await?;
        let made = self.judge_all(overdue, &[]).await?;
        let decided = self.directory.decide(&made).await? as u64;
        // Where nothing of a cutoff can be done, nothing is owed.
        let able = self.targets.iter().filter(|(_, target)| CUTOFFS.iter().any(|action| target.can(*action)));
        let names: Vec<String> = able.map(|(name, _)| name.clone()).collect();
        let deliveries = self.directory.reconcile_deliveries(&names, LIMIT).await?.deliveries;
        if decided + deliveries > 0 {
            tracing::warn!(decided, deliveries, "reconcile repaired what no event had brought");
            self.metrics.reconciled.inc_by(decided + deliveries);
        }
        Ok(decided + deliveries)
    }
}
