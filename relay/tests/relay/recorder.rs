//! A bus that remembers what it was given, and fails in the way that a test asks for.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::{Bus, Error, Record, Refused, Subscription, Topic};
use serde_json::Value;

#[derive(Clone, Copy)]
pub enum Mood {
    Well,
    /// It does not say whether it took them.
    Away,
    Misconfigured,
    /// It never takes records with this text in them.
    Refuses(&'static str),
}

#[derive(Clone)]
pub struct Recorder {
    told: Arc<Mutex<Vec<(Topic, Record)>>>,
    mood: Arc<Mutex<Mood>>,
    /// How often it was asked.
    asked: Arc<Mutex<Vec<Topic>>>,
}

impl Recorder {
    pub fn new(mood: Mood) -> Self {
        Self { told: Arc::default(), mood: Arc::new(Mutex::new(mood)), asked: Arc::default() }
    }

    pub fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn told(&self, topic: Topic) -> Vec<Record> {
        self.told.lock().unwrap().iter().filter(|(t, _)| *t == topic).map(|(_, record)| record.clone()).collect()
    }

    pub fn bodies(&self, topic: Topic) -> Vec<Value> {
        self.told(topic).iter().map(|record| serde_json::from_str(&record.body).unwrap()).collect()
    }

    pub fn asked(&self, topic: Topic) -> usize {
        self.asked.lock().unwrap().iter().filter(|t| **t == topic).count()
    }
}

#[async_trait]
impl Bus for Recorder {
    async fn publish(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error> {
        self.asked.lock().unwrap().push(topic);
        let mood = *self.mood.lock().unwrap();
        let (refused, taken): (Vec<Record>, Vec<Record>) = match mood {
            Mood::Well => (Vec::new(), records),
            Mood::Away => return Err(Error::Unavailable("connection refused".into())),
            Mood::Misconfigured => return Err(Error::Unusable("the topic is not compacted".into())),
            Mood::Refuses(text) => records.into_iter().partition(|record| record.body.contains(text)),
        };
        self.told.lock().unwrap().extend(taken.into_iter().map(|record| (topic, record)));
        if refused.is_empty() {
            return Ok(());
        }
        let reason = "the record is larger than 1 MiB";
        Err(Error::Refused(refused.iter().map(|r| Refused { id: r.id, reason: reason.to_owned() }).collect()))
    }

    async fn subscribe(&self, _: &'static str, _: Topic) -> Result<Box<dyn Subscription>, Error> {
        Err(Error::Closed)
    }
}
