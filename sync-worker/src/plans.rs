//! Plans that wait for a person: measured, and made anew when nobody has answered for too long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::{Cause, WaitingPlan};
use lifecycle::Class;

use crate::SyncWorker;
use crate::alone::of_source;

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
        for plan in &waiting {
            // Of a source that is configured no longer nobody knows how long its plans may wait.
            if self.expires(&plan.source).is_some_and(|expires| age(plan.created_at, now) >= expires) {
                self.alone(&of_source(&plan.source), self.plan_anew(plan)).await.unwrap_or(Ok(()))?;
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
