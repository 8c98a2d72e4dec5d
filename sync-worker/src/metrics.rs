//! What the sync worker measures. Labels are names from the configuration, never people.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use directory::Cause;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use scim::dialect::Quirk;

/// committed − effective, as far as the source states when a change took effect.
pub const SOURCE_LAG_SECONDS: &str = "leaver_source_lag_seconds";
pub const RUNS: &str = "leaver_source_runs";
pub const HELD: &str = "leaver_plans_held";
pub const WAITING: &str = "leaver_plans_waiting";
pub const WAITING_OLDEST_SECONDS: &str = "leaver_plans_waiting_oldest_seconds";
pub const REPLAN_FAILURES: &str = "leaver_replan_failures";
pub const PARKED: &str = "leaver_records_parked";
pub const SCIM_REQUESTS: &str = "leaver_scim_requests";
pub const FAN_OUT_FAILURES: &str = "leaver_fan_out_failures";
pub const SCIM_QUIRKS: &str = "leaver_scim_quirks";

/// Seconds since the hop before, by hop (as in `identity trace`) and by where. One metric of the whole way, so it comes from
/// who registers it; here it gets the hops up to the commit.
pub type Hops = Family<[(&'static str, String); 2], Histogram, fn() -> Histogram>;

type BySource = [(&'static str, String); 1];
type BySourceAndOutcome = [(&'static str, String); 2];
type BySourceAndQuirk = [(&'static str, String); 2];

/// Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    hops: Hops,
    lag: Family<BySource, Histogram, fn() -> Histogram>,
    runs: Family<BySourceAndOutcome, Counter>,
    held: Family<BySource, Counter>,
    waiting: Family<BySource, Gauge>,
    oldest: Family<BySource, Gauge<f64, AtomicU64>>,
    replan_failures: Family<BySource, Counter>,
    parked: Family<BySource, Counter>,
    scim: Family<BySourceAndOutcome, Counter>,
    quirks: Family<BySourceAndQuirk, Counter>,
    fan_out_failures: Counter,
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0])
}

impl Metrics {
    /// The series of a source that is read begin at 0, so that the first of everything is an increase.
    pub(crate) fn pulls(&self, source: &str) {
        self.begins(source);
        for outcome in ["complete", "held", "failed"] {
            drop(self.runs.get_or_create(&of(source, outcome)));
        }
    }

    /// The same for a source that pushes. It says nothing of when a change took effect but by pushing it.
    pub(crate) fn receives(&self, source: &str) {
        self.begins(source);
        drop(self.lag.get_or_create(&[("source", source.to_owned())]));
        drop(self.hops.get_or_create(&at("received", source)));
        for outcome in ["ok", "refused", "failed", "throttled"] {
            drop(self.scim.get_or_create(&of(source, outcome)));
        }
        for quirk in Quirk::ALL {
            drop(self.quirks.get_or_create(&shape(source, quirk.as_str())));
        }
    }

    fn begins(&self, source: &str) {
        drop(self.hops.get_or_create(&at("committed", source)));
        self.waiting(source, 0, Duration::ZERO);
        for family in [&self.held, &self.replan_failures, &self.parked] {
            drop(family.get_or_create(&[("source", source.to_owned())]));
        }
    }

    pub fn register(registry: &mut Registry, hops: Hops) -> Self {
        let metrics = Self {
            hops,
            lag: Family::new_with_constructor(seconds as fn() -> Histogram),
            runs: Family::default(),
            held: Family::default(),
            waiting: Family::default(),
            oldest: Family::default(),
            replan_failures: Family::default(),
            parked: Family::default(),
            scim: Family::default(),
            quirks: Family::default(),
            fan_out_failures: Counter::default(),
        };
        registry.register(
            SOURCE_LAG_SECONDS,
            "From the change at the source to its commit here, where the source says when",
            metrics.lag.clone(),
        );
        registry.register(RUNS, "Runs of pulled sources: `complete`, `held`, `failed`", metrics.runs.clone());
        registry.register(HELD, "Plans that the brake held", metrics.held.clone());
        registry.register(WAITING, "Held plans that wait for a person now", metrics.waiting.clone());
        registry.register(
            WAITING_OLDEST_SECONDS,
            "Age of the oldest held plan; 0 when none waits",
            metrics.oldest.clone(),
        );
        registry.register(
            REPLAN_FAILURES,
            "Held plans that nobody has answered and that could not be made anew; they are tried again",
            metrics.replan_failures.clone(),
        );
        registry.register(PARKED, "Records that could not be understood", metrics.parked.clone());
        registry.register(SCIM_REQUESTS, "SCIM requests: `ok`, `refused`, `failed`, `throttled`", metrics.scim.clone());
        registry.register(
            SCIM_QUIRKS,
            "Requests of a shape outside of the standard that was understood all the same",
            metrics.quirks.clone(),
        );
        registry.register(
            FAN_OUT_FAILURES,
            "Chunks of large changes of groups that could not be worked off and are tried again",
            metrics.fan_out_failures.clone(),
        );
        metrics
    }

    /// What `cause` brought was committed just now.
    pub(crate) fn committed(&self, cause: &Cause) {
        let now = Utc::now();
        let (Some(source), Some(received)) = (&cause.source, cause.received_at) else { return };
        if let Some(effective) = cause.effective_at {
            self.lag.get_or_create(&[("source", source.clone())]).observe(between(effective, now));
            self.hops.get_or_create(&at("received", source)).observe(between(effective, received));
        }
        self.hops.get_or_create(&at("committed", source)).observe(between(received, now));
    }

    pub(crate) fn run(&self, source: &str, outcome: &str) {
        self.runs.get_or_create(&of(source, outcome)).inc();
    }

    pub(crate) fn fan_out_failed(&self) {
        self.fan_out_failures.inc();
    }

    pub(crate) fn held(&self, source: &str) {
        self.held.get_or_create(&[("source", source.to_owned())]).inc();
    }

    pub(crate) fn replan_failed(&self, source: &str) {
        self.replan_failures.get_or_create(&[("source", source.to_owned())]).inc();
    }

    /// So many plans of a source wait for a person, the oldest for so long.
    pub(crate) fn waiting(&self, source: &str, plans: usize, oldest: Duration) {
        let source = [("source", source.to_owned())];
        self.waiting.get_or_create(&source).set(i64::try_from(plans).unwrap_or(i64::MAX));
        self.oldest.get_or_create(&source).set(oldest.as_secs_f64());
    }

    pub(crate) fn parked(&self, source: &str, count: usize) {
        self.parked.get_or_create(&[("source", source.to_owned())]).inc_by(count as u64);
    }

    pub(crate) fn quirk(&self, source: &str, quirk: &'static str) {
        self.quirks.get_or_create(&shape(source, quirk)).inc();
    }

    pub(crate) fn scim(&self, source: &str, outcome: &'static str) {
        self.scim.get_or_create(&of(source, outcome)).inc();
    }
}

/// Zero where the clocks of two machines disagree by more than the hop took.
fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

fn at(hop: &str, source: &str) -> [(&'static str, String); 2] {
    [("hop", hop.to_owned()), ("source", source.to_owned())]
}

fn shape(source: &str, quirk: &str) -> BySourceAndQuirk {
    [("source", source.to_owned()), ("quirk", quirk.to_owned())]
}

fn of(source: &str, outcome: &str) -> BySourceAndOutcome {
    [("source", source.to_owned()), ("outcome", outcome.to_owned())]
}
