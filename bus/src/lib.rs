//! The bus: carries committed records to whoever follows them. Whatever comes after it is idempotent.

mod local;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lifecycle::Lane;
use uuid::Uuid;

pub use local::Local;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Lifecycle events of one lane.
    Lifecycle(Lane),
    /// All cutoffs of a subject; read from its start it is the revocation state.
    Revocations,
}

/// One record. Records of one key keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The subject.
    pub key: Uuid,
    /// Of the event; for [`Topic::Revocations`] the subject's.
    pub id: Uuid,
    pub body: Arc<str>,
}

/// Records as a subscriber gets them, with the bus's timestamp. They count as taken only once [`Batch::acknowledge`] is
/// called; dropped unacknowledged, they come again.
pub struct Batch {
    pub records: Vec<Record>,
    pub published_at: DateTime<Utc>,
    acknowledge: Box<dyn FnOnce() + Send>,
}

impl Batch {
    pub fn new(records: Vec<Record>, published_at: DateTime<Utc>, acknowledge: impl FnOnce() + Send + 'static) -> Self {
        Self { records, published_at, acknowledge: Box::new(acknowledge) }
    }

    /// Says that the effect of every record here is durable.
    pub fn acknowledge(self) {
        (self.acknowledge)();
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Publish again: a subscriber ended before its effect was durable.
    #[error("a subscriber of the bus ended before it acknowledged")]
    NotAcknowledged,
    /// Wait, then publish again.
    #[error("the bus could not be reached")]
    Unavailable(#[source] BoxError),
    /// Stop: the bus is shutting down.
    #[error("the bus is closed")]
    Closed,
}

/// Publishes and subscribes. `publish` returns once the records are durable: acknowledged by the brokers, or, in process, by
/// every durable subscriber.
#[async_trait]
pub trait Bus: Send + Sync {
    async fn publish(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error>;

    /// Follows a topic as a member of `group`.
    async fn subscribe(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Subscription>, Error>;
}

#[async_trait]
pub trait Subscription: Send {
    /// The next batch. Cancel safe. Errors: [`Error::Closed`] when nothing more will come.
    async fn next(&mut self) -> Result<Batch, Error>;
}
