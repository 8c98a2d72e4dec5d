//! A local bus that a test looks into: it remembers what subscribers outside would get, loses a record on purpose, and brings
//! one that nobody can read.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::{Batch, Bus, Error, Local, Record, Subscription, Topic, Unreadable};
use serde_json::Value;

#[derive(Clone)]
pub struct Wire {
    local: Local,
    told: Arc<Mutex<Vec<(Topic, Record)>>>,
    /// The type of the next event to be lost.
    loses: Arc<Mutex<Option<&'static str>>>,
    garbage: Arc<Mutex<Option<Unreadable>>>,
}

impl Wire {
    pub fn over(local: Local) -> Self {
        Self { local, told: Arc::default(), loses: Arc::default(), garbage: Arc::default() }
    }

    /// Acknowledges the next event of this type without handing it to anybody.
    pub fn loses(&self, event_type: &'static str) {
        *self.loses.lock().unwrap() = Some(event_type);
    }

    /// Whether it has lost what it was to lose.
    pub fn has_lost(&self) -> bool {
        self.loses.lock().unwrap().is_none()
    }

    /// The next batch brings this as well.
    pub fn brings(&self, place: &str, reason: &str) {
        *self.garbage.lock().unwrap() = Some(Unreadable { place: place.to_owned(), reason: reason.to_owned() });
    }

    /// Brings everything of a topic once more.
    pub async fn brings_again(&self, topic: Topic) {
        let told = self.told.lock().unwrap().clone();
        let records = told.into_iter().filter(|(t, _)| *t == topic).map(|(_, record)| record).collect();
        self.local.publish(topic, records).await.unwrap();
    }

    /// What was published on a topic, oldest first.
    pub fn bodies(&self, topic: Topic) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|(t, _)| *t == topic).map(|(_, r)| serde_json::from_str(&r.body).unwrap()).collect()
    }
}

#[async_trait]
impl Bus for Wire {
    async fn publish(&self, topic: Topic, mut records: Vec<Record>) -> Result<(), Error> {
        self.told.lock().unwrap().extend(records.iter().map(|record| (topic, record.clone())));
        let lost = {
            let mut loses = self.loses.lock().unwrap();
            let wanted = loses.map(|what| format!(r#""type":"{what}""#));
            let lost = wanted.and_then(|text| records.iter().position(|record| record.body.contains(&text)));
            *loses = loses.filter(|_| lost.is_none());
            lost
        };
        lost.map(|index| records.remove(index));
        self.local.publish(topic, records).await
    }

    async fn subscribe(&self, group: &'static str, topic: Topic) -> Result<Box<dyn Subscription>, Error> {
        let line = self.local.subscribe(group, topic).await?;
        Ok(Box::new(Ear { line, garbage: self.garbage.clone() }))
    }
}

struct Ear {
    line: Box<dyn Subscription>,
    garbage: Arc<Mutex<Option<Unreadable>>>,
}

#[async_trait]
impl Subscription for Ear {
    async fn next(&mut self) -> Result<Batch, Error> {
        let batch = self.line.next().await?;
        let unreadable = self.garbage.lock().unwrap().take().into_iter().collect();
        Ok(Batch::new(batch.records.clone(), unreadable, move || batch.acknowledge()))
    }
}
