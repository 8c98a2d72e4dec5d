//! One run of a pulled source: read, store facts, evaluate the plan, hold or apply.

use chrono::{DateTime, Utc};
use connectors::{Checkpoint, Coverage};
use directory::{Applied, Cause, Fence, Missing, Moment, RunEnd, SourceRow};
use lifecycle::brake::{Counts, Evidence, Reason, evaluate};
use lifecycle::{Class, Standing};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::Absence;
use crate::read::{Reading, Steps};
use crate::{Pulled, SyncWorker};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Complete,
    /// Creates and updates were applied; what would end access waits for a person.
    Held,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Held => "held",
        }
    }
}

/// What a run did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    pub outcome: Outcome,
    pub rows: u64,
    pub counts: Counts,
    pub unchanged: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Uuid>,
    /// Why it is held, or would be.
    pub reasons: Vec<String>,
    pub parked: usize,
}

/// Why a run failed. Nothing of it counts towards absence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Connector(#[from] connectors::Error),
    #[error(transparent)]
    Directory(#[from] directory::Error),
}

impl SyncWorker {
    /// Reads the source and applies it; `whole`: all of it, although the source can tell what changed. Whoever calls it is the
    /// only one to read the source, or one of them fails.
    ///
    /// # Errors
    /// When the source could not be read to its end, or the database not be written. Nobody is missing because of it.
    #[tracing::instrument(name = "pull", skip_all, fields(source.name = source.name))]
    pub async fn run(&self, source: &Pulled, whole: bool) -> Result<RunReport, Error> {
        let run = Uuid::now_v7();
        let received_at = Utc::now();
        let (fence, since) = self.directory.fence(&source.name).await?;
        let since = since.filter(|_| !whole);
        self.directory.start_run(run, &source.name).await?;
        let result = match self.read_and_apply(source, run, &fence, since, received_at).await {
            // Why a run failed that was overtaken says nothing of the source, which another worker has read meanwhile.
            Err(error) => Err(self.overtaken(&fence).await.unwrap_or(error)),
            read => read,
        };
        match &result {
            Ok(report) => {
                let rows = i64::try_from(report.rows).ok();
                self.directory.end_run(run, report.outcome.as_str(), rows, &json!(report), None).await?;
                self.metrics.run(&source.name, report.outcome.as_str());
            }
            Err(error) => {
                self.directory.end_run(run, "failed", None, &Value::Null, Some(&error.to_string())).await?;
                self.metrics.run(&source.name, "failed");
            }
        }
        result
    }

    async fn overtaken(&self, fence: &Fence) -> Option<Error> {
        let moved = self.directory.stands(fence).await.err();
        moved.filter(|why| matches!(why, directory::Error::CheckpointMoved { .. })).map(Error::Directory)
    }

    async fn read_and_apply(
        &self,
        source: &Pulled,
        run: Uuid,
        fence: &Fence,
        since: Option<Value>,
        received_at: DateTime<Utc>,
    ) -> Result<RunReport, Error> {
        let name = source.name.as_str();
        let row = self.directory.source(name).await?;
        let baseline = row.as_ref().is_none_or(|r| r.baselined_at.is_none());
        let cause = |class: Class| Cause {
            source: Some(name.to_owned()),
            class,
            effective_at: None,
            received_at: Some(received_at),
            trace: crate::trace::current(),
            via: source.config.connector.kind(),
        };
        // Another configuration asks another question, to which an earlier answer is no beginning.
        let changed = row.as_ref().and_then(|r| r.fingerprint.as_ref()).is_some_and(|f| f != &source.fingerprint);
        let at = since.filter(|_| !changed).map(Checkpoint);
        let follows = self.directory.follows_whole(name, run).await?;
        let mut steps = Steps::Apply { fence, cause: cause(Class::Mass), baseline, follows, done: Applied::default() };
        let Reading { rows, parked, unchanged, coverage, next, groups, roll, active } =
            self.read(source, at, &mut steps).await?;
        let mut total = steps.applied();
        total.unchanged += unchanged;
        let mut report = RunReport {
            outcome: Outcome::Complete,
            rows,
            counts: Counts { create: total.created, update: total.updated, ..Counts::default() },
            unchanged: total.unchanged,
            plan: None,
            reasons: Vec::new(),
            parked,
        };
        let delta = coverage == Coverage::Delta;
        let missing = match (&coverage, &roll) {
            (Coverage::Since { gone, .. }, _) => Some(Missing::Named(gone)),
            (_, roll) => roll.as_ref().map(Missing::Silent),
        };
        if let (Some(fact), Some(missing)) = (absence(source), missing) {
            self.directory.mark_absent(fence, missing, fact).await?;
        }
        self.directory.pass_dates(&cause(Class::Prompt), fence, Utc::now()).await?;
        // What a delta says is weighed by itself: it neither waits for the answer to a held plan nor gives it.
        let waiting = match &coverage {
            Coverage::Snapshot | Coverage::Since { .. } => self.directory.waiting_counts(name).await?,
            Coverage::Delta => self.directory.waiting_unplanned(name).await?,
        };
        report.counts = Counts { create: total.created, update: total.updated, ..waiting };
        // Nor does the number of its rows tell how many there are.
        let rows = match row.as_ref().and_then(|r| r.rows_applied).filter(|_| delta) {
            Some(applied) => applied.unsigned_abs(),
            None => rows,
        };
        let mut reasons = judge(source, row.as_ref(), waiting, active.unwrap_or_default(), rows);
        if active.is_none() && !reasons.is_empty() {
            // Fewer than the brake holds of anybody need no count of everybody. Whoever came with this run is no reason to let more go.
            let active = self.directory.active_at(name).await?.saturating_sub(total.created);
            reasons = judge(source, row.as_ref(), waiting, active, rows);
        }
        report.reasons = reasons.iter().map(ToString::to_string).collect();
        let held = !reasons.is_empty();
        let class = Class::of_plan(usize::try_from(waiting.dangerous()).unwrap_or(usize::MAX));
        let end = RunEnd {
            next: &next,
            rows: i64::try_from(rows).unwrap_or(i64::MAX),
            fingerprint: &source.fingerprint,
            applied: !held && !delta,
        };
        if held {
            report.plan = Some(self.hold(&cause(class), fence, source, &report, &reasons, end.rows).await?);
            report.outcome = Outcome::Held;
        } else {
            let released = match &coverage {
                Coverage::Snapshot | Coverage::Since { .. } => self.directory.release_all(&cause(class), fence).await?,
                Coverage::Delta => self.directory.release_unplanned(&cause(class), fence).await?,
            };
            if released > 0 {
                self.metrics.committed(&cause(class));
            }
            // A snapshot that is doubted says as little of groups as of people, and where nothing has changed since the one before,
            // that has said it.
            let moved = total.updated > 0 || released > 0;
            if coverage == Coverage::Snapshot || (!delta && (moved || self.directory.decided_since(fence).await?)) {
                let names: Vec<String> = groups.iter().map(|group| group.native_id.clone()).collect();
                self.directory.vanish_groups(&cause(class), fence, &names).await?;
            }
        }
        self.directory.list_groups(&cause(class), fence, &groups, Moment::AfterPeople).await?;
        self.directory.finish_complete(&cause(class), fence, &end).await?;
        Ok(report)
    }

    async fn hold(
        &self,
        cause: &Cause,
        fence: &Fence,
        source: &Pulled,
        report: &RunReport,
        reasons: &[Reason],
        rows: i64,
    ) -> Result<Uuid, Error> {
        let held = self.directory.hold(cause, Some(fence), &report.counts, reasons, rows, &source.fingerprint).await?;
        if held.new {
            self.metrics.held(&source.name);
            let (name, reasons) = (&source.name, report.reasons.join("; "));
            tracing::warn!(source.name = name, plan.id = %held.plan, reasons, "a plan is held for a person");
        }
        Ok(held.plan)
    }
}

/// What the brake says to a complete run.
pub(crate) fn judge(source: &Pulled, row: Option<&SourceRow>, counts: Counts, active: u64, rows: u64) -> Vec<Reason> {
    let evidence = Evidence {
        counts,
        active,
        rows,
        rows_before: row.and_then(|r| r.rows_applied).map(i64::unsigned_abs),
        fingerprint_changed: row.and_then(|r| r.fingerprint.as_ref()).is_some_and(|f| f != &source.fingerprint),
        baseline: row.is_none_or(|r| r.baseline_open),
    };
    evaluate(&source.config.brake.bounds(), &evidence)
}

/// The fact that absence from a complete snapshot is; `None`: it is none.
pub(crate) fn absence(source: &Pulled) -> Option<Standing> {
    match source.config.absence {
        Absence::Disable => Some(Standing::Inactive),
        Absence::Delete => Some(Standing::Gone),
        Absence::Ignore => None,
    }
}
