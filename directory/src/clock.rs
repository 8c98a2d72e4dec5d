//! The time by the clock of the database. Instants of ours are compared with its own, so that clocks that differ do no harm.

use std::time::Instant;

use chrono::{DateTime, Utc};

/// A reading of that clock, which goes on from there by a clock that nobody sets.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    read: DateTime<Utc>,
    since: Instant,
}

impl Clock {
    /// The database has just said that it is `now` there.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { read: now, since: Instant::now() }
    }

    /// Never before what was read, and behind the database by no more than its answer took.
    pub fn now(&self) -> DateTime<Utc> {
        self.read + self.since.elapsed()
    }
}
