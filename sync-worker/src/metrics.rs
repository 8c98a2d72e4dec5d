//! What the sync worker measures. Labels are names from the configuration, never people.

use chrono::{DateTime, Utc};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// committed − effective, as far as the source states when a change took effect.
pub const SOURCE_LAG_SECONDS: &str = "leaver_source_lag_seconds";
pub const RUNS: &str = "leaver_source_runs";
pub const HELD: &str = "leaver_plans_held";
pub const PARKED: &str = "leaver_records_parked";
pub const SCIM_REQUESTS: &str = "leaver_scim_requests";

type BySource = [(&'static str, String); 1];
type BySourceAndOutcome = [(&'static str, String); 2];

/// Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    lag: Family<BySource, Histogram, fn() -> Histogram>,
    runs: Family<BySourceAndOutcome, Counter>,
    held: Family<BySource, Counter>,
    parked: Family<BySource, Counter>,
    scim: Family<BySourceAndOutcome, Counter>,
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0])
}

impl Metrics {
    /// The series of these sources begin at 0, so that the first of everything is an increase.
    #[must_use]
    pub fn of<'a>(self, sources: impl IntoIterator<Item = &'a String>) -> Self {
        for name in sources {
            let label = [("source", name.clone())];
            drop(self.lag.get_or_create(&label));
            drop(self.held.get_or_create(&label));
            drop(self.parked.get_or_create(&label));
        }
        self
    }

    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            lag: Family::new_with_constructor(seconds as fn() -> Histogram),
            runs: Family::default(),
            held: Family::default(),
            parked: Family::default(),
            scim: Family::default(),
        };
        registry.register(SOURCE_LAG_SECONDS, "From the change at the source to its commit here", metrics.lag.clone());
        registry.register(RUNS, "Runs of pulled sources, by outcome", metrics.runs.clone());
        registry.register(HELD, "Plans that the brake held", metrics.held.clone());
        registry.register(PARKED, "Records that could not be understood", metrics.parked.clone());
        registry.register(SCIM_REQUESTS, "SCIM requests, by outcome", metrics.scim.clone());
        metrics
    }

    pub(crate) fn lag(&self, source: &str, effective: DateTime<Utc>) {
        let lag = (Utc::now() - effective).num_milliseconds().max(0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a lag are far below 2^52")]
        self.lag.get_or_create(&[("source", source.to_owned())]).observe(lag as f64 / 1e3);
    }

    pub(crate) fn run(&self, source: &str, outcome: &str) {
        self.runs.get_or_create(&[("source", source.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn held(&self, source: &str) {
        self.held.get_or_create(&[("source", source.to_owned())]).inc();
    }

    pub(crate) fn parked(&self, source: &str, count: usize) {
        self.parked.get_or_create(&[("source", source.to_owned())]).inc_by(count as u64);
    }

    pub(crate) fn scim(&self, source: &str, outcome: &'static str) {
        self.scim.get_or_create(&[("source", source.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }
}
