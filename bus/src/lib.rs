//! The bus: carries committed records to whoever follows them. Whatever comes after it is idempotent.

pub mod kafka;
mod local;
pub mod trace;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lifecycle::Lane;
use uuid::Uuid;

pub use kafka::Kafka;
pub use local::Local;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Lifecycle events of one lane.
    Lifecycle(Lane),
    /// All cutoffs of a subject; read from its start it is the revocation state.
    Revocations,
    /// What became of each revocation at each downstream.
    Receipts,
}

impl Topic {
    pub const ALL: [Topic; 4] =
        [Topic::Lifecycle(Lane::Urgent), Topic::Lifecycle(Lane::Bulk), Topic::Revocations, Topic::Receipts];

    /// The name without a prefix, such as `lifecycle.urgent.v1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Lifecycle(Lane::Urgent) => "lifecycle.urgent.v1",
            Topic::Lifecycle(Lane::Bulk) => "lifecycle.bulk.v1",
            Topic::Revocations => "revocations.v1",
            Topic::Receipts => "receipts.v1",
        }
    }
}

/// One record. Records of one key keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The subject.
    pub key: Uuid,
    /// Of the event; for [`Topic::Revocations`] the subject's.
    pub id: Uuid,
    pub body: Arc<str>,
    /// The W3C `traceparent` of what caused it (Trace Context §3.2), if it is traced.
    pub trace: Option<Arc<str>>,
}

/// A record as a subscriber gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub record: Record,
    /// The bus's own timestamp.
    pub published_at: DateTime<Utc>,
}

/// Something on a topic that nobody can understand. It is told once and not sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Topic, partition and offset.
    pub place: String,
    pub reason: String,
}

/// Records as a subscriber gets them. They count as taken only once [`Batch::acknowledge`] is called; dropped unacknowledged,
/// they come again.
pub struct Batch {
    pub records: Vec<Received>,
    pub unreadable: Vec<Unreadable>,
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Batch {
    pub fn new(
        records: Vec<Received>,
        unreadable: Vec<Unreadable>,
        acknowledge: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { records, unreadable, acknowledge: Box::new(acknowledge) }
    }

    /// Says that the effect of every record here is durable.
    pub fn acknowledge(self) {
        (self.acknowledge)();
    }
}

/// Why a record will never be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// [`Record::id`].
    pub id: Uuid,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Publish again: a subscriber ended before its effect was durable.
    #[error("a subscriber of the bus ended before it acknowledged")]
    NotAcknowledged,
    /// Wait, then publish again.
    #[error("the bus could not be reached")]
    Unavailable(#[source] BoxError),
    /// Park these; every other record of the same call was acknowledged.
    #[error("the bus will never take {} of the records", .0.len())]
    Refused(Vec<Refused>),
    /// Ask a human: the bus is not as Leaver needs it, or may not be used.
    #[error("the bus cannot be used as it is configured")]
    Unusable(#[source] BoxError),
    /// Stop: the bus is shutting down.
    #[error("the bus is closed")]
    Closed,
}

/// Publishes and subscribes. `publish` returns once the records are durable: acknowledged by the brokers, or, in process, by
/// every durable subscriber.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Makes sure of the topic first, also where there are no records.
    async fn publish(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error>;

    /// Whether a topic that keeps records has none: it is new, or was made anew. A bus that keeps nothing has nothing to lose.
    async fn is_empty(&self, _topic: Topic) -> Result<bool, Error> {
        Ok(false)
    }

    /// Follows a topic as a member of `group`.
    async fn subscribe(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Subscription>, Error>;
}

#[async_trait]
pub trait Subscription: Send {
    /// The next batch. Cancel safe. Errors: [`Error::Closed`] when nothing more will come.
    async fn next(&mut self) -> Result<Batch, Error>;
}
