//! A budget of requests that all workers of all processes keep together.
//!
//! Tokens are taken from PostgreSQL in small leases: a lease is a span of time that nobody else has, and as many requests as fit
//! into it. Within it `governor` keeps them apart. So there are never more than the rate allows, whoever asks and however many
//! they are, and a lease costs one statement for a quarter of a second.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connectors::{Budget, Error, Rate};
use directory::Directory;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Mutex;

/// How much of the time one lease takes, unless a single request takes more.
const LEASE: Duration = Duration::from_millis(250);

/// What one worker may take of it.
pub struct Allowance {
    directory: Directory,
    name: String,
    /// The time that one request takes up.
    period: Duration,
    local: DefaultDirectRateLimiter,
    lease: Mutex<Lease>,
}

struct Lease {
    left: u32,
    until: Instant,
}

impl Allowance {
    /// Of the budget of this name.
    pub fn new(directory: Directory, name: String, rate: Rate) -> Self {
        let period = rate.period();
        let quota = Quota::with_period(period).expect("a rate has a period").allow_burst(NonZeroU32::MIN);
        let lease = Mutex::new(Lease { left: 0, until: Instant::now() });
        Self { directory, name, period, local: RateLimiter::direct(quota), lease }
    }

    /// Takes a lease and waits until it begins.
    async fn lease(&self) -> directory::Result<Lease> {
        let tokens = u32::try_from(LEASE.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX).max(1);
        let span = self.period * tokens;
        let asked = Instant::now();
        let wait = self.directory.reserve(&self.name, span).await?;
        // The database said it somewhere between asking and being answered: the lease begins late and ends early.
        tokio::time::sleep(wait).await;
        Ok(Lease { left: tokens, until: asked + wait + span })
    }
}

#[async_trait]
impl Budget for Allowance {
    async fn take(&self) -> Result<(), Error> {
        // Those who wait are served in their order.
        let mut lease = self.lease.lock().await;
        loop {
            if lease.left == 0 || Instant::now() >= lease.until {
                *lease = self.lease().await.map_err(|error| Error::Unavailable(Box::new(error)))?;
            }
            self.local.until_ready().await;
            if Instant::now() < lease.until {
                lease.left -= 1;
                return Ok(());
            }
        }
    }
}
