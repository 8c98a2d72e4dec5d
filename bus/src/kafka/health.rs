//! What librdkafka tells by itself: log lines and errors of brokers. One of them for all connections, so that an outage is
//! told once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::Metrics;
use super::error::{Trouble, denied};

/// How often a refusal is told while it lasts.
const AGAIN: Duration = Duration::from_secs(60);

/// What librdkafka calls its lines about connections, and about what follows when they are lost.
const OUTAGE: [&str; 8] = ["FAIL", "ERROR", "FATAL", "REQTMOUT", "FETCHERR", "SESSTMOUT", "METADATAUPDATE", "GETPID"];

/// Cheap to clone; clones hear together.
#[derive(Clone)]
pub(crate) struct Health {
    pub metrics: Metrics,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Whether something went wrong since the last answer.
    troubled: AtomicBool,
    /// Whether no broker could be reached since then.
    away: AtomicBool,
    /// The last thing that went wrong, for errors that say no more than that time has passed.
    last: Mutex<Option<String>>,
    denied: Mutex<Option<Instant>>,
}

impl Health {
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, heard: Arc::default() }
    }

    /// A broker, or the way to it, fails.
    pub fn trouble(&self, code: Code, reason: &str) {
        self.metrics.broker_errors.inc();
        self.heard.troubled.store(true, Ordering::Relaxed);
        // That all are away is no reason; why the last of them is was told before.
        if code != Code::AllBrokersDown {
            *self.heard.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        if denied(code) {
            let mut told = self.heard.denied.lock().unwrap_or_else(PoisonError::into_inner);
            if told.is_none_or(|at| at.elapsed() >= AGAIN) {
                *told = Some(Instant::now());
                tracing::error!(reason, "Kafka refuses Leaver's credentials or rights; trying again");
            }
        } else if code == Code::Fatal {
            tracing::warn!(reason, "a Kafka client cannot go on; it is made anew");
        } else if code == Code::AllBrokersDown {
            if !self.heard.away.swap(true, Ordering::Relaxed) {
                tracing::warn!(reason, "no Kafka broker can be reached; trying again");
            }
        } else {
            tracing::debug!(reason, "a Kafka broker fails");
        }
    }

    /// A broker answered.
    pub fn well(&self) {
        if !self.heard.troubled.load(Ordering::Relaxed) || !self.heard.troubled.swap(false, Ordering::Relaxed) {
            return;
        }
        *self.heard.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if self.heard.away.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again");
        }
    }

    /// A sentence, with the last thing that went wrong as its reason.
    pub fn because(&self, sentence: impl Into<String>) -> Trouble {
        match self.heard.last.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(last) => Trouble::of(sentence, last),
            None => Trouble::new(sentence),
        }
    }
}

impl ClientContext for Health {
    /// What belongs to an outage is told by [`Health::trouble`] and by whoever waits, once instead of at each attempt.
    fn log(&self, level: Level, facility: &str, line: &str) {
        match level {
            _ if OUTAGE.contains(&facility) => tracing::debug!(facility, "librdkafka: {line}"),
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::error!(facility, "librdkafka: {line}");
            }
            Level::Warning => tracing::warn!(facility, "librdkafka: {line}"),
            Level::Notice | Level::Info | Level::Debug => tracing::debug!(facility, "librdkafka: {line}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble(error.rdkafka_error_code().unwrap_or(Code::Unknown), reason);
    }
}
