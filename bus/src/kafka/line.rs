//! A line to the brokers: one producer, and the records on their way. One delivery callback per record counts a publish down;
//! that is a third cheaper than a future per record.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::Notify;

use super::error::{misconfigured, refused};
use super::health::Health;
use super::wire;
use crate::{Error, Record, Topic};

/// How long a publish waits while no broker answers for any of its records.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One producer, until it is retired.
pub(crate) struct Line {
    /// Always there, until it is dropped.
    producer: Option<ThreadedProducer<Reports>>,
    retired: AtomicBool,
    room: Arc<Notify>,
}

/// What a producer tells.
struct Reports {
    health: Health,
    room: Arc<Notify>,
}

/// One publish on its way.
#[derive(Default)]
struct Flight {
    /// Records that nobody has answered for.
    left: AtomicUsize,
    failed: Mutex<Vec<(usize, Code)>>,
    /// When the last one was.
    done: Notify,
}

/// What librdkafka carries with each record: the publish, and which of its records it is.
struct Ticket {
    flight: Arc<Flight>,
    index: usize,
}

/// What became of a publish.
#[derive(Default)]
pub(crate) struct Landed {
    /// Records that were never sent, because they are too large for any broker.
    pub unsendable: Vec<(usize, Code)>,
    /// Records that a broker refused, alone or because of another in the same request.
    pub refused: Vec<(usize, Code)>,
    /// What else went wrong.
    pub failed: Option<Code>,
    pub stalled: bool,
}

impl Line {
    pub fn open(client: &ClientConfig, health: Health) -> Result<Self, Error> {
        let room = Arc::new(Notify::new());
        let reports = Reports { health, room: room.clone() };
        let producer = ThreadedProducer::from_config_and_context(client, reports).map_err(misconfigured)?;
        Ok(Self { producer: Some(producer), retired: AtomicBool::new(false), room })
    }

    fn producer(&self) -> &ThreadedProducer<Reports> {
        self.producer.as_ref().expect("only dropping takes the producer")
    }

    /// Throws away what was not sent. Whoever waits for it hears so at once.
    pub fn retire(&self) {
        if !self.retired.swap(true, Ordering::AcqRel) {
            self.producer().purge(PurgeConfig::default().queue().inflight().non_blocking());
            self.room.notify_waiters();
        }
    }

    /// Carries the records at `indices`, in this order, until each is answered for, or nothing moves any more.
    pub async fn carry(&self, name: &str, topic: Topic, records: &[Record], indices: &[usize]) -> Landed {
        let flight = Arc::new(Flight { left: AtomicUsize::new(indices.len()), ..Flight::default() });
        let mut landed = Landed::default();
        for (at, &index) in indices.iter().enumerate() {
            match self.send(name, topic, &records[index], Ticket { flight: flight.clone(), index }).await {
                Ok(()) => {}
                Err(code) if refused(code) => {
                    flight.left.fetch_sub(1, Ordering::AcqRel);
                    landed.unsendable.push((index, code));
                }
                Err(code) => {
                    landed.stalled = code == Code::QueueFull;
                    landed.failed = Some(code);
                    flight.left.fetch_sub(indices.len() - at, Ordering::AcqRel);
                    return landed;
                }
            }
        }
        landed.stalled = !flight.answered().await;
        for (index, code) in flight.failed.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if refused(code) {
                landed.refused.push((index, code));
            } else {
                landed.failed.get_or_insert(code);
            }
        }
        landed
    }

    /// Puts a record into the queue; while that is full, it waits for room.
    ///
    /// Errors: [`Code::QueueFull`] if nothing left the queue for [`PATIENCE`].
    async fn send(&self, name: &str, topic: Topic, record: &Record, ticket: Ticket) -> Result<(), Code> {
        let key = record.key.hyphenated().to_string();
        let headers = wire::headers(topic, record);
        let mut next =
            BaseRecord::with_opaque_to(name, Box::new(ticket)).key(&key).payload(&*record.body).headers(headers);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.retired.load(Ordering::Acquire) {
                return Err(Code::PurgeQueue);
            }
            next = match self.producer().send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => back,
                Err((error, _)) => return Err(error.rdkafka_error_code().unwrap_or(Code::Fail)),
            };
            if tokio::time::timeout(PATIENCE, room).await.is_err() {
                return Err(Code::QueueFull);
            }
        }
    }
}

impl Drop for Line {
    /// Closing a producer waits for its threads, so it is done where nothing else waits.
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
            let closing = thread::Builder::new().name("kafka closing".to_owned()).spawn(move || drop(producer));
            if let Err(error) = closing {
                tracing::debug!(%error, "the producer was closed in place");
            }
        }
    }
}

impl Flight {
    /// Waits until every record is answered for. False if nothing moved for [`PATIENCE`].
    async fn answered(&self) -> bool {
        let mut before = self.left.load(Ordering::Acquire);
        loop {
            let finished = async {
                while self.left.load(Ordering::Acquire) > 0 {
                    self.done.notified().await;
                }
            };
            if tokio::time::timeout(PATIENCE, finished).await.is_ok() {
                return true;
            }
            let now = self.left.load(Ordering::Acquire);
            if now == before {
                return false;
            }
            before = now;
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.health.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let Ticket { flight, index } = *ticket;
        match result {
            Ok(_) => self.health.well(),
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                flight.failed.lock().unwrap_or_else(PoisonError::into_inner).push((index, code));
            }
        }
        if flight.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            flight.done.notify_one();
        }
        self.room.notify_waiters();
    }
}
