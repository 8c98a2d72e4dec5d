//! Reading a source to its end, page by page: what a run applies and what a rehearsal only keeps aside.

use chrono::Utc;
use connectors::{Batch, Checkpoint, Coverage, Parked};
use directory::{Applied, Cause, Fence, Page, Roll};
use lifecycle::{AccountFacts, Change};
use serde_json::Value;

use crate::run::Error;
use crate::{Pulled, SyncWorker};

/// The source named the same place twice.
#[derive(Debug, thiserror::Error)]
#[error("its pages do not go on: the one after this is this one")]
struct Stuck;

/// A source that was read to its end.
pub(crate) struct Reading {
    pub rows: u64,
    pub parked: usize,
    /// Whom the roll knew to be as they were.
    pub unchanged: u64,
    pub coverage: Coverage,
    pub next: Value,
    /// Groups that the source has, whoever is in them.
    pub groups: Vec<String>,
    /// Of a snapshot.
    pub roll: Option<Roll>,
}

/// What becomes of each page.
pub(crate) enum Steps<'a> {
    /// Facts are stored, and what is safe counts at once.
    Apply { fence: &'a Fence, cause: Cause, baseline: bool, done: Applied },
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
        let name = source.name.as_str();
        let (mut rows, mut parked, mut unchanged, mut groups, mut roll) = (0_u64, 0, 0, Vec::new(), None);
        loop {
            let Batch { changes, coverage, parked: refused, seen_only, groups: listed, next, more } =
                match source.connector.pull(at.as_ref()).await {
                    // From the beginning then; a snapshot has no checkpoint that could expire once more.
                    Err(connectors::Error::CheckpointExpired) if at.is_some() => {
                        (at, rows, unchanged, roll) = (None, 0, 0, None);
                        steps.again();
                        continue;
                    }
                    result => result?,
                };
            self.park(name, &refused, steps).await?;
            parked += refused.len();
            groups.extend(listed);
            let (mut accounts, deleted) = split(changes);
            rows += (accounts.len() + seen_only.len()) as u64;
            if coverage == Coverage::Snapshot {
                unchanged += self.call_roll(name, &mut roll, &mut accounts, &seen_only).await?;
            }
            self.take(name, &accounts, &deleted, steps).await?;
            // Pages that lead nowhere would be read for ever.
            if more && at.as_ref() == Some(&next) {
                return Err(connectors::Error::Unavailable(Box::new(Stuck)).into());
            }
            if !more {
                return Ok(Reading { rows, parked, unchanged, coverage, next: next.0, groups, roll });
            }
            at = Some(next);
        }
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

    async fn take(
        &self,
        source: &str,
        accounts: &[AccountFacts],
        deleted: &[String],
        steps: &mut Steps<'_>,
    ) -> Result<(), Error> {
        match steps {
            Steps::Apply { fence, cause, baseline, done } => {
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
