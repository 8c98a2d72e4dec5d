//! Bursts: so many pushed deactivations of a source apply within a window; what goes beyond waits for a person.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many, and within how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    pub count: u64,
    pub window: Duration,
}

/// What each source has spent of its window. Kept in memory: a row would make deactivations wait for each other's commit, and
/// after a restart a window may as well begin anew.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<HashMap<String, (Instant, u64)>>);

impl Windows {
    /// Counts one deactivation; whether it still applies.
    pub(crate) fn spend(&self, source: &str, burst: Burst) -> bool {
        let now = Instant::now();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, spent) = windows.entry(source.to_owned()).or_insert((now, 0));
        if now.duration_since(*began) >= burst.window {
            (*began, *spent) = (now, 0);
        }
        *spent += 1;
        *spent <= burst.count
    }
}

/// Whether deactivations still apply, by native id. A transaction that is done again asks again, and must neither spend twice nor be
/// told otherwise.
#[derive(Debug, Default)]
pub struct Verdicts(Mutex<HashMap<String, bool>>);

impl Verdicts {
    pub(crate) fn on(&self, native_id: &str, spend: impl FnOnce() -> bool) -> bool {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = given.get(native_id) {
            return *verdict;
        }
        let verdict = spend();
        given.insert(native_id.to_owned(), verdict);
        verdict
    }
}
