//! Follows the lifecycle topics: every urgent event gets a decision, of bulk events those that a rule listens to.

use std::time::Duration;

use bus::{Batch, Bus, Topic};
use chrono::{DateTime, Utc};
use directory::{Made, Undecided};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lifecycle::{EventType, Lane};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{GROUP, Revoker};

/// How many batches may be decided at once.
const AT_ONCE: usize = 4;

/// An event that the bus told, and when.
pub(crate) struct Told {
    pub id: Uuid,
    pub at: DateTime<Utc>,
}

impl Revoker {
    /// Consumes one lane until `stop`. A batch is acknowledged once its decisions are durable; while the database is away it
    /// is tried again, so nothing is skipped.
    pub async fn consume(&self, bus: &dyn Bus, lane: Lane, stop: CancellationToken) -> Result<(), bus::Error> {
        let mut subscription = bus.subscribe(GROUP, Topic::Lifecycle(lane)).await?;
        // Order does not matter here: decisions are unique per event, and cutoffs join.
        let mut deciding = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(()) = deciding.next(), if !deciding.is_empty() => {}
                batch = subscription.next(), if deciding.len() < AT_ONCE => deciding.push(self.take(batch?, &stop)),
            }
        }
    }

    async fn take(&self, batch: Batch, stop: &CancellationToken) {
        let told: Vec<Told> = batch.records.iter().map(|r| Told { id: r.record.id, at: r.published_at }).collect();
        if self.decide_until_durable(&told, stop).await {
            batch.acknowledge();
        }
    }

    async fn decide_until_durable(&self, told: &[Told], stop: &CancellationToken) -> bool {
        let mut wait = Duration::from_millis(50);
        loop {
            match self.decide(told).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        events = told.len(),
                        "decisions could not be written; trying again"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }

    async fn decide(&self, told: &[Told]) -> directory::Result<()> {
        let ids: Vec<Uuid> = told.iter().map(|t| t.id).collect();
        let events = self.directory.undecided(&ids).await?;
        let made = self.judge_all(events, told).await?;
        if !made.is_empty() {
            self.metrics.decisions.inc_by(self.directory.decide(&made).await? as u64);
        }
        Ok(())
    }

    /// Decides events; before a reinstatement the suspension that it ends, should that one come later. What the bus did not
    /// tell counts as told now.
    pub(crate) async fn judge_all(&self, events: Vec<Undecided>, told: &[Told]) -> directory::Result<Vec<Made>> {
        let now = Utc::now();
        let told_at = |event: &Undecided| told.iter().find(|t| t.id == event.event_id).map_or(now, |t| t.at);
        let mut made: Vec<Made> = Vec::new();
        for event in events {
            if !event.urgent && !self.policy.listens(event.event_type) && event.event_type != EventType::IdentityMerged
            {
                continue;
            }
            if event.event_type == EventType::IdentityReinstated {
                for earlier in self.directory.undecided_before(&event).await? {
                    if !made.iter().any(|m| m.event.id == earlier.id) {
                        let at = told_at(&event);
                        made.push(self.judge(earlier, at));
                    }
                }
            }
            if !made.iter().any(|m| m.event.id == event.id) {
                let at = told_at(&event);
                made.push(self.judge(event, at));
            }
        }
        Ok(made)
    }
}
