//! Ends what was shortened, when its time has come. The row waits in the database, so any revoker may do it, after any crash.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Revoker;

/// The longest sleep without looking.
const POLL: Duration = Duration::from_secs(1);
/// The sleep while another revoker is at what is due.
const BESIDE: Duration = Duration::from_millis(100);

impl Revoker {
    /// Carries out what is due, until `stop`.
    pub async fn shorten(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.shorten_some().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "shortened sessions could not be ended; trying again"
                    );
                    POLL
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One chunk of what is due. Returns how long to sleep.
    async fn shorten_some(&self) -> directory::Result<Duration> {
        match self.directory.next_shortening().await? {
            Some(Duration::ZERO) => {}
            next => return Ok(next.unwrap_or(POLL).min(POLL)),
        }
        // Another revoker may be at all of them.
        let Some(subjects) = self.directory.shorten_due().await? else { return Ok(BESIDE) };
        // Told as a revocation of each would have told it.
        self.directory.rename(&subjects).await?;
        Ok(Duration::ZERO)
    }
}
