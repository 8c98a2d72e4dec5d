//! Topics are made when they are first needed, and looked at before they are used.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::oneshot;

use super::error::{Trouble, denied, misconfigured, missing};
use super::health::Health;
use super::layout::{self, Found, PARTITIONS};
use super::{Config, settings};
use crate::{BoxError, Error, Topic};

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Topics(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    client: ClientConfig,
    health: Health,
    looks: HashMap<Topic, Look>,
}

#[derive(Default)]
struct Look {
    /// It was found right. Looked at again after [`Topics::forget`].
    sure: AtomicBool,
    /// What is not as it should be was told.
    told: AtomicBool,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
}

impl ConsumerContext for Health {}

impl Topics {
    pub fn new(config: Arc<Config>, instance: &str, health: Health) -> Self {
        let client = settings::common(&config, instance);
        let looks = Topic::ALL.map(|topic| (topic, Look::default())).into();
        Self(Arc::new(Inner { config, client, health, looks }))
    }

    /// The name on the brokers.
    pub fn name(&self, topic: Topic) -> String {
        format!("{}.{}", self.0.config.prefix.as_str(), topic.as_str())
    }

    /// Returns once the topic is there and suits.
    ///
    /// Errors: [`Error::Unavailable`] while that cannot be said, [`Error::Unusable`] with the edit that mends it.
    pub async fn ensure(&self, topic: Topic) -> Result<(), Error> {
        let look = &self.0.looks[&topic];
        if look.sure.load(Ordering::Acquire) {
            return Ok(());
        }
        let _turn = look.turn.lock().await;
        if !look.sure.load(Ordering::Acquire) {
            self.ask(move |topics, inquiry| inquiry.ensure(topic, &topics.name(topic))).await?;
            look.sure.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The topic may have changed: brokers were away, or said that it is gone.
    pub fn forget(&self, topic: Topic) {
        self.0.looks[&topic].sure.store(false, Ordering::Release);
    }

    /// The topic is taken for right, unseen.
    #[cfg(test)]
    pub fn trust(&self, topic: Topic) {
        self.0.looks[&topic].sure.store(true, Ordering::Release);
    }

    /// Asks the brokers, with calls that block: on a thread of its own, for nothing waits for that when the process ends.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self, &Inquiry<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let topics = self.clone();
        let ask = move || {
            let result = Inquiry::open(&topics.0).and_then(|inquiry| question(&topics, &inquiry));
            if answer.send(result).is_err() {
                tracing::trace!("nobody waits for this answer of Kafka any more");
            }
        };
        let thread = thread::Builder::new().name("kafka inquiry".to_owned()).spawn(ask);
        thread.map_err(|error| Trouble::of("no thread could be had to ask Kafka", error).unavailable())?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// A short connection to ask and to make. Its calls block.
pub(crate) struct Inquiry<'a> {
    inner: &'a Inner,
    /// Knows why brokers cannot be reached; the other one only knows that time has passed.
    client: BaseConsumer<Health>,
    /// Opened when brokers have answered.
    admin: OnceCell<AdminClient<Health>>,
}

/// What the brokers say about one topic.
pub(crate) struct Seen {
    /// `HOST:PORT` of each broker.
    pub brokers: Vec<String>,
    /// None if it is not there.
    pub topic: Option<Found>,
}

impl<'a> Inquiry<'a> {
    fn open(inner: &'a Inner) -> Result<Self, Error> {
        let client =
            BaseConsumer::from_config_and_context(&inner.client, inner.health.clone()).map_err(misconfigured)?;
        Ok(Self { inner, client, admin: OnceCell::new() })
    }

    fn admin(&self) -> Result<&AdminClient<Health>, Error> {
        if let Some(admin) = self.admin.get() {
            return Ok(admin);
        }
        let Inner { client, health, .. } = self.inner;
        let admin = AdminClient::from_config_and_context(client, health.clone()).map_err(misconfigured)?;
        Ok(self.admin.get_or_init(|| admin))
    }

    /// Looks a topic up, without its settings.
    pub fn look(&self, name: &str) -> Result<Seen, Error> {
        let answer = self.client.fetch_metadata(Some(name), PATIENCE);
        if answer.is_err() {
            // Hears what was told meanwhile: why it failed.
            while let Some(told) = self.client.poll(Duration::from_millis(10)) {
                tracing::trace!(error = told.err().map(tracing::field::display), "told instead of an answer");
            }
        }
        let metadata = answer.map_err(|error| {
            let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
            tracing::debug!(%code, "Kafka was asked for a topic and did not answer");
            self.inner.health.because("Kafka does not answer").unavailable()
        })?;
        self.inner.health.well();
        let brokers = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect();
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(Seen { brokers, topic: None });
        };
        let topic = match topic.error().map(Code::from) {
            None => Some(Found {
                partitions: topic.partitions().len(),
                replication: topic.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(0),
                settings: Vec::new(),
            }),
            Some(code) if missing(code) => None,
            Some(code) if denied(code) => {
                self.inner.health.trouble(code, &format!("topic {name}: {code}"));
                return Err(
                    Trouble::of(format!("Leaver may not see the topic {name}; grant Describe"), code).unavailable()
                );
            }
            Some(code) => return Err(Trouble::of(format!("the topic {name} is not ready"), code).unavailable()),
        };
        Ok(Seen { brokers, topic })
    }

    /// Whether no record was ever written to any of its partitions, or none is left.
    pub fn is_empty(&self, name: &str) -> Result<bool, Error> {
        let partitions = self.look(name)?.topic.map_or(0, |found| found.partitions);
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let (first, next) = self.client.fetch_watermarks(name, partition, PATIENCE).map_err(|error| {
                Trouble::of(format!("partition {partition} of {name} could not be looked at"), error).unavailable()
            })?;
            if first < next {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Its settings; none if we may not see them, or the brokers have no way to ask.
    pub fn describe(&self, name: &str) -> Result<Option<Vec<(String, String)>>, Error> {
        let unavailable = |source: BoxError| {
            Err(Trouble::of(format!("the topic {name} could not be looked at"), source).unavailable())
        };
        let hidden = |code| denied(code) || matches!(code, Code::UnsupportedFeature | Code::UnsupportedVersion);
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        match block_on(self.admin()?.describe_configs([&ResourceSpecifier::Topic(name)], &options)) {
            Ok(mut resources) => match resources.pop() {
                Some(Ok(resource)) => {
                    let known = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
                    Ok(Some(known.collect()))
                }
                Some(Err(code)) if !hidden(code) => unavailable(code.into()),
                _ => Ok(None),
            },
            Err(KafkaError::AdminOp(code)) if hidden(code) => Ok(None),
            Err(error) => unavailable(error.into()),
        }
    }

    fn ensure(&self, topic: Topic, name: &str) -> Result<(), Error> {
        let mut seen = self.look(name)?;
        if seen.topic.is_none() {
            self.make(topic, name, self.inner.config.replication.among(seen.brokers.len()))?;
            seen = self.until_there(name)?;
        }
        let Some(mut found) = seen.topic else {
            return Err(Trouble::new(format!("the topic {name} was made and is not there yet")).unavailable());
        };
        let described = self.describe(name)?;
        let told = self.inner.looks[&topic].told.swap(true, Ordering::Relaxed);
        match described {
            Some(settings) => found.settings = settings,
            None if told => {}
            None => {
                tracing::warn!(topic = name, "Leaver may not see how the topic is set (DescribeConfigs); trusting it")
            }
        }
        let brokers = self.inner.config.brokers.as_str();
        for difference in layout::differences(topic, &found) {
            let edit = layout::edit(brokers, name, &difference);
            if difference.unusable {
                return Err(Trouble::new(format!("topic {name}: {difference}. Mend it: {edit}")).unusable());
            }
            if !told {
                tracing::warn!(topic = name, edit, "{difference}");
            }
        }
        Ok(())
    }

    /// Makes a topic. That another process did so meanwhile is well.
    fn make(&self, topic: Topic, name: &str, replication: i32) -> Result<(), Error> {
        let settings = layout::settings(topic, replication);
        let mut new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(replication));
        for (setting, value) in &settings {
            new = new.set(setting, value);
        }
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let answer = block_on(self.admin()?.create_topics([&new], &options));
        let results =
            answer.map_err(|error| Trouble::of(format!("the topic {name} could not be made"), error).unavailable())?;
        match results.into_iter().next() {
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => {
                let wanted: Vec<String> =
                    settings.iter().map(|(name, value)| format!("--config {name}={value}")).collect();
                let sentence = format!(
                    "the topic {name} is not there and could not be made. Make it: kafka-topics.sh --bootstrap-server {} \
                     --create --topic {name} --partitions {PARTITIONS} --replication-factor {replication} {}",
                    self.inner.config.brokers.as_str(),
                    wanted.join(" "),
                );
                if denied(code) {
                    self.inner.health.trouble(code, &sentence);
                }
                Err(Trouble::of(sentence, code).unavailable())
            }
            Some(Ok(_)) => {
                tracing::info!(topic = name, replication, "made a Kafka topic");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Brokers learn of a new topic one after the other.
    fn until_there(&self, name: &str) -> Result<Seen, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.look(name);
            let ready = matches!(&seen, Ok(Seen { topic: Some(_), .. }));
            if ready || Instant::now() >= deadline {
                return seen;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
