//! Moves committed events from the pending set to the bus, in order per subject.
//!
//! Publishing may repeat after a crash; whoever follows the bus expects that. Nothing here decides what an event means.

pub mod metrics;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Record, Topic};
use directory::{Directory, PendingEvent};
use lifecycle::Lane;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::metrics::Metrics;

/// Largest number of events in one publish.
const BATCH: i64 = 1_000;
/// How many publishes may be under way at once.
const FLIGHTS: usize = 4;
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

/// Events on their way: their ids, and the subjects whose later events wait for them.
#[derive(Default)]
struct Aloft {
    ids: HashSet<i64>,
    subjects: HashSet<Uuid>,
}

/// A publish that came back.
struct Landed {
    ids: HashSet<i64>,
    subjects: HashSet<Uuid>,
    result: Result<(), bus::BoxError>,
}

impl Relay {
    /// Relays events of `lane` until `stop`. Several publishes are under way at once, but never two of one subject.
    pub async fn run(&self, lane: Lane, stop: CancellationToken) {
        let mut bell = self.directory.wake.pending.listen();
        let mut lease = Lease::new(self, format!("relay/0/{}", lane.as_str()));
        let mut aloft = Aloft::default();
        // Tasks of their own: a publish that waits for its turn at a connection must not wait for this loop as well.
        let mut flights = JoinSet::new();
        let mut pause: Option<Instant> = None;
        while !stop.is_cancelled() {
            let ready = flights.len() < FLIGHTS && pause.is_none_or(|until| until <= Instant::now());
            if ready && lease.held().await {
                match self.next_batch(lane, &aloft).await {
                    Ok(events) if events.is_empty() => pause = None,
                    Ok(events) => {
                        pause = None;
                        aloft.ids.extend(events.iter().map(|e| e.id));
                        aloft.subjects.extend(events.iter().map(|e| e.subject));
                        flights.spawn(carry(
                            self.directory.clone(),
                            self.bus.clone(),
                            self.metrics.clone(),
                            lane,
                            events,
                        ));
                        continue;
                    }
                    Err(error) => pause = Some(self.failed(lane, &error)),
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(landed) = flights.join_next(), if !flights.is_empty() => {
                    // A publish that panicked is a crash of this task.
                    let landed: Landed = landed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    // Forgotten only now, after the rows are gone and before they are looked for again.
                    aloft.ids.retain(|id| !landed.ids.contains(id));
                    aloft.subjects.retain(|subject| !landed.subjects.contains(subject));
                    if let Err(error) = landed.result {
                        pause = Some(self.failed(lane, &*error));
                    }
                }
                () = bell.heard_or(POLL) => {}
            }
        }
        lease.release().await;
    }

    /// Relays the cutoffs of changed subjects until `stop`: beside the lanes, so that neither waits for the other.
    pub async fn run_cutoffs(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.pending.listen();
        let mut lease = Lease::new(self, "relay/0/revocations".to_owned());
        while !stop.is_cancelled() {
            let moved = if lease.held().await { self.pass_cutoffs().await } else { Ok(false) };
            let wait = match moved {
                Ok(true) => continue,
                Ok(false) => POLL,
                Err(error) => {
                    tracing::warn!(error = &*error, "cutoffs could not be relayed; they stay pending");
                    self.metrics.failures.inc();
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(wait) => {}
            }
        }
        lease.release().await;
    }

    fn failed(&self, lane: Lane, error: &(dyn std::error::Error + 'static)) -> Instant {
        tracing::warn!(error = error, lane = lane.as_str(), "events could not be relayed; they stay pending");
        self.metrics.failures.inc();
        Instant::now() + POLL
    }

    /// Events that may go now. It looks from the beginning of the pending set each time, so rows of transactions that were in
    /// flight before are found; there is no position to be ahead of them.
    async fn next_batch(&self, lane: Lane, aloft: &Aloft) -> directory::Result<Vec<PendingEvent>> {
        let mut position = 0;
        loop {
            let mut events = self.directory.pending_events(0, lane, position, BATCH).await?;
            let full = i64::try_from(events.len()).is_ok_and(|n| n == BATCH);
            position = events.last().map_or(position, |e| e.id);
            events.retain(|e| !aloft.ids.contains(&e.id) && !aloft.subjects.contains(&e.subject));
            if !events.is_empty() || !full {
                return Ok(events);
            }
        }
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
                trace: None,
            })
            .collect();
        self.bus.publish(Topic::Revocations, records).await?;
        let acknowledged: Vec<_> = changed.iter().map(|c| (c.subject, c.revision)).collect();
        self.directory.acknowledge_cutoffs(0, &acknowledged).await?;
        Ok(true)
    }
}

/// Publishes events and forgets them once the bus has acknowledged.
async fn carry(
    directory: Directory,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    lane: Lane,
    events: Vec<PendingEvent>,
) -> Landed {
    let ids: Vec<i64> = events.iter().map(|e| e.id).collect();
    let subjects = events.iter().map(|e| e.subject).collect();
    let record = |e: PendingEvent| Record { key: e.subject, id: e.event_id, body: e.body.into(), trace: None };
    let records = events.into_iter().map(record).collect();
    let done = async {
        bus.publish(Topic::Lifecycle(lane), records).await?;
        directory.acknowledge(0, lane, &ids).await?;
        metrics.published(lane, ids.len());
        Ok(())
    };
    let result = done.await;
    Landed { ids: ids.into_iter().collect(), subjects, result }
}

/// The lease of one loop, renewed in time. It saves double work; order and losses do not rest on it.
struct Lease<'a> {
    relay: &'a Relay,
    name: String,
    renewed: Option<Instant>,
}

impl<'a> Lease<'a> {
    fn new(relay: &'a Relay, name: String) -> Self {
        Self { relay, name, renewed: None }
    }

    /// Whether this process may work now.
    async fn held(&mut self) -> bool {
        if self.renewed.is_none_or(|at| at.elapsed() >= RENEW) {
            match self.relay.directory.lease(&self.name, &self.relay.holder).await {
                Ok(true) => self.renewed = Some(Instant::now()),
                Ok(false) => self.renewed = None,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a relay could not renew its lease");
                }
            }
        }
        self.renewed.is_some_and(|at| at.elapsed() < directory::TTL)
    }

    async fn release(self) {
        if let Err(error) = self.relay.directory.release_lease(&self.name, &self.relay.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a relay could not give its lease back");
        }
    }
}
