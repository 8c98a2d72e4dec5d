//! A real connector whose answers are damaged on the way to the worker: split into pages, and one of them wrong.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connectors::{Batch, Checkpoint, Error, Pull, Result};
use serde_json::json;

/// What is wrong with one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Unauthorized,
    Throttled,
    Unavailable,
    Malformed,
    /// The source forgets our checkpoint while we read.
    Expired,
    /// A success with nobody in it.
    Empty,
    /// A success that says it is the last page, and is not.
    Last,
    /// The checkpoint of this page again, and again.
    Stuck,
}

/// Pages of `size` of what `inner` says in one; the page `at` has the fault.
pub struct Paged {
    pub inner: Box<dyn Pull>,
    pub size: usize,
    pub fault: Fault,
    pub at: usize,
    /// How often it was asked.
    pub asked: AtomicUsize,
}

#[async_trait]
impl Pull for Paged {
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch> {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) < 100, "a run that never ends");
        let number = since.and_then(|at| at.0["page"].as_u64()).map_or(0, |page| page as usize);
        let whole = self.inner.pull(None).await?;
        let from = (number * self.size).min(whole.changes.len());
        let to = (from + self.size).min(whole.changes.len());
        let next = Checkpoint(json!({ "page": number + 1 }));
        let mut page =
            Batch { changes: whole.changes[from..to].to_vec(), more: to < whole.changes.len(), next, ..whole };
        if number != self.at {
            return Ok(page);
        }
        match self.fault {
            Fault::None => {}
            Fault::Unauthorized => return Err(Error::Unauthorized("401".into())),
            Fault::Throttled => return Err(Error::Throttled { retry_after: None }),
            Fault::Unavailable => return Err(Error::Unavailable("503".into())),
            Fault::Malformed => return Err(Error::Malformed { at: "page".to_owned(), source: "no JSON".into() }),
            // Once: the snapshot that follows is whole.
            Fault::Expired if self.asked.load(Ordering::Relaxed) == self.at + 1 => {
                return Err(Error::CheckpointExpired);
            }
            Fault::Expired => {}
            Fault::Empty => page.changes.clear(),
            Fault::Last => page.more = false,
            Fault::Stuck => (page.more, page.next) = (true, Checkpoint(json!({ "page": number }))),
        }
        Ok(page)
    }

    async fn probe(&self) -> Result<String> {
        self.inner.probe().await
    }
}
