//! The loop of cutoffs: publishes each changed subject as it is now, forgets only revisions that are still the newest.

use std::collections::HashMap;
use std::time::Duration;

use bus::{Record, Refused, Topic};
use directory::{PendingCutoff, Refusal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lease::Lease;
use crate::line::place;
use crate::outage::{Outage, Trouble};
use crate::{BATCH, Failure, POLL, Relay};

const TOPIC: Topic = Topic::Revocations;
/// How long a record that was handed to a bus may still come onto the topic, with room to spare.
const LATE: Duration = Duration::from_secs(60);
/// What changed within this time may have been on its way when the lease changed hands; also when that is looked at once more
/// after [`LATE`].
const RECENT: Duration = Duration::from_secs(5 * 60);

/// Against an older revision that comes onto the topic behind a newer one, which compaction would then keep: what changed
/// lately is published again when somebody else may have been publishing, or nobody knows whether a publish arrived, and
/// once more when nothing of it can be on its way any longer.
#[derive(Debug, Default)]
struct Recall {
    now: bool,
    later: Option<Instant>,
}

impl Recall {
    fn unsure(&mut self) {
        *self = Self { now: true, later: Some(Instant::now() + LATE) };
    }

    async fn run(&mut self, relay: &Relay) -> directory::Result<()> {
        let late = self.later.is_some_and(|at| at <= Instant::now());
        if self.now || late {
            let recalled = relay.directory.recall_cutoffs(0, Some(RECENT)).await?;
            tracing::debug!(recalled, "what changed lately is published again");
            self.now = false;
            self.later = self.later.filter(|_| !late);
        }
        Ok(())
    }
}

pub(crate) async fn run(relay: &Relay, stop: CancellationToken) {
    let mut bell = relay.directory.wake.pending.listen();
    let mut lease = Lease::new(relay, "relay/0/revocations".to_owned());
    let (mut bus, mut database) = (Outage::of("bus", TOPIC), Outage::of("database", TOPIC));
    let mut recall = Recall::default();
    let mut position = Uuid::nil();
    loop {
        let pause = bus.pause().max(database.pause());
        let stepped = tokio::select! {
            // A publish that is left alone counts as one that did not arrive: it stays pending.
            () = stop.cancelled() => break,
            stepped = async {
                tokio::time::sleep(pause).await;
                step(relay, &mut lease, &mut recall, &mut position).await
            } => stepped,
        };
        let failure = match stepped {
            Ok(true) => {
                database.over();
                bus.over();
                continue;
            }
            Ok(false) => {
                database.over();
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = bell.heard_or(POLL) => continue,
                }
            }
            Err(failure) => failure,
        };
        relay.metrics.failed(TOPIC);
        position = Uuid::nil();
        match failure {
            Failure::Bus(bus::Error::Closed) => break,
            Failure::Bus(error @ bus::Error::Unusable(_)) => bus.failed(&error, Trouble::NeedsHelp),
            Failure::Bus(error) => {
                recall.unsure();
                bus.failed(&error, Trouble::Passing);
            }
            Failure::Directory(error) => database.failed(&error, Trouble::Passing),
        }
    }
    lease.release().await;
}

/// Publishes the next page of the pass. Whether there was one.
async fn step(relay: &Relay, lease: &mut Lease<'_>, recall: &mut Recall, position: &mut Uuid) -> Result<bool, Failure> {
    if !lease.held().await? {
        *position = Uuid::nil();
        return Ok(false);
    }
    if lease.was_taken() {
        recall.unsure();
    }
    if recall.now {
        // A topic that is not there is for subscribers one that cannot be read: it is made before anybody is revoked.
        relay.bus.publish(TOPIC, Vec::new()).await?;
        if relay.bus.is_empty(TOPIC).await? {
            // Whoever reads it from the start would let everybody pass.
            let recalled = relay.directory.recall_cutoffs(0, None).await?;
            if recalled > 0 {
                tracing::warn!(recalled, "the topic of revocations was empty; every cutoff is published again");
            }
        }
    }
    recall.run(relay).await?;
    let limit = i64::try_from(BATCH).expect("a batch is small");
    let changed = relay.directory.pending_cutoffs(0, *position, limit).await?;
    relay.metrics.read(TOPIC, changed.len());
    // What changed behind the position has rung the bell, and is found by the next pass.
    let Some(last) = changed.last().map(|c| c.subject) else {
        *position = Uuid::nil();
        return Ok(false);
    };
    publish(relay, &changed).await?;
    *position = last;
    if !lease.lasts() {
        // It took so long that somebody else may have published something newer before it.
        recall.unsure();
        recall.run(relay).await?;
    }
    Ok(true)
}

async fn publish(relay: &Relay, changed: &[PendingCutoff]) -> Result<(), Failure> {
    let record = |c: &PendingCutoff| Record { key: c.subject, id: c.subject, body: c.render().into(), trace: None };
    let refused = match relay.bus.publish(TOPIC, changed.iter().map(record).collect()).await {
        Ok(()) => Vec::new(),
        Err(bus::Error::Refused(refused)) => refused,
        Err(error) => return Err(error.into()),
    };
    let refused: HashMap<Uuid, Refused> = refused.into_iter().map(|r| (r.id, r)).collect();
    let (mut acknowledged, mut parked) = (Vec::new(), Vec::new());
    for cutoff in changed {
        let row = (cutoff.subject, cutoff.revision);
        match refused.get(&cutoff.subject) {
            Some(r) => parked.push(Refusal { row, place: place(TOPIC, r), reason: r.reason.clone() }),
            None => acknowledged.push(row),
        }
    }
    if !parked.is_empty() {
        relay.directory.park_cutoffs(0, &parked).await?;
        relay.metrics.parked(TOPIC, parked.len());
    }
    relay.directory.acknowledge_cutoffs(0, &acknowledged).await?;
    relay.metrics.published(TOPIC, acknowledged.len());
    Ok(())
}
