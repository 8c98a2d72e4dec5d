//! Publishes: records go to the brokers in order, and a publish returns once each of them is answered for.
//!
//! librdkafka's producer keeps the order per partition over retries, as long as it never gives up one record and goes on
//! with the next. So it gives up none; the publish does, when nothing moves, and with it the whole producer (*line*): what
//! was not sent is thrown away at once. What did reach the brokers is then a beginning of what was published, and publishing
//! again repeats it from its start. A record may be there twice, but a later one is not there before an earlier one. (Unless a
//! broker refuses one request for good and takes the next: then subscribers see the hole by `prev`.)

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::error::{Trouble, denied, missing};
use super::health::Health;
use super::line::{Landed, Line, PATIENCE};
use super::topics::Topics;
use crate::{Error, Record, Refused, Topic};

pub(crate) struct Publisher {
    client: ClientConfig,
    topics: Topics,
    health: Health,
    line: Mutex<Option<Arc<Line>>>,
}

impl Publisher {
    pub fn new(client: ClientConfig, topics: Topics, health: Health) -> Self {
        Self { client, topics, health, line: Mutex::default() }
    }

    pub async fn publish(&self, topic: Topic, records: &[Record]) -> Result<(), Error> {
        self.topics.ensure(topic).await?;
        if records.is_empty() {
            return Ok(());
        }
        let all: Vec<usize> = (0..records.len()).collect();
        let landed = self.carry(topic, records, &all).await?;
        let mut refused = landed.unsendable;
        match landed.refused.as_slice() {
            [] => {}
            [alone] if records.len() == 1 => refused.push(*alone),
            // A broker refuses a request for one record in it: each by itself shows which.
            several => {
                for (index, _) in several {
                    let landed = self.carry(topic, records, &[*index]).await?;
                    refused.extend(landed.refused);
                }
            }
        }
        self.health.metrics.published(topic, records.len() - refused.len());
        if refused.is_empty() {
            return Ok(());
        }
        self.health.metrics.refused(topic, refused.len());
        refused.sort_unstable_by_key(|(index, _)| *index);
        let told = |(index, code): (usize, Code)| Refused { id: records[index].id, reason: code.to_string() };
        Err(Error::Refused(refused.into_iter().map(told).collect()))
    }

    /// Carries the records at `indices`, in this order.
    async fn carry(&self, topic: Topic, records: &[Record], indices: &[usize]) -> Result<Landed, Error> {
        let line = self.line()?;
        let name = self.topics.name(topic);
        let landed = line.carry(&name, topic, records, indices).await;
        let code = match landed {
            Landed { stalled: true, .. } => None,
            Landed { failed: Some(code), .. } => Some(code),
            landed => return Ok(landed),
        };
        self.retire(&line);
        // Whatever it was, the topic may not be the same after it.
        self.topics.forget(topic);
        let sentence = match code {
            None => format!("no broker answered for {} s for records to {name}", PATIENCE.as_secs()),
            Some(code) if denied(code) => {
                self.health.trouble(code, &format!("records to {name}: {code}"));
                format!("the brokers do not let Leaver write to {name}; grant Write and IdempotentWrite")
            }
            Some(code) if missing(code) => format!("the topic {name} is gone; it is made again"),
            Some(_) => format!("the brokers did not acknowledge records to {name}"),
        };
        Err(match code {
            // Thrown away with the line, for a reason that brokers told.
            None | Some(Code::PurgeQueue | Code::PurgeInflight) => self.health.because(sentence),
            Some(code) => Trouble::of(sentence, code),
        }
        .unavailable())
    }

    fn line(&self) -> Result<Arc<Line>, Error> {
        let mut current = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = &*current {
            return Ok(line.clone());
        }
        let line = Arc::new(Line::open(&self.client, self.health.clone())?);
        *current = Some(line.clone());
        Ok(line)
    }

    /// Nothing is sent on this line any more; the next publish opens another.
    fn retire(&self, line: &Arc<Line>) {
        let mut current = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, line)) {
            *current = None;
        }
        line.retire();
    }
}
