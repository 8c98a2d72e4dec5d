#![doc = include_str!("README.md")]

mod client;
mod config;
mod mapping;
mod refusal;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use lifecycle::Action;

use crate::{Capabilities, ConfigError, Downstream, Ending, Finds, Probe, Result, Session, Signal, Subject};
use client::Client;
pub use config::Config;

/// A receiver of signals. It keeps no sessions that we could see.
pub struct Webhook {
    client: Client,
}

impl Webhook {
    /// The adapter, not yet connected.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        if config.timeout.is_zero() {
            return Err(ConfigError::NoTimeout);
        }
        Ok(Self { client: Client::new(config)? })
    }
}

#[async_trait]
impl Downstream for Webhook {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::Opaque,
            resurrects: false,
            knows_auth_time: false,
            // Not `revoke_sessions`: nobody here can look whether any are left.
            actions: &[Action::Notify],
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        Ok(vec![Vec::new(); subjects.len()])
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        Ok(vec![0; endings.len()])
    }

    async fn notify(&self, signal: &Signal<'_>) -> Result<()> {
        self.client.post(signal).await
    }

    async fn probe(&self) -> Result<Probe> {
        self.client.reach().await?;
        let note = "`url` begins with http:// and leads to another machine, so signals can be read on the way.";
        let notes = self.client.is_exposed().then(|| note.to_owned()).into_iter().collect();
        Ok(Probe { store: format!("a receiver at {}", self.client.host()), notes })
    }
}
