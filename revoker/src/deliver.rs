//! The workers of one downstream: lease what is due, make a pass, write the answer. No downstream waits for another.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{Answer, Leased};
use downstreams::Finds;
use lifecycle::Class;
use lifecycle::delivery::retry_delay;
use rand::RngExt;
use tokio_util::sync::CancellationToken;

use crate::{Revoker, Target, pass};

/// How long a pass may hold its deliveries. Adapters give up long before.
const HOLD: Duration = Duration::from_secs(60);
/// The longest sleep without looking.
const POLL: Duration = Duration::from_secs(1);

impl Revoker {
    /// One worker of a downstream, until `stop`; a pass that has begun is finished.
    pub async fn deliver(&self, target: Arc<Target>, worker: usize, stop: CancellationToken) {
        let up_to = if worker < target.workers() / 2 { Class::Prompt } else { Class::Mass }.number();
        // A store that is read as a whole is read once for everybody who waits.
        let limit = match target.adapter.capabilities().finds {
            Finds::ScanOnly => 500,
            Finds::ByUserIndex | Finds::Opaque => 100,
        };
        let mut bell = self.directory.wake.deliveries.listen();
        while !stop.is_cancelled() {
            let wait = match self.work(&target, up_to, limit).await {
                Ok(true) => continue,
                Ok(false) => self.until_due(&target, up_to).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        downstream.name = target.name,
                        "deliveries could not be read or written; trying again"
                    );
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(wait) => {}
            }
        }
    }

    async fn until_due(&self, target: &Target, up_to: i16) -> Duration {
        match self.directory.next_due(&target.name, up_to).await {
            Ok(Some(at)) => {
                (at - Utc::now()).to_std().unwrap_or(Duration::from_millis(1)).clamp(Duration::from_millis(1), POLL)
            }
            Ok(None) | Err(_) => POLL,
        }
    }

    /// Works off one batch. Whether there was one.
    async fn work(&self, target: &Target, up_to: i16, limit: i64) -> directory::Result<bool> {
        let leased = self.directory.lease_deliveries(&target.name, up_to, limit, HOLD).await?;
        if leased.is_empty() {
            return Ok(false);
        }
        match pass::make(target, &self.directory, &self.metrics, &leased).await {
            Ok(answers) => {
                self.directory.answer(&target.name, &answers).await?;
                self.measure(target, &leased, &answers);
            }
            Err(pass::Error::Directory(error)) => {
                self.directory.unlease(&leased).await?;
                return Err(error);
            }
            Err(pass::Error::Downstream(error)) => self.put_off(target, &leased, &error).await?,
        }
        Ok(true)
    }

    fn measure(&self, target: &Target, leased: &[Leased], answers: &[Answer]) {
        let leased = pass::by_subject(leased);
        for answer in answers {
            self.metrics.ended(&target.name, answer.ended, answer.resurrected, answer.collateral);
            let Some(wanted) = leased.get(&answer.subject).map(|l| l.wanted) else { continue };
            if let (true, Some(at), Some(committed)) = (answer.first, answer.verified_at, wanted.sessions_before) {
                self.metrics.verified(&target.name, committed, at);
            }
            if answer.resurrected > 0 {
                tracing::warn!(subject.id = %answer.subject, downstream.name = target.name, sessions = answer.resurrected, "ended sessions came back and were ended again");
            }
        }
    }

    /// Everything stays owed; what the error says decides when it is tried again and whether a person has to help.
    async fn put_off(&self, target: &Target, leased: &[Leased], error: &downstreams::Error) -> directory::Result<()> {
        use downstreams::Error::*;
        let (least, stuck) = match error {
            Unavailable(_) => (Duration::ZERO, false),
            Throttled { retry_after } => (retry_after.unwrap_or(Duration::from_secs(1)), false),
            Rejected(_) | Unauthorized(_) => (Duration::from_secs(10), true),
        };
        self.metrics.failed(&target.name);
        tracing::warn!(
            error = error as &dyn std::error::Error,
            downstream.name = target.name,
            owed = leased.len(),
            stuck,
            "the downstream did not do it; it stays owed"
        );
        let now = Utc::now();
        let due: Vec<DateTime<Utc>> = leased
            .iter()
            .map(|l| {
                let wait = retry_delay(l.attempts + 1).max(least);
                now + wait.mul_f64(rand::rng().random_range(0.8..1.2))
            })
            .collect();
        self.directory.defer(&target.name, leased, &due, &sentence(error), stuck).await
    }
}

/// The error with its causes, as one line.
fn sentence(error: &downstreams::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
