//! Keeps the session index of a downstream, and ends at once what it shows of those who must stay out.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use directory::Returned;
use downstreams::{Appeared, Ending, Session, SessionId, SessionIndex};
use lifecycle::Cutoff;
use lifecycle::delivery::retry_delay;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pass::{AGAIN, Error};
use crate::{Revoker, Target};

/// Sessions that appeared, taken at a time.
const AT_ONCE: usize = 1_000;
/// The longest pause before a store that broke off is followed again.
const LONGEST: Duration = Duration::from_secs(5);
/// How often what was ended is written down: a client that never pauses makes more of it than anybody wants to read.
const WRITTEN: Duration = Duration::from_millis(50);
/// How often the metrics are brought up to date.
const SHOWN: Duration = Duration::from_secs(1);

impl Revoker {
    /// Follows the store of a downstream that has an index, until `stop`.
    pub async fn follow(&self, target: &Target, stop: CancellationToken) {
        let Some(index) = target.adapter.index() else { return stop.cancelled().await };
        let (appeared, seen) = unbounded_channel();
        let (ended, written) = unbounded_channel();
        tokio::select! {
            () = stop.cancelled() => {}
            () = keep(target, index, &appeared) => {}
            () = self.end_what_appears(target, seen, &ended) => {}
            () = self.write_down(target, written) => {}
            () = self.show(target, index) => {}
        }
    }

    async fn end_what_appears(
        &self,
        target: &Target,
        mut seen: UnboundedReceiver<Appeared>,
        ended: &UnboundedSender<Returned>,
    ) {
        let mut batch = Vec::new();
        while seen.recv_many(&mut batch, AT_ONCE).await > 0 {
            let mut by_person: HashMap<Uuid, Vec<Session>> = HashMap::new();
            for Appeared { who, session } in batch.drain(..) {
                by_person.entry(who).or_default().push(session);
            }
            for (who, sessions) in by_person {
                if let Err(error) = self.end_again(target, who, sessions, ended).await {
                    // The next sweep does it, or says why not.
                    tracing::debug!(error = &error as &dyn std::error::Error, subject.id = %who, downstream.name = target.name, "what appeared could not be ended at once");
                }
            }
        }
    }

    async fn end_again(
        &self,
        target: &Target,
        who: Uuid,
        sessions: Vec<Session>,
        ended: &UnboundedSender<Returned>,
    ) -> Result<(), Error> {
        let Some(watched) = target.watch.of(who) else { return Ok(()) };
        let now = watched.clock.now();
        let must_end = |session: &Session, cutoff: &Cutoff| watched.must_end(session, cutoff, target.skew, now);
        // What was ended before may end again whatever has come since: nobody need be asked.
        let (back, new): (Vec<_>, Vec<_>) =
            sessions.into_iter().partition(|session| must_end(session, &watched.cutoff.lasting()));
        self.put_out(target, who, back, ended).await?;
        // Somebody reinstated a moment ago keeps the session of a moment ago.
        if new.iter().any(|session| must_end(session, &watched.cutoff)) {
            let cutoff = self.directory.wanted_now(&target.name, &[who]).await?.remove(&who).unwrap_or_default();
            let new = new.into_iter().filter(|session| must_end(session, &cutoff)).collect();
            self.put_out(target, who, new, ended).await?;
        }
        Ok(())
    }

    async fn put_out(
        &self,
        target: &Target,
        who: Uuid,
        sessions: Vec<Session>,
        ended: &UnboundedSender<Returned>,
    ) -> Result<(), Error> {
        let Some(watched) = target.watch.of(who).filter(|_| !sessions.is_empty()) else { return Ok(()) };
        let hashes: Vec<Vec<u8>> = sessions.iter().map(|session| session.id.hash().to_vec()).collect();
        let known = hashes.iter().filter(|hash| watched.ended.contains(*hash)).count();
        target.watch.ended(who, &hashes);
        let sessions: Vec<SessionId> = sessions.into_iter().map(|session| session.id).collect();
        let ending = Ending { subject: &watched.subject, sessions: &sessions };
        let count = target.adapter.end(&[ending]).await?.first().copied().unwrap_or_default();
        // A pass may have been faster.
        if count > 0 {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let resurrected = u32::try_from(known).unwrap_or(u32::MAX).min(count);
            self.metrics.ended(&target.name, count, resurrected, 0);
            let look_at = watched.clock.now() + AGAIN.max(2 * watched.took);
            // Nobody listens any more when the process ends.
            drop(ended.send(Returned { subject: who, ended: count, resurrected, hashes, look_at }));
        }
        Ok(())
    }

    async fn write_down(&self, target: &Target, mut ended: UnboundedReceiver<Returned>) {
        let mut batch = Vec::new();
        while ended.recv_many(&mut batch, AT_ONCE).await > 0 {
            let mut failures = 0;
            let returned = together(batch.drain(..));
            while let Err(error) = self.directory.came_back(&target.name, &returned).await {
                failures += 1;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    downstream.name = target.name,
                    "what was ended at once could not be written; trying again"
                );
                tokio::time::sleep(retry_delay(failures).min(LONGEST)).await;
            }
            for Returned { subject, ended, resurrected, .. } in &returned {
                tracing::warn!(subject.id = %subject, downstream.name = target.name, sessions = ended, resurrected, "sessions appeared of somebody who must stay out, and were ended at once");
            }
            tokio::time::sleep(WRITTEN).await;
        }
    }

    async fn show(&self, target: &Target, index: &dyn SessionIndex) {
        loop {
            let state = index.state();
            let walked = state.walked_at.and_then(|at: SystemTime| at.duration_since(UNIX_EPOCH).ok());
            self.metrics.index(&target.name, state.sessions, state.notified, walked.unwrap_or_default());
            tokio::time::sleep(SHOWN).await;
        }
    }
}

/// Follows the store again whenever that breaks off.
async fn keep(target: &Target, index: &dyn SessionIndex, appeared: &UnboundedSender<Appeared>) {
    let mut failures = 0;
    loop {
        let begun = tokio::time::Instant::now();
        let Err(error) = index.follow(appeared).await;
        failures = if begun.elapsed() > LONGEST { 1 } else { failures + 1 };
        // What breaks off again and again is told once: whether it goes well is a metric.
        if failures == 1 {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                downstream.name = target.name,
                "the session index lost the store; it follows it again"
            );
        }
        tokio::time::sleep(retry_delay(failures).min(LONGEST)).await;
    }
}

/// One of each subject.
fn together(ended: impl Iterator<Item = Returned>) -> Vec<Returned> {
    let mut by_subject: HashMap<Uuid, Returned> = HashMap::new();
    for one in ended {
        match by_subject.get_mut(&one.subject) {
            None => drop(by_subject.insert(one.subject, one)),
            Some(all) => {
                all.ended += one.ended;
                all.resurrected += one.resurrected;
                all.hashes.extend(one.hashes);
                all.look_at = all.look_at.max(one.look_at);
            }
        }
    }
    by_subject.into_values().collect()
}
