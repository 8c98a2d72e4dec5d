//! Reading a source to its end, page by page: what a run applies and what a rehearsal only keeps aside.

use chrono::Utc;
use connectors::{Batch, Checkpoint, Coverage, Parked};
use directory::{Applied, Cause, Fence, Moment, Page, Roll};
use lifecycle::{AccountFacts, Change, GroupFacts};
use serde_json::Value;

use crate::run::Error;
use crate::{Pulled, SyncWorker};

/// The source named the same place twice.
#[derive(Debug, thiserror::Error)]
#[error("its pages do not go on: the one after this is this one")]
struct Stuck;

/// A source that was read to its end.
#[derive(Default)]
pub(crate) struct Reading {
    pub rows: u64,
    pub parked: usize,
    /// Whom the roll knew to be as they were.
    pub unchanged: u64,
    pub coverage: Coverage,
    pub next: Value,
    /// Groups that the source has, whoever is in them, as it said last.
    pub groups: Vec<GroupFacts>,
    /// Of a snapshot.
    pub roll: Option<Roll>,
    /// How many had access before anything of it was applied; counted of a snapshot only.
    pub active: Option<u64>,
}

/// What becomes of each page.
pub(crate) enum Steps<'a> {
    /// Facts are stored, and what is safe counts at once.
    Apply {
        fence: &'a Fence,
        cause: Cause,
        baseline: bool,
        /// All that was read before is stored: the last run did not end half-way.
        follows: bool,
        done: Applied,
    },
    /// Nothing is known of it but to the rehearsal; so many pages are kept aside.
    Stage { pages: i32 },
}

impl Steps<'_> {
    /// The source is read from its beginning. What was applied is true all the same.
    fn again(&mut self) {
        if let Steps::Stage { pages } = self {
            *pages = 0;
        }
    }

    /// Whether a snapshot that has not changed need not be read again.
    fn follow(&self) -> bool {
        matches!(self, Steps::Apply { follows: true, .. })
    }

    /// What was applied.
    pub fn applied(self) -> Applied {
        match self {
            Steps::Apply { done, .. } => done,
            Steps::Stage { .. } => Applied::default(),
        }
    }
}

impl SyncWorker {
    /// Reads the source from `at`; `None`, or a checkpoint that it does not accept any more: all of it.
    pub(crate) async fn read(
        &self,
        source: &Pulled,
        mut at: Option<Checkpoint>,
        steps: &mut Steps<'_>,
    ) -> Result<Reading, Error> {
        let mut reading = Reading::default();
        let mut pulled = source.connector.pull(at.as_ref()).await;
        loop {
            let page = match pulled {
                // From the beginning then; a snapshot has no checkpoint that could expire once more.
                Err(connectors::Error::CheckpointExpired) if at.is_some() => {
                    let Reading { parked, active, .. } = reading;
                    (at, reading) = (None, Reading { parked, active, ..Reading::default() });
                    steps.again();
                    pulled = source.connector.pull(None).await;
                    continue;
                }
                Ok(Batch { coverage: Coverage::Since { .. }, .. }) if !steps.follow() => {
                    at = None;
                    pulled = source.connector.pull(None).await;
                    continue;
                }
                result => result?,
            };
            // Pages that lead nowhere would be read for ever.
            if page.more && at.as_ref() == Some(&page.next) {
                return Err(connectors::Error::Unavailable(Box::new(Stuck)).into());
            }
            if !page.more {
                reading.next = page.next.0.clone();
                self.take(source, page, steps, &mut reading).await?;
                if let Coverage::Since { rows, .. } = reading.coverage {
                    reading.unchanged = rows.saturating_sub(reading.rows);
                    reading.rows = rows;
                }
                return Ok(reading);
            }
            let next = page.next.clone();
            // The source is not kept waiting for the database, nor the database for the source.
            let (ahead, taken) =
                tokio::join!(source.connector.pull(Some(&next)), self.take(source, page, steps, &mut reading));
            taken?;
            (pulled, at) = (ahead, Some(next));
        }
    }

    /// What a page says is counted, and applied or kept aside.
    async fn take(
        &self,
        source: &Pulled,
        page: Batch,
        steps: &mut Steps<'_>,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        let name = source.name.as_str();
        let Batch { changes, coverage, parked, seen_only, groups, .. } = page;
        self.park(name, &parked, steps).await?;
        reading.parked += parked.len();
        if !groups.is_empty() {
            self.list(&groups, steps).await?;
            reading.groups = groups;
        }
        let (mut accounts, deleted) = split(changes);
        reading.rows += (accounts.len() + seen_only.len()) as u64;
        if coverage == Coverage::Snapshot {
            reading.unchanged += self.call_roll(name, &mut reading.roll, &mut accounts, &seen_only).await?;
            if reading.active.is_none() {
                reading.active = Some(self.directory.active_at(name).await?);
            }
        }
        reading.coverage = coverage;
        self.write(name, &accounts, &deleted, steps).await
    }

    async fn park(&self, source: &str, refused: &[Parked], steps: &Steps<'_>) -> Result<(), Error> {
        if let Steps::Apply { .. } = steps {
            for record in refused {
                self.directory.park(source, &record.at, &record.reason).await?;
            }
            self.metrics.parked(source, refused.len());
        }
        Ok(())
    }

    /// A rehearsal does so with what was said last.
    async fn list(&self, groups: &[GroupFacts], steps: &Steps<'_>) -> Result<(), Error> {
        if let Steps::Apply { fence, cause, .. } = steps {
            self.directory.list_groups(cause, fence, groups, Moment::BeforePeople).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        source: &str,
        accounts: &[AccountFacts],
        deleted: &[String],
        steps: &mut Steps<'_>,
    ) -> Result<(), Error> {
        match steps {
            Steps::Apply { fence, cause, baseline, done, .. } => {
                let page = Page { fence, accounts, baseline: *baseline };
                let applied = self.directory.apply_page(cause, &page).await?;
                if applied.events > 0 {
                    self.metrics.committed(cause);
                }
                done.created += applied.created;
                done.updated += applied.updated + self.directory.apply_deleted(cause, fence, deleted).await?;
                done.unchanged += applied.unchanged;
            }
            // Most pages of most days say nothing new.
            Steps::Stage { .. } if accounts.is_empty() => {}
            Steps::Stage { pages } => {
                *pages += 1;
                self.directory.stage(source, *pages, accounts).await?;
            }
        }
        Ok(())
    }

    /// Takes out of a page whoever is unchanged; the roll is read before the first. Answers with how many they were.
    async fn call_roll(
        &self,
        source: &str,
        roll: &mut Option<Roll>,
        accounts: &mut Vec<AccountFacts>,
        seen_only: &[String],
    ) -> Result<u64, Error> {
        let roll = match roll {
            Some(roll) => roll,
            None => roll.insert(self.directory.roll(source).await?),
        };
        roll.saw(seen_only);
        Ok(roll.call(accounts, Utc::now()))
    }
}

/// Facts, and the native ids of those who were deleted.
fn split(changes: Vec<Change>) -> (Vec<AccountFacts>, Vec<String>) {
    let (mut accounts, mut deleted) = (Vec::with_capacity(changes.len()), Vec::new());
    for change in changes {
        match change {
            Change::Account(facts) => accounts.push(facts),
            Change::Deleted { native_id } => deleted.push(native_id),
        }
    }
    (accounts, deleted)
}
