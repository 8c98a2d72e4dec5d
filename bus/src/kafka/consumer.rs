//! The thread of a consumer: the only one that talks to it. It polls all the time, so that a slow subscriber never looks like
//! a dead one; reads ahead a little; and commits what is acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::mpsc;

use super::error::{Trouble, denied, hopeless, lost, misconfigured, missing};
use super::health::Health;
use super::member::{Member, settle};
use super::progress::{Place, Progress};
use super::wire;
use crate::{Error, Received, Topic, Unreadable};

/// The longest wait of one poll: how late an acknowledgement is noticed, and the end.
const POLL: Duration = Duration::from_millis(50);

/// From so many records that wait for the subscriber on, no more are fetched; below the other number they are again.
const ENOUGH: usize = 4_000;
const FEW: usize = 1_000;

/// How long it waits until a position is set back: librdkafka does that by itself, without the brokers. Without waiting it
/// would not say whether it did.
const SEEK: Duration = Duration::from_secs(1);

/// How long the end is waited for. Without the brokers nothing can be committed, and what was acknowledged comes again.
const CLOSING: Duration = Duration::from_secs(1);

/// So many fatal errors within such a time are too many; before that, the consumer is made anew.
///
/// A real second process of the same name fences this one again and again. But so do the brokers after most outages: a
/// commit from before it reaches them when the member has begun to join anew, under a new member id, and librdkafka ends the
/// consumer for good. That is an end like another, and does not count.
const TOO_MANY: (usize, Duration) = (3, Duration::from_secs(60));

/// What the thread hands over.
pub(crate) enum Polled {
    Read(Read),
    /// The topic is not there.
    Missing,
    /// Nothing more comes.
    End(Error),
}

pub(crate) struct Read {
    pub place: Place,
    pub record: Result<Received, Unreadable>,
}

/// What the thread and the subscription share.
#[derive(Default)]
pub(crate) struct Shared {
    progress: Mutex<Progress>,
    /// Records read and not yet handed out.
    pub waiting: AtomicUsize,
    pub stop: AtomicBool,
    closed: Mutex<bool>,
    closing: Condvar,
}

impl Shared {
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until the consumer has left, for [`CLOSING`] at most.
    pub fn wait_until_closed(&self) {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.closing.wait_timeout_while(closed, CLOSING, |closed| !*closed);
        if !*waited.unwrap_or_else(PoisonError::into_inner).0 {
            tracing::warn!("the end of a Kafka consumer takes long; what was acknowledged last may come again");
        }
    }

    fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.closing.notify_all();
    }
}

/// Who follows what.
pub(crate) struct Consumer {
    pub client: ClientConfig,
    pub topic: Topic,
    /// Its name on the brokers.
    pub name: String,
    pub group: String,
    pub instance: String,
    pub health: Health,
}

impl Consumer {
    /// Starts the thread. It ends with [`Shared::stop`].
    pub fn start(self) -> Result<(mpsc::UnboundedReceiver<Polled>, Arc<Shared>), Error> {
        self.health.metrics.follows(self.topic);
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let run = {
            let shared = shared.clone();
            move || {
                // Also if it panics: somebody may wait.
                let _closed = Closed(shared.clone());
                let ended = self.run(&sender, &shared);
                self.health.metrics.lag(self.topic, 0);
                if let Err(error) = ended {
                    // The subscription has gone if nobody takes it; then nobody needs it.
                    sender.send(Polled::End(error)).unwrap_or_default();
                }
            }
        };
        let thread = thread::Builder::new().name("kafka consumer".to_owned()).spawn(run);
        thread.map_err(|error| Trouble::of("no thread could be had for a Kafka consumer", error).unavailable())?;
        Ok((receiver, shared))
    }

    /// Follows until it is told to stop, with one consumer after the other.
    ///
    /// Errors: why nothing more will come.
    fn run(&self, sender: &mpsc::UnboundedSender<Polled>, shared: &Arc<Shared>) -> Result<(), Error> {
        let mut ends: Vec<Instant> = Vec::new();
        while let Some((error, cut)) = self.follow(sender, shared)? {
            ends.retain(|at| at.elapsed() < TOO_MANY.1);
            if !cut {
                ends.push(Instant::now());
            }
            if ends.len() >= TOO_MANY.0 {
                return Err(lost(&error, &self.group, &self.instance).unusable());
            }
            tracing::warn!(%error, topic = self.name, "a Kafka consumer cannot go on; it is made anew");
            shared.progress().clear();
        }
        Ok(())
    }

    /// Follows until it is told to stop, or until a fatal error, which it returns, and whether it was cut off before.
    ///
    /// Errors: another consumer would do no better.
    fn follow(
        &self,
        sender: &mpsc::UnboundedSender<Polled>,
        shared: &Arc<Shared>,
    ) -> Result<Option<(KafkaError, bool)>, Error> {
        let member = Member {
            topic: self.topic,
            name: self.name.clone(),
            health: self.health.clone(),
            shared: shared.clone(),
            cut: AtomicBool::new(false),
        };
        let consumer = BaseConsumer::from_config_and_context(&self.client, member).map_err(misconfigured)?;
        consumer
            .subscribe(&[&self.name])
            .map_err(|error| Trouble::of(format!("the topic {} cannot be followed", self.name), error).unusable())?;
        let mut paused = false;
        while !shared.stop.load(Ordering::Acquire) {
            match consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => self.take(&message, sender, shared),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Ok(Some((error, consumer.context().cut.load(Ordering::Acquire))));
                }
                Some(Err(error)) => self.fail(&error, sender)?,
            }
            settle(&consumer, &self.name, shared);
            rewind(&consumer, &self.name, shared);
            throttle(&consumer, shared, &mut paused);
        }
        // Dropping the consumer gives its partitions back, which settles and commits.
        Ok(None)
    }

    fn take(&self, message: &BorrowedMessage<'_>, sender: &mpsc::UnboundedSender<Polled>, shared: &Shared) {
        self.health.well();
        let Some(place) = shared.progress().read(message.partition(), message.offset()) else { return };
        let record = wire::read(self.topic, message);
        if let Err(Unreadable { place, reason }) = &record {
            self.health.metrics.unreadable(self.topic);
            tracing::warn!(place, reason, "a record cannot be understood");
        }
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        // Nobody takes it if the subscription has just ended; it comes again.
        sender.send(Polled::Read(Read { place, record })).unwrap_or_default();
    }

    /// What went wrong with the consumer as a whole.
    ///
    /// Errors: nothing more will come.
    fn fail(&self, error: &KafkaError, sender: &mpsc::UnboundedSender<Polled>) -> Result<(), Error> {
        match error.rdkafka_error_code() {
            Some(code) if hopeless(code) => return Err(lost(error, &self.group, &self.instance).unusable()),
            Some(code) if missing(code) => {
                tracing::warn!(topic = self.name, "the topic is gone; it is made again");
                sender.send(Polled::Missing).unwrap_or_default();
            }
            // Told where librdkafka told it.
            Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => {}
            Some(code) if denied(code) => {
                self.health.trouble(code, &format!("following {} as {}: {code}", self.name, self.group));
            }
            _ => tracing::warn!(%error, topic = self.name, "a Kafka consumer fails; it goes on"),
        }
        Ok(())
    }
}

/// Whoever waits for the end of the thread need not wait any more.
struct Closed(Arc<Shared>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Goes back to what was given back.
fn rewind<C: ConsumerContext>(consumer: &BaseConsumer<C>, name: &str, shared: &Shared) {
    let rewinds = shared.progress().rewinds();
    for (partition, offset) in rewinds {
        match consumer.seek(name, partition, Offset::Offset(offset), SEEK) {
            Ok(()) => shared.progress().rewound(partition),
            // It has no position yet, or no more; the next turn tries again, unless the partition is taken away.
            Err(error) => tracing::debug!(%error, topic = name, partition, "the position could not be set back yet"),
        }
    }
}

/// Fetches no more than the subscriber can take.
fn throttle<C: ConsumerContext>(consumer: &BaseConsumer<C>, shared: &Shared, paused: &mut bool) {
    let waiting = shared.waiting.load(Ordering::Acquire);
    let change = match (waiting, *paused) {
        // Also when it is paused already: partitions may have come since.
        (ENOUGH.., _) => true,
        (..FEW, true) => false,
        _ => return,
    };
    let changed = consumer.assignment().and_then(|partitions| match change {
        true => consumer.pause(&partitions),
        false => consumer.resume(&partitions),
    });
    match changed {
        Ok(()) => *paused = change,
        Err(error) => tracing::debug!(%error, "a Kafka consumer could not be paused or resumed yet"),
    }
}
