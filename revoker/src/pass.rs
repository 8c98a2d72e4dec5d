//! One pass over one downstream for every delivery that waits: find, end, verify, and say what was seen.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use directory::{Answer, Directory, Leased, Outcome};
use downstreams::{Ending, Mark, Session, SessionId, Subject};
use lifecycle::delivery::{lock_sweep, next_sweep};
use lifecycle::must_end::{Found, Look, SessionKind, must_end};
use lifecycle::{Action, Cutoff};
use uuid::Uuid;

use crate::values::{self, Sought};
use crate::{Metrics, Target};

/// The note of whoever goes by nothing at a downstream.
pub(crate) const NO_VALUE: &str = "the subject expression gave no value: nobody to look for";

/// How soon a session that came back is looked for again, unless a pass takes longer: a third of the time at most is spent on it.
pub(crate) const AGAIN: Duration = Duration::from_millis(50);

/// When a pass had ended what it found and had looked again, and how long all of it took.
#[derive(Debug, Clone, Copy)]
struct Times {
    applied_at: DateTime<Utc>,
    verified_at: DateTime<Utc>,
    took: Duration,
}

/// Why a pass did not come to an end. Nothing of it counts; everything stays owed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Downstream(#[from] downstreams::Error),
    #[error(transparent)]
    Directory(#[from] directory::Error),
}

/// Makes one pass for `leased` and returns the answers, to be written by the caller.
pub(crate) async fn make(
    target: &Target,
    directory: &Directory,
    metrics: &Metrics,
    leased: &[Leased],
) -> Result<Vec<Answer>, Error> {
    let Some(clock) = leased.first().map(|first| first.clock) else { return Ok(Vec::new()) };
    let begun = Instant::now();
    let sought: Vec<Sought<'_>> = leased.iter().map(Sought::from).collect();
    let subjects = values::of(target, directory, Some(metrics), &sought).await?;
    let mut works: Vec<Work<'_>> = leased.iter().map(Work::new).collect();
    // What an index knows goes at once, however long it takes to read the whole store.
    if let Some(index) = target.adapter.index() {
        for (leased, subject) in leased.iter().zip(&subjects) {
            target.watch.ends(leased, subject, leased.wanted, leased.ended.iter());
            index.watch(leased.subject, Some(subject));
        }
        let known = index.known(&subjects).await?;
        if known.iter().any(|sessions| !sessions.is_empty()) {
            end(target, directory, &subjects, &mut works, known).await?;
        }
    }
    let found = target.adapter.find(&subjects).await?;
    end(target, directory, &subjects, &mut works, found).await?;
    let applied_at = clock.now();
    verify(target, &subjects, &mut works).await?;
    mark(target, &subjects, &works).await?;
    let verified_at = clock.now();
    let times = Times { applied_at, verified_at, took: begun.elapsed() };
    target.watch.took(leased.iter().map(|l| l.subject), times.took);
    let answers = works
        .iter()
        .zip(&subjects)
        .map(|(work, subject)| {
            let note = subject.values.is_empty().then(|| NO_VALUE.to_owned());
            work.answer(target, times, note)
        })
        .collect();
    Ok(answers)
}

/// Ends those of the `found` sessions of each subject that must end.
async fn end(
    target: &Target,
    directory: &Directory,
    subjects: &[Subject],
    works: &mut [Work<'_>],
    found: Vec<Vec<Session>>,
) -> Result<(), Error> {
    // A sweep reads the cutoff again just before anything ends: somebody reinstated a moment ago keeps the session of a moment
    // ago. A first pass runs whatever came since, and fails closed.
    let swept: Vec<Uuid> = works.iter().filter(|w| w.look == Look::Sweep).map(|w| w.leased.subject).collect();
    let wanted = if swept.is_empty() { HashMap::new() } else { directory.wanted_now(&target.name, &swept).await? };
    let now = works[0].leased.clock.now();
    for (work, sessions) in works.iter_mut().zip(found) {
        let cutoff = wanted.get(&work.leased.subject).copied().unwrap_or(work.leased.wanted);
        work.choose(target, cutoff, sessions, now);
    }
    if target.adapter.index().is_some() {
        for (work, subject) in works.iter().zip(subjects) {
            let ended = work.hashes();
            target.watch.ends(work.leased, subject, work.cutoff, work.leased.ended.iter().chain(&ended));
        }
    }
    let endings: Vec<Ending<'_>> = works
        .iter()
        .zip(subjects)
        .filter(|(w, _)| !w.ending().is_empty())
        .map(|(w, subject)| Ending { subject, sessions: w.ending() })
        .collect();
    let counts = if endings.is_empty() { Vec::new() } else { target.adapter.end(&endings).await? };
    let mut counts = counts.into_iter();
    for work in works.iter_mut().filter(|w| !w.ending().is_empty()) {
        work.ended = work.ended.saturating_add(u32::try_from(counts.next().unwrap_or(0)).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// Leaves the marks that cutoffs demand, at every look: a store that lost one has it again.
async fn mark(target: &Target, subjects: &[Subject], works: &[Work<'_>]) -> Result<(), Error> {
    if !target.can(Action::Recheck) {
        return Ok(());
    }
    let now = works[0].leased.clock.now();
    let marks: Vec<Mark<'_>> = works
        .iter()
        .zip(subjects)
        .filter_map(|(work, subject)| {
            let before = work.cutoff.recheck_before?;
            Some(Mark { subject, before, until: before + target.max_session_life })
        })
        .filter(|mark| mark.until > now)
        .collect();
    if !marks.is_empty() {
        target.adapter.mark(&marks).await?;
    }
    Ok(())
}

/// Re-reads those of whom something was ended when the whole store had been read; the others were just read.
async fn verify(target: &Target, subjects: &[Subject], works: &mut [Work<'_>]) -> Result<(), Error> {
    let again: Vec<usize> = works.iter().enumerate().filter(|(_, w)| !w.ending().is_empty()).map(|(i, _)| i).collect();
    if again.is_empty() {
        return Ok(());
    }
    let asked: Vec<Subject> = again.iter().map(|i| subjects[*i].clone()).collect();
    let seen = target.adapter.verify(&asked).await?;
    let now = works[again[0]].leased.clock.now();
    for (index, sessions) in again.into_iter().zip(seen) {
        let work = &mut works[index];
        let hashes = work.hashes();
        work.left = sessions
            .iter()
            .filter(|session| {
                let hash = session.id.hash().to_vec();
                let ended_before = hashes.contains(&hash) || work.leased.ended.contains(&hash);
                let found = Found { kind: session.kind, auth_time: session.auth_time, ended_before };
                must_end(&found, &work.cutoff, Look::Sweep, target.skew, now)
            })
            .count();
    }
    Ok(())
}

struct Work<'a> {
    leased: &'a Leased,
    cutoff: Cutoff,
    look: Look,
    /// Those that were seen; an index may have led to some before.
    found: HashSet<SessionId>,
    /// Those that had to end, in the order in which they were chosen.
    chosen: Vec<SessionId>,
    /// Of them, how many were chosen before the last time.
    before: usize,
    resurrected: u32,
    ended: u32,
    /// Sessions that the re-read still found.
    left: usize,
}

impl<'a> Work<'a> {
    fn new(leased: &'a Leased) -> Self {
        let look = if leased.waiting.is_empty() { Look::Sweep } else { Look::First };
        Self {
            leased,
            cutoff: leased.wanted,
            look,
            found: HashSet::new(),
            chosen: Vec::new(),
            before: 0,
            resurrected: 0,
            ended: 0,
            left: 0,
        }
    }

    /// Chooses which of the `sessions` that were just read have to end.
    fn choose(&mut self, target: &Target, cutoff: Cutoff, sessions: Vec<Session>, now: DateTime<Utc>) {
        self.cutoff = cutoff;
        self.before = self.chosen.len();
        for session in sessions {
            let ended_before = self.leased.ended.contains(session.id.hash().as_slice());
            let seen = Found { kind: session.kind, auth_time: session.auth_time, ended_before };
            if must_end(&seen, &cutoff, self.look_for(session.kind), target.skew, now) {
                self.resurrected += u32::from(ended_before);
                self.chosen.push(session.id.clone());
            }
            self.found.insert(session.id);
        }
    }

    /// How sessions of this kind are looked at. A revocation that is about something else is no first look for them: where login
    /// times are unknown it would end what has begun since they were last ended.
    fn look_for(&self, kind: SessionKind) -> Look {
        if self.leased.is_about(kind) { self.look } else { Look::Sweep }
    }

    /// Those that were chosen last.
    fn ending(&self) -> &[SessionId] {
        &self.chosen[self.before..]
    }

    fn hashes(&self) -> Vec<Vec<u8>> {
        self.chosen.iter().map(|id| id.hash().to_vec()).collect()
    }

    /// Sessions that an overdue first pass ended although the subject had been reinstated: it fails closed and says so.
    fn collateral(&self) -> u32 {
        let reinstated = self.cutoff.state.is_some_and(|s| !s.disabled);
        let undelivered = self.leased.delivered.state != self.cutoff.state;
        if self.look == Look::First && reinstated && undelivered { self.ended } else { 0 }
    }

    fn answer(&self, target: &Target, times: Times, note: Option<String>) -> Answer {
        let Times { applied_at, verified_at, took } = times;
        let leased = self.leased;
        let first = self.look == Look::First;
        let series = target.sweeps.len();
        let start = if first { applied_at } else { leased.applied_at.unwrap_or(applied_at) };
        let done = match (first, leased.applied_at) {
            (true, _) => 0,
            // A row that no pass began has no series to run.
            (false, None) => series,
            (false, Some(began)) => {
                let scheduled = target.sweeps.get(leased.sweeps_done).map(|offset| began + *offset);
                let early = scheduled.is_some_and(|at| applied_at < at);
                leased.sweeps_done + usize::from(!early)
            }
        };
        // A sweep that ended something, back again or new, is followed by at least one more look before anything is settled.
        let quiet = first || self.chosen.is_empty();
        let once_more = !quiet && done >= series;
        let done = if once_more { series.saturating_sub(1) } else { done };
        let outcome = match (self.left, first) {
            (1.., _) => Outcome::Applied,
            (0, false) if done >= series => Outcome::Settled,
            (0, true) if series == 0 => Outcome::Settled,
            (0, _) => Outcome::Verified,
        };
        let next = next_sweep(&target.sweeps, done, start, &self.cutoff, target.max_session_life, applied_at);
        let due_at = match outcome {
            Outcome::Applied => Some(applied_at + soon(applied_at - start)),
            _ if once_more => {
                let again = applied_at + last_gap(&target.sweeps);
                Some(lock_sweep(&self.cutoff, applied_at).map_or(again, |at| at.min(again)))
            }
            // Whoever wrote it back may have read it in between, and write it once more: a look beside the series.
            _ if !quiet => next.map(|at| at.min(applied_at + AGAIN.max(2 * took))),
            _ => next,
        };
        Answer {
            subject: leased.subject,
            lease: leased.lease,
            turn: leased.turn,
            outcome,
            revocations: if first { leased.waiting.clone() } else { leased.answered.clone() },
            first,
            found: u32::try_from(if first { self.found.len() } else { self.chosen.len() }).unwrap_or(u32::MAX),
            ended: self.ended,
            resurrected: if first { 0 } else { self.resurrected },
            collateral: self.collateral(),
            hashes: self.hashes(),
            delivered: self.cutoff,
            applied_at: start,
            verified_at: (self.left == 0).then_some(verified_at),
            sweeps_done: done,
            due_at,
            note,
        }
    }
}

/// When to look again at what does not go away: at once, then ever later, as long as it has stayed already.
pub(crate) fn soon(stayed: chrono::Duration) -> Duration {
    stayed.to_std().unwrap_or_default().clamp(Duration::from_millis(100), Duration::from_secs(30))
}

/// The time between the last two sweeps of the series.
fn last_gap(sweeps: &[Duration]) -> Duration {
    match sweeps {
        [.., before, last] => *last - *before,
        [only] => *only,
        [] => Duration::from_secs(1),
    }
}

/// Deliveries by subject, for callers that need the instants of the revocations answered.
pub(crate) fn by_subject(leased: &[Leased]) -> HashMap<Uuid, &Leased> {
    leased.iter().map(|l| (l.subject, l)).collect()
}
