//! A budget of requests: how many a source may be asked. Who keeps it is the worker's matter.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Result;

/// Asked before each request.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Waits until one more request is within the budget.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] where nobody can tell.
    async fn take(&self) -> Result<()>;
}

/// So many requests within so long, written `20/s`, `600/m` or `5000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Rate {
    pub requests: NonZeroU32,
    pub within: Duration,
}

impl Rate {
    /// The time that one request takes up.
    pub fn period(&self) -> Duration {
        self.within / self.requests.get()
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse = || {
            let (requests, unit) = text.split_once('/')?;
            let within = Duration::from_secs(match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                _ => return None,
            });
            // More than a million a second is no limit, and less than a microsecond no period.
            let requests = requests.trim().parse().ok().filter(|requests: &NonZeroU32| requests.get() <= 1_000_000)?;
            Some(Rate { requests, within })
        };
        parse().ok_or_else(|| "a rate is written as requests by time, such as 20/s, 600/m or 5000/h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_requests_by_time() {
        let period = |text: &str| Rate::try_from(text.to_owned()).map(|rate| rate.period());
        assert_eq!(period("20/s"), Ok(Duration::from_millis(50)));
        assert_eq!(period("600/m"), Ok(Duration::from_millis(100)));
        assert_eq!(period("1/h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["20", "0/s", "-1/s", "20/d", "20/", "/s", "2000000/s", ""] {
            assert!(period(wrong).is_err(), "{wrong:?}");
        }
    }
}
