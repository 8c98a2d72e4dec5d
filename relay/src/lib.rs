//! Moves what was committed to the bus: events by lane in order per subject, cutoffs as they are now, steps of receipts.
//!
//! Publishing may repeat after a crash; whoever follows the bus expects that. Nothing here decides what an event means.

mod backlog;
mod cutoffs;
mod follow;
mod lease;
mod line;
pub mod metrics;
mod outage;

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use directory::Directory;
use lifecycle::Lane;
use tokio_util::sync::CancellationToken;

use crate::line::Line;
use crate::metrics::Metrics;

/// Largest number of records in one publish, and of rows in one read.
const BATCH: usize = 1_000;
/// The safety net under the wake-up.
const POLL: Duration = Duration::from_secs(1);

/// One relay of every lane, of cutoffs and of receipts, each where it gets the lease. `holder` names this process to the others.
pub struct Relay {
    pub directory: Directory,
    pub bus: Arc<dyn Bus>,
    pub holder: String,
    pub metrics: Metrics,
}

impl Relay {
    /// Relays events of `lane` until `stop`. Several publishes are under way at once, but never two of one subject.
    pub async fn run(&self, lane: Lane, stop: CancellationToken) {
        follow::run(self, Line::Lane(lane), stop).await;
    }

    /// Relays the steps of receipts until `stop`: beside the lanes, so that neither waits for the other.
    pub async fn run_receipts(&self, stop: CancellationToken) {
        follow::run(self, Line::Receipts, stop).await;
    }

    /// Relays the cutoffs of changed subjects until `stop`: beside the lanes as well.
    pub async fn run_cutoffs(&self, stop: CancellationToken) {
        cutoffs::run(self, stop).await;
    }
}

/// Why something could not be relayed. Nothing of it counts; it stays pending.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Directory(#[from] directory::Error),
}
