//! Reconcile, by the clock: owes what truth demands and receipts lack. Events only make it fast.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::{Action, EventType};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
        let mut position = Uuid::nil();
        loop {
            let done = async {
                self.reconcile_once(Utc::now() - OVERDUE).await?;
                self.reconcile_names(&mut position).await
            };
            if let Err(error) = done.await {
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

    /// Takes no input but the clock's: reads truth, decides events recorded before `overdue` that nobody decided (of the bulk lane
    /// who left, some minutes later), makes missing deliveries. Returns how much it repaired.
    pub async fn reconcile_once(&self, overdue: DateTime<Utc>) -> directory::Result<u64> {
        self.directory.forget_publications().await?;
        self.directory.forget_looks().await?;
        self.directory.forget_strangers().await?;
        self.directory.forget_windows().await?;
        let listened: Vec<EventType> =
            EventType::ALL.iter().copied().filter(|event_type| self.judge.policy().listens(*event_type)).collect();
        let overdue = self.directory.overdue(overdue, &listened, LIMIT).await?;
        let judged = self.judge_all(overdue, &HashMap::new()).await?;
        let decided = self.directory.decide(&judged.made).await? as u64;
        self.tell_differences(&judged);
        // Told as the event would have told it, see `consume`.
        let subjects: Vec<Uuid> = judged.made.iter().map(|m| m.event.subject).collect();
        self.directory.rename(&subjects).await?;
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
