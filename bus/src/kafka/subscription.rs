//! A subscription: takes what the consumer's thread has read, in batches, without waiting for more.
//!
//! A batch that is dropped unacknowledged comes again, also within this subscription: its partitions are read again from the
//! first record that is not acknowledged, and whatever of them was handed out since counts for nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::consumer::{Consumer, Polled, Read, Shared};
use super::progress::{Place, Span};
use super::topics::Topics;
use crate::{Batch, Error, Topic};

/// Largest number of records in one batch.
const BATCH: usize = 500;

/// How long it waits before it asks again for a topic that cannot be had.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) struct Subscription {
    topic: Topic,
    topics: Topics,
    state: State,
    /// The topic is looked at, and made. A task, so that it comes to an end however often [`next`] is cancelled meanwhile.
    ///
    /// [`next`]: crate::Subscription::next
    ensuring: Option<Ensuring>,
}

struct Ensuring(JoinHandle<Result<(), Error>>);

impl Drop for Ensuring {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum State {
    /// The topic was not looked at yet: a subscription begins without the brokers.
    New(Box<Consumer>),
    Following(Following),
    Ended,
}

struct Following {
    polled: mpsc::UnboundedReceiver<Polled>,
    shared: Arc<Shared>,
    /// The topic is gone, and must be made again.
    missing: bool,
    /// What there is to say after the records that were read before it.
    end: Option<Error>,
}

impl Subscription {
    pub fn new(topic: Topic, topics: Topics, consumer: Consumer) -> Self {
        Self { topic, topics, state: State::New(Box::new(consumer)), ensuring: None }
    }

    /// One step: a batch, or none if there was something else to do. Cancel safe.
    async fn step(&mut self) -> Result<Option<Batch>, Error> {
        match &mut self.state {
            State::New(_) => {
                self.ensured().await?;
                if let State::New(consumer) = std::mem::replace(&mut self.state, State::Ended) {
                    let (polled, shared) = consumer.start()?;
                    self.state = State::Following(Following { polled, shared, missing: false, end: None });
                }
                Ok(None)
            }
            State::Following(following) if following.missing => {
                if self.ensuring.is_none() {
                    self.topics.forget(self.topic);
                }
                self.ensured().await?;
                if let State::Following(following) = &mut self.state {
                    following.missing = false;
                }
                Ok(None)
            }
            State::Following(following) => following.next().await,
            State::Ended => Err(Error::Closed),
        }
    }

    /// Returns once the topic is there and suits.
    async fn ensured(&mut self) -> Result<(), Error> {
        let ensure = || Ensuring(tokio::spawn(until_there(self.topics.clone(), self.topic)));
        let ensuring = self.ensuring.get_or_insert_with(ensure);
        let result = (&mut ensuring.0).await;
        self.ensuring = None;
        result.map_err(|_| Error::Closed)?
    }
}

#[async_trait]
impl crate::Subscription for Subscription {
    async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            match self.step().await {
                Ok(Some(batch)) => return Ok(batch),
                Ok(None) => {}
                Err(error) => {
                    self.state = State::Ended;
                    return Err(error);
                }
            }
        }
    }
}

/// Waits, through an outage, until the topic is there and suits.
async fn until_there(topics: Topics, topic: Topic) -> Result<(), Error> {
    let mut told = false;
    loop {
        match topics.ensure(topic).await {
            Err(Error::Unavailable(error)) => {
                if !told {
                    let error = &*error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, topic = topic.as_str(), "not following yet; trying again");
                    told = true;
                }
                tokio::time::sleep(AGAIN).await;
            }
            other => return other,
        }
    }
}

impl Following {
    /// The next batch; none if there is something else to do first. Cancel safe: what it has taken, it has answered with.
    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if let Some(error) = self.end.take() {
            return Err(error);
        }
        let mut polled = Vec::new();
        if self.polled.recv_many(&mut polled, BATCH).await == 0 {
            return Err(Error::Closed);
        }
        let mut read = Vec::with_capacity(polled.len());
        for polled in polled {
            match polled {
                Polled::Read(one) => read.push(one),
                Polled::Missing => self.missing = true,
                Polled::End(error) => self.end = Some(error),
            }
        }
        self.shared.waiting.fetch_sub(read.len(), Ordering::AcqRel);
        let mut progress = self.shared.progress();
        read.retain(|one| progress.holds(one.place));
        let places: Vec<Place> = read.iter().map(|one| one.place).collect();
        let spans = progress.hand_out(&places);
        drop(progress);
        Ok((!read.is_empty()).then(|| batch(read, Receipt { shared: self.shared.clone(), spans })))
    }
}

fn batch(read: Vec<Read>, receipt: Receipt) -> Batch {
    let mut records = Vec::with_capacity(read.len());
    let mut unreadable = Vec::new();
    for one in read {
        match one.record {
            Ok(record) => records.push(record),
            Err(nobody) => unreadable.push(nobody),
        }
    }
    Batch::new(records, unreadable, move || receipt.acknowledge())
}

/// What a batch owes: an acknowledgement, or to come again.
struct Receipt {
    shared: Arc<Shared>,
    spans: Vec<Span>,
}

impl Receipt {
    fn acknowledge(mut self) {
        let spans = std::mem::take(&mut self.spans);
        self.shared.progress().acknowledge(&spans);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.spans.is_empty() {
            self.shared.progress().give_back(&self.spans);
        }
    }
}

impl Drop for Following {
    /// Waits, not for long, until what is acknowledged is committed: the process may be about to end.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.polled.close();
        self.shared.wait_until_closed();
    }
}
