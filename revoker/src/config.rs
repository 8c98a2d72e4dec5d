//! What an operator may set for one downstream.

use std::time::Duration;

use downstreams::Config as Adapter;
use schemars::JsonSchema;
use serde::Deserialize;

/// One entry of `downstreams:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub adapter: Adapter,
    /// What a person is called there: an expression over `identity` and `account("source")`.
    pub subject: String,
    /// How values are compared with what the store holds.
    #[serde(default, rename = "match")]
    pub compare: downstreams::Match,
    /// No session lives longer than this.
    #[serde(default = "default_life", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_session_life: Duration,
    /// How far the clock that stamps logins may be behind.
    #[serde(default = "default_skew", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub skew: Duration,
    /// When to look again after the first pass.
    #[serde(default = "default_sweeps", deserialize_with = "durations")]
    #[schemars(with = "Vec<String>")]
    pub sweeps: Vec<Duration>,
    /// Passes at work at once, half of them reserved for what is urgent; at most two where a pass reads the whole store.
    #[serde(default = "default_workers")]
    pub workers: usize,
}

fn default_life() -> Duration {
    Duration::from_secs(30 * 86_400)
}

fn default_skew() -> Duration {
    Duration::from_secs(1)
}

fn default_sweeps() -> Vec<Duration> {
    [200, 1_000, 5_000, 30_000, 120_000].into_iter().map(Duration::from_millis).collect()
}

fn default_workers() -> usize {
    4
}

fn durations<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Duration>, D::Error> {
    #[derive(Deserialize)]
    struct Written(#[serde(with = "humantime_serde")] Duration);
    let mut list: Vec<Duration> = Vec::<Written>::deserialize(d)?.into_iter().map(|w| w.0).collect();
    list.sort_unstable();
    Ok(list)
}
