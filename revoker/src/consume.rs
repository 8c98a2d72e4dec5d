//! Follows the lifecycle topics: every urgent event gets a decision, of bulk events those that a rule listens to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bus::{Batch, Bus, Received, Topic, Unreadable};
use chrono::{DateTime, Utc};
use directory::{Made, Undecided};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lifecycle::{EventType, Lane};
use policy::Ruling;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::judge::Judged;
use crate::{GROUP, Revoker, spans};

/// How many batches may be decided at once.
const AT_ONCE: usize = 4;

/// When the bus told an event, by its id.
pub(crate) type Told = HashMap<Uuid, DateTime<Utc>>;

impl Revoker {
    /// Consumes one lane until `stop`. A batch is acknowledged once its decisions are durable; while the database is away it
    /// is tried again, so nothing is skipped.
    pub async fn consume(&self, bus: &dyn Bus, lane: Lane, stop: CancellationToken) -> Result<(), bus::Error> {
        let mut subscription = bus.subscribe(GROUP, Topic::Lifecycle(lane)).await?;
        // Order does not matter here: decisions are unique per event, and cutoffs join.
        let mut deciding = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(()) = deciding.next(), if !deciding.is_empty() => {}
                batch = subscription.next(), if deciding.len() < AT_ONCE => deciding.push(self.take(batch?, &stop)),
            }
        }
    }

    async fn take(&self, batch: Batch, stop: &CancellationToken) {
        let Batch { records, unreadable, .. } = &batch;
        let parked = until_durable(stop, "unreadable records could not be parked", || self.park(unreadable)).await;
        if parked && until_durable(stop, "decisions could not be written", || self.decide(records)).await {
            batch.acknowledge();
        }
    }

    async fn park(&self, unreadable: &[Unreadable]) -> directory::Result<()> {
        if unreadable.is_empty() {
            return Ok(());
        }
        let records: Vec<(&str, &str)> = unreadable.iter().map(|u| (u.place.as_str(), u.reason.as_str())).collect();
        self.directory.park_unreadable(&records).await?;
        for Unreadable { place, reason } in unreadable {
            tracing::error!(place, reason, "nobody can read a record of the bus; it is parked");
        }
        self.metrics.parked.inc_by(unreadable.len() as u64);
        Ok(())
    }

    async fn decide(&self, records: &[Received]) -> directory::Result<()> {
        let _spans = spans::deciding(records);
        let ids: Vec<Uuid> = records.iter().map(|r| r.record.id).collect();
        let told: Told = records.iter().map(|r| (r.record.id, r.published_at)).collect();
        let events = self.directory.undecided(&ids).await?;
        let judged = self.judge_all(events, &told).await?;
        if !judged.made.is_empty() {
            self.metrics.decisions.inc_by(self.directory.decide(&judged.made).await? as u64);
            self.measure_decided(&judged.made, &told);
        }
        self.tell_differences(&judged);
        // Also of those just decided: who was renamed while that was being written had no cutoffs yet that one could see.
        let subjects: BTreeSet<Uuid> = records.iter().map(|r| r.record.key).collect();
        self.directory.rename(&Vec::from_iter(subjects)).await?;
        Ok(())
    }

    /// Only of what the bus told: a suspension that was decided early, for its reinstatement, is yet to come.
    fn measure_decided(&self, made: &[Made], told: &Told) {
        let now = Utc::now();
        for Made { event, .. } in made {
            let Some(published) = told.get(&event.event_id) else { continue };
            let lane = if event.urgent { Lane::Urgent } else { Lane::Bulk };
            self.metrics.decided(lane, event.recorded_at, *published, now);
        }
    }

    /// Decides events; before a reinstatement the suspension that it ends, should that one come later. What the bus did not
    /// tell counts as told now. Their order is nothing: what is decided of one subject takes effect by version.
    pub(crate) async fn judge_all(&self, events: Vec<Undecided>, told: &Told) -> directory::Result<Judged> {
        let now = Utc::now();
        let told_at = |event: &Undecided| told.get(&event.event_id).copied().unwrap_or(now);
        let mut all = Judged::default();
        let mut judged: HashSet<i64> = HashSet::new();
        let early = self.directory.undecided_before(&events).await?;
        let counted = |event: &Undecided| {
            event.urgent
                || self.judge.policy().listens(event.event_type)
                || event.event_type == EventType::IdentityMerged
        };
        let events = events.into_iter().map(|event| (counted(&event), event));
        for (counts, event) in early.into_iter().map(|event| (true, event)).chain(events) {
            if !counts {
                self.compare(&event, &Ruling::default(), &mut all);
            } else if judged.insert(event.id) {
                let (ruling, at) = (self.rule(&event), told_at(&event));
                self.compare(&event, &ruling, &mut all);
                all.made.push(self.make(event, ruling, at));
            }
        }
        Ok(all)
    }
}

/// Does `work` until it succeeds, and says the first time that it does not; `false` at `stop`.
async fn until_durable<F: Future<Output = directory::Result<()>>>(
    stop: &CancellationToken,
    failed: &'static str,
    work: impl Fn() -> F,
) -> bool {
    let mut wait = Duration::from_millis(50);
    let mut failures = 0_u32;
    loop {
        match work().await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!(failures, "the database took it at last");
                }
                return true;
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(error = &error as &dyn std::error::Error, "{failed}; trying again");
                }
                failures += 1;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(Duration::from_secs(2));
    }
}
