//! Who must stay out of a downstream whose store tells of sessions that are written: what appears of them ends at once, and not
//! only with the next sweep.
//!
//! It lives in memory and only makes things fast. Each pass says anew whom it is about; without it, the sweeps do the same.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{Clock, Leased};
use downstreams::{Session, Subject};
use lifecycle::Cutoff;
use lifecycle::must_end::{Found, Look, must_end};
use uuid::Uuid;

/// Those of one downstream, by subject.
#[derive(Debug, Default)]
pub struct Watch(Mutex<HashMap<Uuid, Watched>>);

#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// What they go by there.
    pub subject: Subject,
    /// As the last pass read it.
    pub cutoff: Cutoff,
    /// Hashes of sessions that were ended.
    pub ended: HashSet<Vec<u8>>,
    /// How long the last pass took.
    pub took: Duration,
    /// As it was read for the last pass.
    pub clock: Clock,
}

impl Watched {
    /// Whether `session` has to end under `cutoff`.
    pub(crate) fn must_end(
        &self,
        session: &Session,
        cutoff: &Cutoff,
        skew: chrono::Duration,
        now: DateTime<Utc>,
    ) -> bool {
        let ended_before = self.ended.contains(session.id.hash().as_slice());
        let found = Found { kind: session.kind, auth_time: session.auth_time, ended_before };
        must_end(&found, cutoff, Look::Sweep, skew, now)
    }
}

impl Watch {
    pub(crate) fn of(&self, subject: Uuid) -> Option<Watched> {
        self.all().get(&subject).cloned()
    }

    /// A pass is about to end these of a subject.
    pub(crate) fn ends<'a>(
        &self,
        leased: &Leased,
        goes_by: &Subject,
        cutoff: Cutoff,
        ended: impl Iterator<Item = &'a Vec<u8>>,
    ) {
        let mut all = self.all();
        let watched = all.entry(leased.subject).or_insert_with(|| Watched {
            subject: goes_by.clone(),
            cutoff,
            ended: HashSet::new(),
            took: Duration::ZERO,
            clock: leased.clock,
        });
        watched.clock = leased.clock;
        watched.subject.clone_from(goes_by);
        watched.cutoff = cutoff;
        watched.ended.extend(ended.cloned());
    }

    /// These were ended as well.
    pub(crate) fn ended(&self, subject: Uuid, hashes: &[Vec<u8>]) {
        if let Some(watched) = self.all().get_mut(&subject) {
            watched.ended.extend(hashes.iter().cloned());
        }
    }

    pub(crate) fn took(&self, subjects: impl Iterator<Item = Uuid>, took: Duration) {
        let mut all = self.all();
        for subject in subjects {
            if let Some(watched) = all.get_mut(&subject) {
                watched.took = took;
            }
        }
    }

    pub(crate) fn forget(&self, subject: Uuid) {
        self.all().remove(&subject);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
