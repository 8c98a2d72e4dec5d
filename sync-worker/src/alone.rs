//! What only one of several sync workers does at a time: leases, renewed while the work lasts.

use std::time::Duration;

use crate::SyncWorker;

/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(3);

impl SyncWorker {
    /// Does `work` under the lease `name`. `None` if another worker has it, or nobody can: nothing was done.
    pub(crate) async fn alone<T>(&self, name: &str, work: impl Future<Output = T>) -> Option<T> {
        if !self.lease(name).await {
            return None;
        }
        // Beside the work, never instead of it: what it holds of the database may be what this waits for.
        let renewing = async {
            loop {
                tokio::time::sleep(RENEW).await;
                // The work goes on even if this fails: what it writes is fenced.
                self.lease(name).await;
            }
        };
        let done = tokio::select! {
            done = work => done,
            () = renewing => unreachable!("it is renewed as long as the work lasts"),
        };
        if let Err(error) = self.directory.release_lease(name, &self.holder).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a lease could not be given back; it runs out by itself"
            );
        }
        Some(done)
    }

    async fn lease(&self, name: &str) -> bool {
        self.directory.lease(name, &self.holder).await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, lease = name, "a lease could not be taken");
            false
        })
    }
}

/// The lease of whoever reads a source.
pub(crate) fn of_source(source: &str) -> String {
    format!("source/{source}")
}
