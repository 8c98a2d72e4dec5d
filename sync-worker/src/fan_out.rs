//! Changes of groups that are too large for one transaction: stored with the call that made them, worked off here.

use std::time::Duration;

use directory::FanOut;
use tokio_util::sync::CancellationToken;

use crate::SyncWorker;

const POLL: Duration = Duration::from_secs(1);
/// The lease of whoever works them off: a second worker would only wait for the same group.
const FAN_OUTS: &str = "fan-outs";

impl SyncWorker {
    /// Works off fan-outs until `stop`, a chunk at a time. What is left then, or by a crash, goes on at the next start.
    pub async fn work_off_fan_outs(&self, stop: CancellationToken) {
        let mut bell = self.directory.wake.fan_outs.listen();
        while !stop.is_cancelled() {
            match self.directory.fans_out().await {
                Ok(false) => {}
                // The lease is taken for what there is, not once a second for nothing.
                Ok(true) => drop(self.alone(FAN_OUTS, self.work_off(&stop)).await),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "fan-outs could not be read; trying again")
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    async fn work_off(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.directory.fan_out().await {
                Ok(Some(FanOut::Worked(_))) => {}
                Ok(Some(FanOut::Failed { id, group, error, news })) => {
                    self.metrics.fan_out_failed();
                    if news {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            fan_out.id = %id,
                            group.id = %group,
                            "a chunk of a fan-out could not be worked off; it is tried again, others go on"
                        );
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "fan-outs could not be worked off; trying again"
                    );
                    return;
                }
            }
        }
    }
}
