//! Plans that wait for a person: measured, and made anew when nobody has answered for too long.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use directory::{Cause, WaitingPlan};
use lifecycle::Class;
use uuid::Uuid;

use crate::SyncWorker;
use crate::alone::of_source;
use crate::schedule::pause_of;

/// Plans that could not be made anew, until they are answered or can be.
#[derive(Debug, Default)]
pub struct Postponed(Mutex<HashMap<Uuid, Failed>>);

/// How often it failed, and when it is tried again.
#[derive(Debug, Clone, Copy)]
struct Failed {
    times: i32,
    again_at: Instant,
}

impl Postponed {
    fn plans(&self) -> MutexGuard<'_, HashMap<Uuid, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that wait no longer need not be remembered.
    fn keep(&self, waiting: &[WaitingPlan]) {
        self.plans().retain(|id, _| waiting.iter().any(|plan| plan.id == *id));
    }

    fn rests(&self, plan: Uuid) -> bool {
        self.plans().get(&plan).is_some_and(|failed| failed.again_at > Instant::now())
    }

    /// One more failure; how long it is left alone.
    fn failed(&self, plan: Uuid) -> Duration {
        let mut plans = self.plans();
        let times = plans.get(&plan).map_or(1, |failed| failed.times.saturating_add(1));
        let pause = pause_of(times);
        plans.insert(plan, Failed { times, again_at: Instant::now() + pause });
        pause
    }
}

impl SyncWorker {
    /// Looks at all held plans once.
    pub async fn watch_plans(&self) -> directory::Result<()> {
        let waiting = self.directory.waiting_plans().await?;
        let now = Utc::now();
        for source in self.pulled.keys().chain(self.pushed.keys()) {
            let of_source: Vec<&WaitingPlan> = waiting.iter().filter(|plan| plan.source == *source).collect();
            let oldest = of_source.first().map(|plan| age(plan.created_at, now)).unwrap_or_default();
            self.metrics.waiting(source, of_source.len(), oldest);
        }
        self.postponed.keep(&waiting);
        // Of a source that is configured no longer nobody knows how long its plans may wait.
        let expired = |plan: &&WaitingPlan| {
            self.expires(&plan.source).is_some_and(|expires| age(plan.created_at, now) >= expires)
        };
        for plan in waiting.iter().filter(expired).filter(|plan| !self.postponed.rests(plan.id)) {
            let made = self.alone(&of_source(&plan.source), self.plan_anew(plan)).await.unwrap_or(Ok(()));
            if let Err(error) = made {
                let pause = self.postponed.failed(plan.id);
                self.metrics.replan_failed(&plan.source);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    source.name = plan.source,
                    plan.id = %plan.id,
                    pause_ms = pause.as_millis() as u64,
                    "a held plan that nobody has answered could not be made anew; it still waits, and others go on"
                );
            }
        }
        Ok(())
    }

    async fn plan_anew(&self, plan: &WaitingPlan) -> directory::Result<()> {
        let cause = Cause {
            source: Some(plan.source.clone()),
            class: Class::Mass,
            effective_at: None,
            received_at: Some(Utc::now()),
            trace: None,
            via: "plan expired",
        };
        if let Some(anew) = self.directory.replan(&cause, plan.id).await? {
            self.metrics.held(&plan.source);
            let (name, before) = (&plan.source, plan.id);
            tracing::warn!(source.name = name, plan.id = %anew, %before, "nobody has answered a held plan; it is made anew");
        }
        Ok(())
    }

    fn expires(&self, source: &str) -> Option<Duration> {
        let pulled = self.pulled.get(source).map(|source| source.config.brake.expires);
        pulled.or_else(|| self.pushed.get(source).map(|source| source.expires))
    }
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}
