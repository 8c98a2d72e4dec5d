//! Sources spread over several workers: each source has one that reads it first, and the others when that one is away.
//!
//! Rendezvous hashing: every worker ranks all that are there by a digest of the source and the worker, and the first one is the
//! same for all of them. When a worker comes or goes, only sources that it has or had change hands. It saves double work, no
//! more: whose turn it is, the lease says, and what may be written, the fence.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::SyncWorker;

/// How often a worker says that it is there. A lease lasts three times as long.
const RENEW: Duration = Duration::from_secs(3);

/// How long others leave a source that is due to the worker that reads it first, although it is there: it may hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Who of these reads a source first.
pub(crate) fn first<'a>(source: &str, workers: &'a [String]) -> Option<&'a str> {
    workers
        .iter()
        .map(String::as_str)
        .max_by_key(|worker| Sha256::new().chain_update(source).chain_update([0]).chain_update(worker).finalize())
}

impl SyncWorker {
    /// Says that this worker is there, until `stop`.
    pub async fn be_there(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.directory.be_there(&self.holder).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "other workers could not be told of this one; trying again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RENEW) => {}
            }
        }
        if let Err(error) = self.directory.be_gone(&self.holder).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "other workers could not be told that this one goes; they find out by themselves"
            );
        }
    }

    /// Whether another worker that is there reads the source before this one.
    pub(crate) async fn is_second(&self, source: &str) -> bool {
        // Should it be unknown, the lease still lets only one of them read it.
        let workers = self.directory.workers().await.unwrap_or_default();
        first(source, &workers).is_some_and(|first| first != self.holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn sources_are_spread_and_only_those_of_a_worker_that_goes_change_hands() {
        let sources: Vec<String> = (0..300).map(|n| format!("source{n}")).collect();
        let (all, fewer) = (workers(&["a", "b", "c"]), workers(&["a", "c"]));
        for worker in ["a", "b", "c"] {
            let has = sources.iter().filter(|source| first(source, &all) == Some(worker)).count();
            assert!((60..=140).contains(&has), "{worker} has {has} of 300");
        }
        for source in &sources {
            let (before, after) = (first(source, &all), first(source, &fewer));
            assert!(before == Some("b") || before == after, "{source}");
        }
        assert_eq!(first("people", &[]), None);
    }
}
