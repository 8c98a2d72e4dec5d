//! Carries out what a person let through, chunk by chunk and beside the requests: what is asked of one person passes it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Revoker;

const POLL: Duration = Duration::from_secs(1);

impl Revoker {
    /// Carries out approved holds until `stop`.
    pub async fn carry_out_holds(&self, stop: CancellationToken) {
        // Whoever approves rings it, in this process or by another's herald.
        let mut bell = self.directory.wake.requests.listen();
        while !stop.is_cancelled() {
            match self.carry_out_some().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an approved hold could not be carried out; trying again"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell.heard_or(POLL) => {}
            }
        }
    }

    /// One chunk; whether there may be another.
    async fn carry_out_some(&self) -> directory::Result<bool> {
        let Some(subjects) = self.directory.carry_out_held().await? else { return Ok(false) };
        // Told as a revocation of each would have told it.
        self.directory.rename(&subjects).await?;
        Ok(true)
    }
}
