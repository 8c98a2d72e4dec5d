//! People from a CSV file that HR exports: each series of pulls is a snapshot of the whole file, which is looked at first and
//! then read page by page, so that its size does not matter; or what is new in it, where this process has read the one before.

mod blocks;
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

use std::collections::HashSet;
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

use self::blocks::{Known, RowDigest};
use self::client::Verified;
use self::mapping::People;
use crate::{Batch, Checkpoint, Coverage, Error, Pull, Result};

/// Rows of a page, at most.
const PAGE: usize = 2_000;

pub(crate) struct Csv {
    config: Config,
    /// Of days in rows without a zone of their own.
    zone: Tz,
    /// The file that was read last, or is being read, page by page.
    reading: Mutex<Option<Reading>>,
}

struct Reading {
    file: Arc<Verified>,
    /// What is to be read of it: blocks, in pages, of which there is at least one.
    pages: Arc<[Vec<usize>]>,
    /// Rows in those that were said before.
    said: Arc<HashSet<RowDigest>>,
    /// How many of its pages were given.
    given: usize,
    /// For each of its blocks.
    understood: Vec<bool>,
    coverage: Coverage,
}

impl Reading {
    fn of_all(file: Verified) -> Self {
        Self::of(file, HashSet::new(), Coverage::Snapshot)
    }

    fn of_what_is_new(file: Verified, since: &Known<'_>) -> Self {
        let (gone, said) = (since.gone(&file.layout.blocks), since.said(&file.layout));
        let coverage = Coverage::Since { rows: file.rows, gone };
        Self::of(file, said, coverage)
    }

    fn of(file: Verified, said: HashSet<RowDigest>, coverage: Coverage) -> Self {
        let blocks = &file.layout.blocks;
        let known: Vec<bool> = blocks.iter().map(|block| block.known.is_some()).collect();
        let (mut pages, mut rows) = (vec![Vec::new()], 0);
        for at in (0..blocks.len()).filter(|at| !known[*at]) {
            let new = blocks[at].content.row_digests.iter().filter(|digest| !said.contains(*digest)).count();
            rows += new;
            if rows > PAGE {
                pages.push(Vec::new());
                rows = new;
            }
            pages.last_mut().expect("it began with one").push(at);
        }
        Self { file: Arc::new(file), pages: pages.into(), said: Arc::new(said), given: 0, understood: known, coverage }
    }

    fn is_read(&self) -> bool {
        self.given == self.pages.len()
    }

    /// Who is gone is told with the last page.
    fn coverage_of(&self, page: usize) -> Coverage {
        match &self.coverage {
            Coverage::Since { rows, .. } if page + 1 < self.pages.len() => {
                Coverage::Since { rows: *rows, gone: Vec::new() }
            }
            coverage => coverage.clone(),
        }
    }
}

impl Csv {
    pub fn new(config: Config, zone: Tz) -> Self {
        Self { config, zone, reading: Mutex::new(None) }
    }

    /// Begins with the file as it is, or with what is new in it since the one of this checkpoint, if this very process has read all
    /// of that. Another process may have had another configuration, and understood it otherwise.
    async fn begin(&self, since: Option<&Checkpoint>) -> Result<Option<Batch>> {
        let mut reading = self.reading.lock().await;
        let sha256 = since.map(|since| since.0["sha256"].as_str().unwrap_or_default());
        let before = reading.take().filter(|before| before.is_read() && Some(&*before.file.sha256) == sha256);
        let Some(before) = before else {
            *reading = Some(Reading::of_all(client::verify(&self.config, None).await?));
            return Ok(None);
        };
        let (file, understood) = (Arc::clone(&before.file), before.understood.clone());
        let whole = understood.iter().all(|understood| *understood);
        // Kept if the file is not ready: what it says next is compared with this one all the same.
        *reading = Some(before);
        if whole && let Some(modified) = client::again(&self.config, &file).await? {
            let coverage = Coverage::Since { rows: file.rows, gone: Vec::new() };
            return Ok(Some(batch(People::default(), coverage, checkpoint(&file, modified, None), false)));
        }
        let now = client::verify(&self.config, Some((Arc::clone(&file), understood.clone().into()))).await?;
        *reading = Some(Reading::of_what_is_new(now, &Known::new(&file.layout, &understood)));
        Ok(None)
    }

    /// A page of the file that is being read.
    async fn page(&self, page: usize) -> Result<Batch> {
        let (file, pages, said, coverage) = match &*self.reading.lock().await {
            Some(reading) if page < reading.pages.len() => {
                let Reading { file, pages, said, .. } = reading;
                (Arc::clone(file), Arc::clone(pages), Arc::clone(said), reading.coverage_of(page))
            }
            _ => return Err(Error::CheckpointExpired),
        };
        let (people, understood) = client::page(&self.config, self.zone, &file, &said, &pages[page]).await?;
        if let Some(reading) = self.reading.lock().await.as_mut().filter(|reading| Arc::ptr_eq(&reading.file, &file)) {
            reading.given += usize::from(page == reading.given);
            pages[page].iter().zip(understood).for_each(|(at, understood)| reading.understood[*at] = understood);
        }
        let next = (page + 1 < pages.len()).then_some(page + 1);
        Ok(batch(people, coverage, checkpoint(&file, file.modified, next), next.is_some()))
    }

    async fn is_reading(&self, sha256: &str) -> bool {
        self.reading.lock().await.as_ref().is_some_and(|reading| reading.file.sha256 == sha256)
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
    /// The whole file, or what is new in it since the one of `since`.
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch> {
        let between = since.and_then(|since| serde_json::from_value::<Between>(since.0.clone()).ok());
        match between {
            // Another reading has verified another file since, or this one was begun by another process.
            Some(between) if !self.is_reading(&between.sha256).await => Err(Error::CheckpointExpired),
            Some(between) => self.page(between.page).await,
            None => match self.begin(since).await? {
                Some(unchanged) => Ok(unchanged),
                None => self.page(0).await,
            },
        }
    }

    async fn probe(&self) -> Result<String> {
        let Reading { file, pages, said, .. } = Reading::of_all(client::verify(&self.config, None).await?);
        let mut parked = 0;
        for blocks in &*pages {
            parked += client::page(&self.config, self.zone, &file, &said, blocks).await?.0.parked.len();
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

fn batch(people: People, coverage: Coverage, next: Checkpoint, more: bool) -> Batch {
    Batch {
        changes: people.accounts.into_iter().map(Change::Account).collect(),
        coverage,
        parked: people.parked,
        seen_only: people.seen_only,
        groups: Vec::new(),
        next,
        more,
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
