//! People from a CSV file that HR exports: each series of pulls is a snapshot of the whole file, which is looked at first and
//! then read page by page, so that its size does not matter.

mod client;
mod config;
mod dates;
mod fault;
mod header;
mod mapping;
mod rows;
mod stream;
mod survey;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use lifecycle::Change;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

pub use config::{Column, Config, Map};

use self::client::Verified;
use crate::{Batch, Checkpoint, Coverage, Error, Pull, Result};

pub(crate) struct Csv {
    config: Config,
    /// Of days in rows without a zone of their own.
    zone: Tz,
    /// The file that is being read, page by page.
    reading: Mutex<Option<Arc<Verified>>>,
}

impl Csv {
    pub fn new(config: Config, zone: Tz) -> Self {
        Self { config, zone, reading: Mutex::new(None) }
    }

    /// The file and the page that a checkpoint between two pages names.
    async fn going_on(&self, page: &Between) -> Result<Arc<Verified>> {
        let reading = self.reading.lock().await;
        // Another reading has verified another file since, or this one was begun by another process.
        reading.clone().filter(|file| file.sha256 == page.sha256).ok_or(Error::CheckpointExpired)
    }
}

/// A checkpoint between two pages of one file.
#[derive(Deserialize)]
struct Between {
    sha256: String,
    page: usize,
}

#[async_trait]
impl Pull for Csv {
    /// Always the whole file, changed or not: dates pass without a change to it, and the worker tells facts that it
    /// knows by their digest. So of `since` only a place between two pages matters.
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch> {
        let between = since.and_then(|since| serde_json::from_value::<Between>(since.0.clone()).ok());
        let (file, page) = match &between {
            Some(between) => (self.going_on(between).await?, between.page),
            None => {
                let file = Arc::new(client::verify(&self.config).await?);
                *self.reading.lock().await = Some(Arc::clone(&file));
                (file, 0)
            }
        };
        let people = client::page(&self.config, self.zone, &file, page).await?;
        let more = page + 1 < file.layout.pages.len();
        Ok(Batch {
            changes: people.accounts.into_iter().map(Change::Account).collect(),
            coverage: Coverage::Snapshot,
            parked: people.parked,
            seen_only: people.seen_only,
            groups: Vec::new(),
            next: checkpoint(&file, more.then_some(page + 1)),
            more,
        })
    }

    async fn probe(&self) -> Result<String> {
        let file = Arc::new(client::verify(&self.config).await?);
        let mut parked = 0;
        for page in 0..file.layout.pages.len() {
            parked += client::page(&self.config, self.zone, &file, page).await?.parked.len();
        }
        let parked = match parked {
            0 => String::new(),
            many => format!(", {many} parked"),
        };
        let (path, key, rows) = (self.config.path.display(), &self.config.key, file.rows);
        let noun = if rows == 1 { "row" } else { "rows" };
        Ok(format!("{path}, {rows} {noun}, key {key} unique{parked}"))
    }
}

/// Which file was read, for people who ask why somebody came or went; and the page with which to go on, if any.
fn checkpoint(file: &Verified, page: Option<usize>) -> Checkpoint {
    let modified = DateTime::<Utc>::from(file.modified).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut value = json!({ "sha256": file.sha256, "rows": file.rows, "mtime": modified });
    if let Some(page) = page {
        value["page"] = page.into();
    }
    Checkpoint(value)
}
