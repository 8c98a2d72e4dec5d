//! Moves committed events from the pending set to the bus, in order per subject.
//!
//! Publishing may repeat after a crash; whoever follows the bus expects that. Nothing here decides what an event means.

pub mod metrics;

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Record, Topic};
use directory::Directory;
use lifecycle::Lane;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Largest number of events in one publish.
const BATCH: i64 = 1_000;
/// The safety net under the wake-up.
const POLL: Duration = Duration::from_secs(1);
/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(3);

/// One relay for one lane of every shard it can lease. `holder` names this process to the others.
pub struct Relay {
    pub directory: Directory,
    pub bus: Arc<dyn Bus>,
    pub holder: String,
    pub metrics: Metrics,
}

impl Relay {
    /// Relays events of `lane` until `stop`.
    pub async fn run(&self, lane: Lane, stop: CancellationToken) {
        let mut bell = self.directory.wake.pending.listen();
        let mut renewed: Option<tokio::time::Instant> = None;
        let lease = format!("relay/0/{}", lane.as_str());
        while !stop.is_cancelled() {
            if renewed.is_none_or(|at| at.elapsed() >= RENEW) {
                match self.directory.lease(&lease, &self.holder).await {
                    Ok(true) => renewed = Some(tokio::time::Instant::now()),
                    Ok(false) => renewed = None,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "relay could not renew its lease")
                    }
                }
            }
            let held = renewed.is_some_and(|at| at.elapsed() < directory::TTL);
            let moved = if held { self.pass(lane, &stop).await } else { Ok(false) };
            match moved {
                Ok(true) => {}
                Ok(false) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = bell.heard_or(POLL) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &*error, lane = lane.as_str(), "relay pass failed; events stay pending");
                    self.metrics.failures.inc();
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
            }
        }
        if let Err(error) = self.directory.release_lease(&lease, &self.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "relay could not give its lease back");
        }
    }

    /// One pass over the pending set, from its beginning: rows of transactions that were in flight before are found now.
    async fn pass(&self, lane: Lane, stop: &CancellationToken) -> Result<bool, bus::BoxError> {
        let mut moved = false;
        let mut position = 0;
        loop {
            let events = self.directory.pending_events(0, lane, position, BATCH).await?;
            let Some(last) = events.last() else { break };
            position = last.id;
            let full = events.len() as i64 == BATCH;
            let ids: Vec<i64> = events.iter().map(|e| e.id).collect();
            let records =
                events.into_iter().map(|e| Record { key: e.subject, id: e.event_id, body: e.body.into() }).collect();
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                published = self.bus.publish(Topic::Lifecycle(lane), records) => published?,
            }
            self.directory.acknowledge(0, lane, &ids).await?;
            self.metrics.published(lane, ids.len());
            moved = true;
            if !full {
                break;
            }
        }
        // With the urgent lane: a large import in the other one must not stand in front of them.
        if lane == Lane::Urgent {
            moved |= self.pass_cutoffs().await?;
        }
        Ok(moved)
    }

    /// Publishes each changed subject's cutoffs as they are now; forgets only revisions that are still the newest.
    async fn pass_cutoffs(&self) -> Result<bool, bus::BoxError> {
        let changed = self.directory.pending_cutoffs(0, BATCH).await?;
        if changed.is_empty() {
            return Ok(false);
        }
        let records = changed
            .iter()
            .map(|c| Record {
                key: c.subject,
                id: c.subject,
                body: json!({"subject": c.subject, "revision": c.revision, "scopes": c.scopes}).to_string().into(),
            })
            .collect();
        self.bus.publish(Topic::Revocations, records).await?;
        let acknowledged: Vec<_> = changed.iter().map(|c| (c.subject, c.revision)).collect();
        self.directory.acknowledge_cutoffs(0, &acknowledged).await?;
        Ok(true)
    }
}
