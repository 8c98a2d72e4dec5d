//! What reading all of a source would do now: the same steps as those of a run, stopped before anything is applied.

use chrono::Utc;
use directory::{Cause, PlanItem, Rehearsal};
use lifecycle::Class;
use lifecycle::brake::Counts;
use serde::Serialize;

use crate::read::{Reading, Steps};
use crate::run::{Error, Outcome, RunReport, absence, judge};
use crate::{Pulled, SyncWorker};

/// So many of those who would lose something are named. A held plan names them all.
const SAMPLES: u32 = 50;

/// What a run would do, and to whom. Personal data: for people who look after sources, never for logs or topics.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rehearsed {
    #[serde(flatten)]
    pub report: RunReport,
    /// Some of those who would lose something, privileged people first.
    pub items: Vec<PlanItem>,
}

impl SyncWorker {
    pub(crate) async fn rehearse(&self, source: &Pulled) -> Result<Rehearsed, Error> {
        let name = source.name.as_str();
        let row = self.directory.source(name).await?;
        let mut steps = Steps::Stage { pages: 0 };
        let Reading { rows, parked, unchanged, groups, roll, active, .. } = self.read(source, None, &mut steps).await?;
        let Steps::Stage { pages } = steps else { unreachable!("steps stay what they are") };
        let cause = Cause {
            source: Some(name.to_owned()),
            class: Class::Mass,
            effective_at: None,
            received_at: None,
            trace: None,
            via: source.config.connector.kind(),
        };
        let rehearsal = Rehearsal {
            pages,
            groups: &groups,
            // Who was not on a snapshot is not missing from it.
            absence: absence(source).filter(|_| roll.is_some()),
            roll: &roll.unwrap_or_default(),
            baseline: row.as_ref().is_none_or(|r| r.baselined_at.is_none()),
            now: Utc::now(),
            samples: SAMPLES,
        };
        let weighed = self.directory.rehearse(&cause, &rehearsal).await?;
        let reasons: Vec<String> = judge(source, row.as_ref(), weighed.waiting, active.unwrap_or_default(), rows)
            .iter()
            .map(ToString::to_string)
            .collect();
        let report = RunReport {
            outcome: if reasons.is_empty() { Outcome::Complete } else { Outcome::Held },
            rows,
            counts: Counts { create: weighed.applied.created, update: weighed.applied.updated, ..weighed.waiting },
            unchanged: unchanged + weighed.applied.unchanged,
            plan: None,
            reasons,
            parked,
        };
        Ok(Rehearsed { report, items: weighed.items })
    }
}
