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
use std::time::SystemTime;

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
    /// The file that was read last, or is being read, page by page.
    reading: Mutex<Option<Reading>>,
}

struct Reading {
    file: Arc<Verified>,
    /// How many of its pages were given, and what of them was parked.
    pages: usize,
    parked: usize,
}

impl Reading {
    /// All of it was given and understood: it would be given again as it was.
    fn is_whole(&self) -> bool {
        self.pages == self.file.layout.pages.len() && self.parked == 0
    }
}

impl Csv {
    pub fn new(config: Config, zone: Tz) -> Self {
        Self { config, zone, reading: Mutex::new(None) }
    }

    /// The file and the page that a checkpoint between two pages names.
    async fn going_on(&self, page: &Between) -> Result<Arc<Verified>> {
        let reading = self.reading.lock().await;
        // Another reading has verified another file since, or this one was begun by another process.
        let file = reading.as_ref().map(|reading| Arc::clone(&reading.file));
        file.filter(|file| file.sha256 == page.sha256).ok_or(Error::CheckpointExpired)
    }

    /// The file of this checkpoint, if it is still the one that is there and this very process has read all of it. Another process
    /// may have had another configuration, and understood it otherwise.
    async fn unchanged(&self, since: &Checkpoint) -> Result<Option<Batch>> {
        let sha256 = since.0["sha256"].as_str().unwrap_or_default();
        let known = match &*self.reading.lock().await {
            Some(reading) if reading.is_whole() && reading.file.sha256 == sha256 => Arc::clone(&reading.file),
            _ => return Ok(None),
        };
        let Some(modified) = client::again(&self.config, &known).await? else { return Ok(None) };
        Ok(Some(Batch {
            changes: Vec::new(),
            coverage: Coverage::Unchanged { rows: known.rows },
            parked: Vec::new(),
            seen_only: Vec::new(),
            groups: Vec::new(),
            next: checkpoint(&known, modified, None),
            more: false,
        }))
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
    /// The whole file, unless it is still the one of `since`.
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch> {
        let between = since.and_then(|since| serde_json::from_value::<Between>(since.0.clone()).ok());
        let (file, page) = match &between {
            Some(between) => (self.going_on(between).await?, between.page),
            None => {
                if let Some(since) = since
                    && let Some(unchanged) = self.unchanged(since).await?
                {
                    return Ok(unchanged);
                }
                let file = Arc::new(client::verify(&self.config).await?);
                *self.reading.lock().await = Some(Reading { file: Arc::clone(&file), pages: 0, parked: 0 });
                (file, 0)
            }
        };
        let people = client::page(&self.config, self.zone, &file, page).await?;
        if let Some(reading) = self.reading.lock().await.as_mut().filter(|reading| Arc::ptr_eq(&reading.file, &file)) {
            reading.pages += 1;
            reading.parked += people.parked.len();
        }
        let more = page + 1 < file.layout.pages.len();
        Ok(Batch {
            changes: people.accounts.into_iter().map(Change::Account).collect(),
            coverage: Coverage::Snapshot,
            parked: people.parked,
            seen_only: people.seen_only,
            groups: Vec::new(),
            next: checkpoint(&file, file.modified, more.then_some(page + 1)),
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
fn checkpoint(file: &Verified, modified: SystemTime, page: Option<usize>) -> Checkpoint {
    let modified = DateTime::<Utc>::from(modified).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut value = json!({ "sha256": file.sha256, "rows": file.rows, "mtime": modified });
    if let Some(page) = page {
        value["page"] = page.into();
    }
    Checkpoint(value)
}
