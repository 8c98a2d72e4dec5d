//! The workers of one downstream: lease what is due, make a pass, write the answer. No downstream waits for another.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use directory::{Answer, Clock, Leased, Outcome};
use downstreams::Finds;
use lifecycle::Class;
use lifecycle::delivery::retry_delay;
use lifecycle::must_end::SessionKind;
use rand::RngExt;
use tokio_util::sync::CancellationToken;

use crate::breaker::Admission;
use crate::spans::Passes;
use crate::{Revoker, Target, pass};

/// How long a lease lasts unless renewed: what a killed process had at work is late by no more than this.
pub(crate) const HOLD: Duration = Duration::from_secs(10);
/// How often a pass renews the lease of what it works on.
const RENEW: Duration = Duration::from_secs(3);
/// How often a refused batch is halved; enough to single out some of 500, and an end where everybody is refused.
const SPLITS: u32 = 64;
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
            let worked = match target.breaker.admit(Instant::now()) {
                Admission::Closed => self.work(&target, up_to, limit).await,
                Admission::Trial(_trial) => self.work(&target, up_to, 1).await,
                Admission::Open(wait) => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = bell.heard_or(wait.min(POLL)) => {}
                    }
                    continue;
                }
            };
            let wait = match worked {
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
            Ok(Some(wait)) => wait.clamp(Duration::from_millis(1), POLL),
            Ok(None) | Err(_) => POLL,
        }
    }

    /// Works off one batch, or one errand: the end of sessions comes first. Whether there was any.
    async fn work(&self, target: &Target, up_to: i16, limit: i64) -> directory::Result<bool> {
        let passed = target.keeps_sessions() && self.pass(target, up_to, limit).await?;
        Ok(passed || (target.runs_errands() && self.run_errand(target, up_to).await?))
    }

    async fn pass(&self, target: &Target, up_to: i16, limit: i64) -> directory::Result<bool> {
        let leased = self.directory.lease_deliveries(&target.name, up_to, limit, HOLD).await?;
        if leased.is_empty() {
            return Ok(false);
        }
        let renew = || self.directory.renew(leased[0].lease, HOLD);
        let done = self.keeping(target, renew, self.make_passes(target, &leased)).await;
        if let Err(error) = done {
            self.directory.unlease(&leased).await?;
            return Err(error);
        }
        Ok(true)
    }

    /// Awaits `work`, whose lease is renewed meanwhile.
    pub(crate) async fn keeping<T, F: Future<Output = directory::Result<()>>>(
        &self,
        target: &Target,
        renew: impl Fn() -> F,
        work: impl Future<Output = T>,
    ) -> T {
        // Beside the work, never instead of it: an answer that is half written has locked the rows that are renewed.
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW).await;
                // The work goes on: should the lease run out, the answer is refused and somebody else does it.
                if let Err(error) = renew().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        downstream.name = target.name,
                        "a lease could not be renewed"
                    );
                }
            }
        };
        tokio::select! {
            done = work => done,
            () = renewing => unreachable!("it is renewed as long as the work lasts"),
        }
    }

    /// Makes passes until each of `leased` has its answer or is put off. A batch that is refused is made again in halves, so
    /// that one subject whom the downstream cannot take does not stand in front of the others.
    async fn make_passes(&self, target: &Target, leased: &[Leased]) -> directory::Result<()> {
        use downstreams::Error::Rejected;
        let mut parts = vec![leased];
        let mut split = 0;
        while let Some(part) = parts.pop() {
            let passes = Passes::begin(&target.name, part);
            let made = pass::make(target, &self.directory, &self.metrics, part).await;
            if let Err(pass::Error::Downstream(error)) = &made {
                passes.failed(error);
            }
            match made {
                Ok(answers) => {
                    let over = target.breaker.over();
                    self.directory.answer(&target.name, &answers).await?;
                    passes.answered(&answers);
                    self.measure(target, part, &answers);
                    watch_on(target, &answers);
                    if let Some((failures, lasted)) = over {
                        self.well_again(target, failures, lasted).await?;
                    }
                }
                Err(pass::Error::Directory(error)) => return Err(error),
                Err(pass::Error::Downstream(Rejected(_))) if part.len() > 1 && split < SPLITS => {
                    split += 1;
                    let (one, other) = part.split_at(part.len() / 2);
                    parts.extend([other, one]);
                }
                Err(pass::Error::Downstream(error @ Rejected(_))) => self.put_off(target, part, &error).await?,
                // It is not about anybody in particular: asking for the others would only take as long again.
                Err(pass::Error::Downstream(error)) => {
                    parts.push(part);
                    for part in parts.drain(..) {
                        self.put_off(target, part, &error).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The first pass that went well after a failure: whoever waits for the next try need not wait any longer.
    pub(crate) async fn well_again(&self, target: &Target, failures: u32, lasted: Duration) -> directory::Result<()> {
        self.metrics.open(&target.name, false);
        let waiting = self.directory.bring_forward(&target.name).await?;
        let lasted_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(downstream.name = target.name, failures, lasted_ms, waiting, "the downstream answers again");
        Ok(())
    }

    fn measure(&self, target: &Target, leased: &[Leased], answers: &[Answer]) {
        let leased = pass::by_subject(leased);
        for answer in answers {
            self.metrics.ended(&target.name, answer.ended, answer.resurrected, answer.collateral);
            let Some(leased) = leased.get(&answer.subject) else { continue };
            self.measure_hops(target, leased, answer);
            let ends = answer.first && leased.is_about(SessionKind::Session);
            if let (true, Some(at), Some(before)) = (ends, answer.verified_at, leased.wanted.sessions_before) {
                // What was shortened is measured from when it came into force.
                let committed = leased.asked_at.map_or(before, |asked| asked.max(before));
                self.metrics.verified(&target.name, committed, at, leased.trace.as_deref());
            }
            if answer.resurrected > 0 {
                tracing::warn!(subject.id = %answer.subject, downstream.name = target.name, sessions = answer.resurrected, "ended sessions came back and were ended again");
            }
        }
    }

    fn measure_hops(&self, target: &Target, leased: &Leased, answer: &Answer) {
        if answer.first {
            if let Some(decided) = leased.decided_at {
                self.metrics.answered(&target.name, "applied", decided, answer.applied_at);
            }
            if let Some(verified) = answer.verified_at {
                self.metrics.answered(&target.name, "verified", answer.applied_at, verified);
            }
        }
        let settles = answer.outcome == Outcome::Settled && (answer.first || !leased.settled);
        // The sweeps count from `applied`, and nothing here knows any more when the re-read after it was.
        if settles && let Some(settled) = answer.verified_at {
            self.metrics.answered(&target.name, "settled", answer.applied_at, settled);
        }
    }

    /// Notes that `owed` of a downstream were not done.
    pub(crate) fn failed(&self, target: &Target, owed: usize, error: &downstreams::Error) -> Failure {
        use downstreams::Error::*;
        let (least, stuck) = match error {
            Unavailable(_) => (Duration::ZERO, false),
            Throttled { retry_after } => (retry_after.unwrap_or(Duration::from_secs(1)), false),
            Rejected(_) | Unauthorized(_) => (Duration::from_secs(10), true),
        };
        self.metrics.failed(&target.name);
        let pause = if let Throttled { .. } = error { least } else { Duration::ZERO };
        let is_news = target.breaker.failed(error, pause, Instant::now());
        self.metrics.open(&target.name, target.breaker.is_open());
        if is_news {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                downstream.name = target.name,
                owed,
                stuck,
                "the downstream did not do it; it stays owed"
            );
        }
        Failure { least, stuck }
    }

    async fn put_off(&self, target: &Target, leased: &[Leased], error: &downstreams::Error) -> directory::Result<()> {
        let failure = self.failed(target, leased.len(), error);
        let due: Vec<DateTime<Utc>> = leased.iter().map(|l| failure.due(l.attempts, l.clock)).collect();
        self.directory.defer(&target.name, leased, &due, &sentence(error), failure.stuck).await
    }
}

/// Everything stays owed; what the error says decides when it is tried again and whether a person has to help.
pub(crate) struct Failure {
    least: Duration,
    pub stuck: bool,
}

impl Failure {
    /// When to try again what had failed so often before.
    pub fn due(&self, attempts: u32, clock: Clock) -> DateTime<Utc> {
        let wait = retry_delay(attempts + 1).max(self.least);
        clock.now() + wait.mul_f64(rand::rng().random_range(0.8..1.2))
    }
}

/// Nobody need be kept out any more for whom no sweep is to come.
fn watch_on(target: &Target, answers: &[Answer]) {
    let Some(index) = target.adapter.index() else { return };
    for answer in answers.iter().filter(|answer| answer.due_at.is_none()) {
        target.watch.forget(answer.subject);
        index.watch(answer.subject, None);
    }
}

/// The error with its causes, as one line.
pub(crate) fn sentence(error: &downstreams::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        // Some errors are in the very words of their cause.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
