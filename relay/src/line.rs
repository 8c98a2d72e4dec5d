//! A line of pending records: where they are read from, where they go, and how they are forgotten.

use bus::{Record, Refused, Topic};
use directory::{Bell, Directory, PendingRecord, Refusal, Wake};
use lifecycle::Lane;

/// Events of one lane, or steps of receipts. Each has a topic, a lease and an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Lane(Lane),
    Receipts,
}

impl Line {
    pub(crate) fn topic(self) -> Topic {
        match self {
            Line::Lane(lane) => Topic::Lifecycle(lane),
            Line::Receipts => Topic::Receipts,
        }
    }

    pub(crate) fn lease(self) -> String {
        match self {
            Line::Lane(lane) => format!("relay/0/{}", lane.as_str()),
            Line::Receipts => "relay/0/receipts".to_owned(),
        }
    }

    /// Rung when there may be something to read.
    pub(crate) fn bell(self, wake: &Wake) -> &Bell {
        match self {
            Line::Lane(_) => &wake.pending,
            Line::Receipts => &wake.progress,
        }
    }

    pub(crate) async fn read(
        self,
        directory: &Directory,
        position: i64,
        limit: i64,
    ) -> directory::Result<Vec<PendingRecord>> {
        match self {
            Line::Lane(lane) => directory.pending_events(0, lane, position, limit).await,
            Line::Receipts => directory.pending_receipts(0, position, limit).await,
        }
    }

    pub(crate) async fn forget(self, directory: &Directory, ids: &[i64]) -> directory::Result<()> {
        match self {
            Line::Lane(lane) => directory.acknowledge(0, lane, ids).await,
            Line::Receipts => directory.acknowledge_receipts(0, ids).await,
        }
    }

    pub(crate) async fn park(self, directory: &Directory, refused: &[Refusal<i64>]) -> directory::Result<()> {
        match self {
            Line::Lane(lane) => directory.park_events(0, lane, refused).await,
            Line::Receipts => directory.park_receipts(0, refused).await,
        }
    }
}

pub(crate) fn record(row: PendingRecord) -> Record {
    Record { key: row.subject, id: row.record, body: row.body.into(), trace: row.trace.map(Into::into) }
}

/// Told for each record that is parked, and where it is found.
pub(crate) fn place(topic: Topic, refused: &Refused) -> String {
    let (topic, id, reason) = (topic.as_str(), refused.id, &*refused.reason);
    tracing::error!(topic, record.id = %id, reason, "the bus will never take a record; it is parked");
    format!("{topic}/{id}")
}
