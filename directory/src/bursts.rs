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
