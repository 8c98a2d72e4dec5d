//! The loop of one line: reads pages of the pending set, keeps several publishes under way, forgets what was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use tracing::Span;

use bus::Bus;
use directory::{Directory, PendingRecord, Refusal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backlog::{Backlog, Flight};
use crate::lease::Lease;
use crate::line::{Line, place, record};
use crate::metrics::Metrics;
use crate::outage::{Outage, Trouble};
use crate::{BATCH, Failure, POLL, Relay};

/// How many publishes may be under way at once.
const FLIGHTS: usize = 4;

/// A publish that came back.
struct Landed {
    flight: Flight,
    result: Result<(), Failure>,
}

pub(crate) async fn run(relay: &Relay, line: Line, stop: CancellationToken) {
    let mut bell = line.bell(&relay.directory.wake).listen();
    let mut lease = Lease::new(relay, line.lease());
    let (mut bus, mut database) = (Outage::of("bus", line.topic()), Outage::of("database", line.topic()));
    let mut backlog = Backlog::default();
    backlog.look_again();
    // Tasks of their own: a publish that waits for its turn at a connection must not wait for this loop as well.
    let mut flights: JoinSet<Landed> = JoinSet::new();
    while !stop.is_cancelled() {
        let pause = bus.pause().max(database.pause());
        if pause.is_zero() && flights.len() < FLIGHTS {
            match look(relay, line, &mut lease, &mut backlog).await {
                Ok(true) => {
                    database.over();
                    let (records, flight) = backlog.take(BATCH);
                    if !records.is_empty() {
                        let (directory, bus) = (relay.directory.clone(), relay.bus.clone());
                        flights.spawn(carry(directory, bus, relay.metrics.clone(), line, records, flight));
                        continue;
                    }
                    if backlog.page().is_some() {
                        continue;
                    }
                }
                // Somebody else does it; what was read may be old by the time that this is over.
                Ok(false) => {
                    database.over();
                    backlog.begin_again();
                }
                Err(error) => {
                    relay.metrics.failed(line.topic());
                    database.failed(&error, Trouble::Passing);
                    continue;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(landed) = flights.join_next(), if !flights.is_empty() => {
                // A publish that panicked is a crash of this task.
                let landed = landed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                backlog.landed(&landed.flight);
                let Err(failure) = landed.result else {
                    bus.over();
                    continue;
                };
                relay.metrics.failed(line.topic());
                backlog.begin_again();
                match failure {
                    Failure::Bus(bus::Error::Closed) => break,
                    Failure::Bus(error @ bus::Error::Unusable(_)) => bus.failed(&error, Trouble::NeedsHelp),
                    Failure::Bus(error) => bus.failed(&error, Trouble::Passing),
                    Failure::Directory(error) => database.failed(&error, Trouble::Passing),
                }
            }
            () = bell.heard_or(if pause.is_zero() { POLL } else { pause }) => backlog.look_again(),
        }
    }
    lease.release().await;
}

/// Reads the next page if one is wanted. Whether this process may work at all.
async fn look(relay: &Relay, line: Line, lease: &mut Lease<'_>, backlog: &mut Backlog) -> directory::Result<bool> {
    if !lease.held().await? {
        return Ok(false);
    }
    if let Some(after) = backlog.page() {
        let limit = i64::try_from(BATCH).expect("a batch is small");
        let page = line.read(&relay.directory, after, limit).await?;
        relay.metrics.read(line.topic(), page.len());
        backlog.add(page, BATCH);
    }
    Ok(true)
}

/// Publishes records and forgets them once the bus has acknowledged, or parks those that it never will.
async fn carry(
    directory: Directory,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    line: Line,
    records: Vec<PendingRecord>,
    flight: Flight,
) -> Landed {
    let rows: HashMap<Uuid, i64> = records.iter().map(|r| (r.record, r.id)).collect();
    // Each in its own trace, until its row is gone.
    let spans: Vec<Span> = records.iter().filter_map(|row| span(line, row)).collect();
    let published = bus.publish(line.topic(), records.into_iter().map(record).collect()).await;
    let done = async {
        let refused: Vec<Refusal<i64>> = match published {
            Ok(()) => Vec::new(),
            Err(bus::Error::Refused(refused)) => {
                let found = refused.into_iter().filter_map(|r| rows.get(&r.id).map(|row| (*row, r)));
                found.map(|(row, r)| Refusal { row, place: place(line.topic(), &r), reason: r.reason }).collect()
            }
            Err(error) => return Err(Failure::Bus(error)),
        };
        if refused.is_empty() {
            line.forget(&directory, &flight.ids).await?;
        } else {
            line.park(&directory, &refused).await?;
            metrics.parked(line.topic(), refused.len());
            let parked: Vec<i64> = refused.iter().map(|r| r.row).collect();
            let rest: Vec<i64> = flight.ids.iter().copied().filter(|id| !parked.contains(id)).collect();
            line.forget(&directory, &rest).await?;
        }
        metrics.published(line.topic(), flight.ids.len() - refused.len());
        Ok(())
    };
    let result = done.await;
    drop(spans);
    Landed { flight, result }
}

/// The part of a traced record that is ours; its reader goes on where its writer was, not where we are.
fn span(line: Line, row: &PendingRecord) -> Option<Span> {
    let trace = row.trace.as_deref()?;
    let topic = line.topic().as_str();
    let span = tracing::info_span!(parent: None, "publish", otel.kind = "producer", messaging.destination.name = topic, record.id = %row.record);
    bus::trace::adopt(&span, trace);
    Some(span)
}
