//! The lease of one loop, renewed in time. It saves double work; order and losses do not rest on it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{POLL, Relay};

/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(3);

pub(crate) struct Lease<'a> {
    relay: &'a Relay,
    name: String,
    renewed: Option<Instant>,
    /// When somebody else had it.
    refused: Option<Instant>,
    taken: bool,
}

impl<'a> Lease<'a> {
    pub(crate) fn new(relay: &'a Relay, name: String) -> Self {
        Self { relay, name, renewed: None, refused: None, taken: false }
    }

    /// Whether this process may work now. While somebody else has the lease, asking is free but for once a second.
    pub(crate) async fn held(&mut self) -> directory::Result<bool> {
        if self.renewed.is_some_and(|at| at.elapsed() < RENEW) {
            return Ok(true);
        }
        if self.refused.is_some_and(|at| at.elapsed() < POLL) {
            return Ok(false);
        }
        let before = Instant::now();
        let held = self.relay.directory.lease(&self.name, &self.relay.holder).await?;
        // Counted from before the question: the database's clock began no earlier.
        let lasted = self.lasts();
        self.taken |= held && !lasted;
        (self.renewed, self.refused) = if held { (Some(before), None) } else { (None, Some(before)) };
        Ok(held)
    }

    /// Whether nobody else can have it yet.
    pub(crate) fn lasts(&self) -> bool {
        self.renewed.is_some_and(|at| at.elapsed() < directory::TTL)
    }

    /// Whether the lease was taken since the last call: until then somebody else may have worked.
    pub(crate) fn was_taken(&mut self) -> bool {
        std::mem::take(&mut self.taken)
    }

    pub(crate) async fn release(self) {
        if let Err(error) = self.relay.directory.release_lease(&self.name, &self.relay.holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a relay could not give its lease back");
        }
    }
}
