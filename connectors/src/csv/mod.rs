//! People from a CSV file that HR exports: each pull is a snapshot of the whole file.

mod client;
mod config;
mod dates;
mod fault;
mod header;
mod mapping;
mod rows;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use lifecycle::Change;
use serde_json::json;

pub use config::{Column, Config, Map};

use self::{client::Contents, fault::Unready, mapping::People};
use crate::{Batch, Checkpoint, Coverage, Pull, Result};

pub(crate) struct Csv {
    config: Config,
    /// Of days in rows without a zone of their own.
    zone: Tz,
}

impl Csv {
    pub fn new(config: Config, zone: Tz) -> Self {
        Self { config, zone }
    }

    async fn read(&self) -> Result<(People, Checkpoint)> {
        let contents = client::read(&self.config).await?;
        client::verify(&contents, &self.config).await?;
        let (config, zone) = (self.config.clone(), self.zone);
        // A large file takes longer to parse than other tasks of this thread should wait.
        let parse = move || mapping::people(&contents.bytes, &config, zone).map(|people| (people, contents));
        let (people, contents) = tokio::task::spawn_blocking(parse).await.map_err(Unready::Interrupted)??;
        let next = checkpoint(&contents, &people);
        Ok((people, next))
    }
}

#[async_trait]
impl Pull for Csv {
    /// Always the whole file, changed or not: dates pass without a change to it, and the worker tells facts that it
    /// knows by their digest. So nothing of `since` is needed.
    async fn pull(&self, _since: Option<&Checkpoint>) -> Result<Batch> {
        let (people, next) = self.read().await?;
        Ok(Batch {
            changes: people.accounts.into_iter().map(Change::Account).collect(),
            coverage: Coverage::Snapshot,
            parked: people.parked,
            seen_only: people.seen_only,
            next,
            more: false,
        })
    }

    async fn probe(&self) -> Result<String> {
        let (people, _) = self.read().await?;
        let parked = match people.parked.len() {
            0 => String::new(),
            many => format!(", {many} parked"),
        };
        let (path, key) = (self.config.path.display(), &self.config.key);
        let rows = people.rows();
        let noun = if rows == 1 { "row" } else { "rows" };
        Ok(format!("{path}, {rows} {noun}, key {key} unique{parked}"))
    }
}

/// Which file was read, for people who ask why somebody came or went.
fn checkpoint(contents: &Contents, people: &People) -> Checkpoint {
    let modified = DateTime::<Utc>::from(contents.modified).to_rfc3339_opts(SecondsFormat::Millis, true);
    Checkpoint(json!({ "sha256": contents.sha256, "rows": people.rows(), "mtime": modified }))
}
