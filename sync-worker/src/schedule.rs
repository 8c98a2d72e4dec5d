//! When a pulled source is read: by its schedule, on request, and after a pause when it failed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use directory::{Cause, Request, RequestKind, Turn};
use lifecycle::Class;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::alone::of_source;
use crate::run::{Error, Outcome, RunReport};
use crate::spread::PATIENCE;
use crate::{Pulled, SyncWorker, pause};

const POLL: Duration = Duration::from_secs(1);

/// Reads a schedule: 5 fields, or 6 with seconds first.
pub fn parse(text: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Optional).build().parse(text)
}

/// The next time a schedule fires after `now`, in its zone.
pub fn next_after(cron: &Cron, zone: Tz, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    cron.find_next_occurrence(&now.with_timezone(&zone), false).ok().map(|at| at.with_timezone(&Utc))
}

/// How much later than its schedules a source is read: less than `jitter`, and always the same.
pub fn offset(source: &str, jitter: Duration) -> Duration {
    let mut first = [0; 4];
    first.copy_from_slice(&Sha256::digest(source)[..4]);
    jitter.mul_f64(f64::from(u32::from_be_bytes(first)) / 2_f64.powi(32))
}

/// How long a source that keeps failing is left alone, or a plan that cannot be made anew.
///
/// | failures | 1 | 2 | 3 | more |
/// |---|---|---|---|---|
/// | pause | 5 s | 15 s | 60 s | 5 min |
pub(crate) fn pause_of(failures: i32) -> Duration {
    Duration::from_secs(match failures {
        ..=1 => 5,
        2 => 15,
        3 => 60,
        _ => 300,
    })
}

/// What became of a request or of a turn, as far as the schedule is concerned.
enum Answered {
    /// The source was read, here or by another worker.
    Read,
    /// The source could not be read, and is left alone for a while.
    Failed { pause: Duration },
    /// Nothing that the schedule has to do with.
    Only,
    /// Another worker has the source. What was to be done stays for whoever comes to it first.
    NotHere,
}

impl SyncWorker {
    /// Reads one source whenever it is due or asked for, until `stop`. Other workers do the same: leases keep them apart.
    pub async fn follow(&self, source: Arc<Pulled>, stop: CancellationToken) {
        let zone = source.config.timezone.unwrap_or(Tz::UTC);
        let read = |text: &Option<String>| text.as_deref().and_then(|text| parse(text).ok());
        let (cron, snapshots) = (read(&source.config.schedule), read(&source.config.snapshot_schedule));
        let later = offset(&source.name, source.config.jitter);
        let after = |cron: &Option<Cron>| Some(next_after(cron.as_ref()?, zone, Utc::now() - later)? + later);
        let next = || [after(&cron), after(&snapshots)].into_iter().flatten().min();
        let mut bell = self.directory.wake.requests.listen();
        let mut due = next();
        // Stays past until one has succeeded.
        let mut snapshot_due = after(&snapshots);
        self.note_start(&source.name, due).await;
        while !stop.is_cancelled() {
            for request in self.asked(&source.name).await {
                match self.answer(&source, &request, next()).await {
                    Answered::Read => due = next(),
                    Answered::Failed { pause } => due = Some(Utc::now() + pause).max(next()),
                    Answered::Only => {}
                    // What the other worker does not answer is still there when it has done.
                    Answered::NotHere => break,
                }
            }
            let mut wait = None;
            if let Some(at) = due.filter(|at| *at <= Utc::now()) {
                let whole = snapshot_due.is_some_and(|at| at <= Utc::now());
                match self.take_turn(&source, at, whole, next()).await {
                    // Another worker that read it follows the same schedule, and so knows when to read all of it.
                    Answered::Read | Answered::Only => {
                        snapshot_due = if whole { after(&snapshots) } else { snapshot_due };
                        due = next();
                    }
                    Answered::Failed { pause } => due = Some(Utc::now() + pause),
                    // It stays due until the other worker has done.
                    Answered::NotHere => wait = Some(POLL),
                }
            }
            let left = || due.map_or(POLL, |at| (at - Utc::now()).to_std().unwrap_or_default().min(POLL));
            let wait = wait.unwrap_or_else(left);
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(wait) => {}
            }
        }
    }

    /// Reads what was due at `due`, unless another worker has done so or is at it.
    async fn take_turn(
        &self,
        source: &Pulled,
        due: DateTime<Utc>,
        whole: bool,
        next: Option<DateTime<Utc>>,
    ) -> Answered {
        let over = async || {
            // Should it be unknown, to read once more does no harm.
            let Turn { last_run, backed_off_until, paused } =
                self.directory.turn(&source.name).await.unwrap_or_default();
            let left = backed_off_until.and_then(|until| (until - Utc::now()).to_std().ok());
            if let Some(pause) = left.filter(|left| !left.is_zero()) {
                return Some(Answered::Failed { pause });
            }
            (paused || last_run.is_some_and(|at| at >= due)).then_some(Answered::Read)
        };
        if Utc::now() < due + PATIENCE && self.is_second(&source.name).await {
            return over().await.unwrap_or(Answered::NotHere);
        }
        let work = async {
            if let Some(over) = over().await {
                return over;
            }
            match self.run_and_note(source, whole, next).await {
                Ok(_) => Answered::Read,
                Err((_, pause)) => Answered::Failed { pause },
            }
        };
        self.alone(&of_source(&source.name), work).await.unwrap_or(Answered::NotHere)
    }

    async fn asked(&self, source: &str) -> Vec<Request> {
        match self.directory.open_requests(&[RequestKind::Sync, RequestKind::Plan]).await {
            Ok(requests) => requests.into_iter().filter(|r| r.payload["source"] == source).collect(),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "requests could not be read; trying again");
                Vec::new()
            }
        }
    }

    /// Carries out a request to sync or plan, unless another worker is at work on the source.
    async fn answer(&self, source: &Pulled, request: &Request, next: Option<DateTime<Utc>>) -> Answered {
        let work = async {
            // Before the lease was ours, another worker may have done it.
            match self.directory.request(request.id).await {
                Ok(now) if now.state != request.state => return Answered::Only,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a request could not be read; trying again"
                    );
                    return Answered::NotHere;
                }
            }
            let (report, answered) = if request.kind == RequestKind::Plan.as_str() {
                (self.rehearse(source).await.map(|r| json!(r)).map_err(|e| sentence(&e)), Answered::Only)
            } else if let Some(pause) = self.directory.paused(&source.name).await.unwrap_or_default() {
                (Err(pause::refusal(&source.name, &pause)), Answered::Only)
            } else {
                match self.run_and_note(source, false, next).await {
                    Ok(report) => (Ok(json!(report)), Answered::Read),
                    Err((error, pause)) => (Err(error), Answered::Failed { pause }),
                }
            };
            let (ok, result) = match report {
                Ok(report) => (true, report),
                Err(error) => (false, json!({"error": error})),
            };
            if let Err(error) = self.directory.finish_request(request.id, ok, &result).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a request could not be answered; it will be carried out again"
                );
            }
            answered
        };
        self.alone(&of_source(&source.name), work).await.unwrap_or(Answered::NotHere)
    }

    async fn run_and_note(
        &self,
        source: &Pulled,
        whole: bool,
        next: Option<DateTime<Utc>>,
    ) -> Result<RunReport, (String, Duration)> {
        let name = source.name.as_str();
        self.note(name, "running", None, None).await;
        let result = self.run(source, whole).await;
        match result {
            Ok(report) => {
                let (state, note) = match report.outcome {
                    Outcome::Held => ("held", Some("1 plan")),
                    Outcome::Complete => ("ok", None),
                };
                self.ended(source, state, note, next).await;
                Ok(report)
            }
            Err(error) if self.directory.paused(name).await.is_ok_and(|pause| pause.is_some()) => {
                let (state, note) = self.at_rest(name).await;
                self.note(name, state, note, next).await;
                tracing::info!(source.name = name, "a run was cut off, since the source is paused");
                Err((sentence(&error), Duration::ZERO))
            }
            // It writes nothing, and what it would say of the source is of yesterday.
            Err(error @ Error::Directory(directory::Error::CheckpointMoved { .. })) => {
                tracing::info!(
                    source.name = name,
                    "another worker has read a source meanwhile; this run counts for nothing"
                );
                Err((sentence(&error), Duration::ZERO))
            }
            Err(error) => {
                let text = sentence(&error);
                let pause = self.back_off(source, &error, &text).await;
                tracing::warn!(
                    source.name = name,
                    error = text,
                    pause_ms = pause.as_millis() as u64,
                    "a source could not be read; nobody is missing because of it"
                );
                Err((text, pause))
            }
        }
    }

    /// As [`SyncWorker::note`] of a source that is not read yet, but without a word against what other workers say.
    async fn note_start(&self, source: &str, next: Option<DateTime<Utc>>) {
        let (state, note) = self.at_rest(source).await;
        if let Err(error) = self.directory.note_start(source, state, note, next, &self.holder).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                source.name = source,
                "the state of a source could not be noted"
            );
        }
    }

    /// What a source does when nobody reads it.
    async fn at_rest(&self, source: &str) -> (&'static str, Option<&'static str>) {
        match self.directory.held_plan(source).await {
            Ok(Some(_)) => ("held", Some("1 plan")),
            Ok(None) | Err(_) => ("ok", None),
        }
    }

    async fn note(&self, source: &str, state: &str, note: Option<&str>, next: Option<DateTime<Utc>>) {
        if let Err(error) = self.directory.set_source_status(source, state, note, next).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                source.name = source,
                "the state of a source could not be noted"
            );
        }
    }

    async fn ended(&self, source: &Pulled, state: &str, note: Option<&str>, next: Option<DateTime<Utc>>) {
        if let Err(error) = self.directory.ran(&of_state(source), state, note, next).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                source.name = source.name,
                "the state of a source could not be noted"
            );
        }
    }

    /// Whom a vendor asks to wait asks for all who share its budget.
    async fn spare(&self, source: &Pulled, why: &Error) {
        let Error::Connector(connectors::Error::Throttled { retry_after: Some(wait) }) = why else { return };
        let Some((budget, _)) = source.config.connector.budget() else { return };
        if let Err(error) = self.directory.spare(&budget, *wait).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                source.name = source.name,
                "other workers could not be told to leave a vendor alone"
            );
        }
    }

    /// How long the source is left alone.
    async fn back_off(&self, source: &Pulled, why: &Error, text: &str) -> Duration {
        self.spare(source, why).await;
        let pause = |failures| pause_after(why, failures);
        match self.directory.back_off(&of_state(source), reason(why), text, pause).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    source.name = source.name,
                    "the state of a source could not be noted"
                );
                pause(1)
            }
        }
    }
}

/// The cause of what is told of the source itself.
fn of_state(source: &Pulled) -> Cause {
    Cause {
        source: Some(source.name.clone()),
        class: Class::Prompt,
        effective_at: None,
        received_at: Some(Utc::now()),
        trace: crate::trace::current(),
        via: source.config.connector.kind(),
    }
}

/// Why a source is left alone, as it is told: a class, since errors may name places.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Connector(connectors::Error::CheckpointExpired) => "checkpoint_expired",
        Error::Connector(connectors::Error::Throttled { .. }) => "throttled",
        Error::Connector(connectors::Error::Unavailable(_)) => "unavailable",
        Error::Connector(connectors::Error::Unauthorized(_)) => "unauthorized",
        Error::Connector(connectors::Error::Malformed { .. }) => "malformed",
        Error::Directory(_) => "database",
    }
}

fn pause_after(error: &Error, failures: i32) -> Duration {
    match error {
        Error::Connector(connectors::Error::Throttled { retry_after: Some(wait) }) => *wait,
        Error::Connector(_) | Error::Directory(_) => pause_of(failures),
    }
}

/// The error with its causes, as one line.
fn sentence(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_the_same_for_a_source_and_spreads_many() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(offset("people", Duration::ZERO), Duration::ZERO);
        let mut offsets: Vec<Duration> = (0..100).map(|n| offset(&format!("source{n}"), hour)).collect();
        assert!(offsets.iter().all(|offset| *offset < hour));
        assert_eq!(offset("source7", hour), offsets[7]);
        offsets.sort();
        let quarter = |n: u32| offsets.iter().filter(|o| **o >= hour / 4 * n && **o < hour / 4 * (n + 1)).count();
        assert!((0..4).all(|n| quarter(n) > 10), "{offsets:?}");
    }

    #[test]
    fn a_schedule_has_five_fields_or_six_with_seconds_first_in_its_own_zone() {
        let now: DateTime<Utc> = "2026-03-29T00:30:00Z".parse().expect("an instant");
        let next = |text: &str, zone: Tz| next_after(&parse(text).expect(text), zone, now).map(|at| at.to_rfc3339());
        assert_eq!(next("*/5 * * * *", Tz::UTC).as_deref(), Some("2026-03-29T00:35:00+00:00"));
        assert_eq!(next("*/30 * * * * *", Tz::UTC).as_deref(), Some("2026-03-29T00:30:30+00:00"));
        assert_eq!(
            next("0 9 * * *", Tz::Europe__Berlin).as_deref(),
            Some("2026-03-29T07:00:00+00:00"),
            "after the clocks change"
        );
        assert!(parse("every minute").is_err());
    }
}
