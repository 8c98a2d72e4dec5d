//! The bus within one process: bounded channels to a fixed list of durable subscribers. What they have not acknowledged
//! stays pending in Postgres, so a crash loses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::Utc;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Batch, Bus, Error, Received, Record, Subscription, Topic};

/// How many batches may wait for a subscriber before publishing waits too.
const DEPTH: usize = 16;

type Key = (&'static str, Topic);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    durable: Arc<[Key]>,
    lines: Arc<Mutex<HashMap<Key, mpsc::Sender<Envelope>>>>,
    registered: watch::Sender<u64>,
}

struct Envelope {
    records: Vec<Received>,
    taken: oneshot::Sender<()>,
}

impl Local {
    /// `durable` lists who must acknowledge what; publishing waits for those that have not subscribed yet.
    pub fn new(durable: impl IntoIterator<Item = (&'static str, Topic)>) -> Self {
        Self { durable: durable.into_iter().collect(), lines: Arc::default(), registered: watch::Sender::new(0) }
    }

    async fn line(&self, key: Key) -> Result<mpsc::Sender<Envelope>, Error> {
        let mut registered = self.registered.subscribe();
        loop {
            registered.borrow_and_update();
            let found = self.lines.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            if let Some(line) = found.filter(|line| !line.is_closed()) {
                return Ok(line);
            }
            registered.changed().await.map_err(|_| Error::Closed)?;
        }
    }
}

#[async_trait]
impl Bus for Local {
    async fn publish(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error> {
        // A topic in process is always there.
        if records.is_empty() {
            return Ok(());
        }
        let published_at = Utc::now();
        let records: Vec<Received> = records.into_iter().map(|record| Received { record, published_at }).collect();
        let mut answers = Vec::new();
        for key in self.durable.iter().filter(|(_, t)| *t == topic) {
            let (taken, answer) = oneshot::channel();
            let envelope = Envelope { records: records.clone(), taken };
            self.line(*key).await?.send(envelope).await.map_err(|_| Error::NotAcknowledged)?;
            answers.push(answer);
        }
        for answer in answers {
            answer.await.map_err(|_| Error::NotAcknowledged)?;
        }
        Ok(())
    }

    async fn subscribe(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Subscription>, Error> {
        let (sender, receiver) = mpsc::channel(DEPTH);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert((group, topic), sender);
        self.registered.send_modify(|count| *count += 1);
        Ok(Box::new(Line(receiver)))
    }
}

struct Line(mpsc::Receiver<Envelope>);

#[async_trait]
impl Subscription for Line {
    async fn next(&mut self) -> Result<Batch, Error> {
        let Envelope { records, taken } = self.0.recv().await.ok_or(Error::Closed)?;
        // The publisher may have gone meanwhile; then nobody waits for the answer, and the records come again.
        Ok(Batch::new(records, Vec::new(), move || {
            if taken.send(()).is_err() {
                tracing::debug!("the publisher is gone; the records come again")
            }
        }))
    }
}
