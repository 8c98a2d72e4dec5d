//! What the revoker measures. Labels are names from the configuration, never people.

use chrono::{DateTime, Utc};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The headline: verified − committed.
pub const REVOCATION_SECONDS: &str = "leaver_revocation_seconds";
pub const DECISIONS: &str = "leaver_decisions";
pub const SESSIONS_ENDED: &str = "leaver_sessions_ended";
pub const SESSIONS_RESURRECTED: &str = "leaver_sessions_resurrected";
pub const SESSIONS_COLLATERAL: &str = "leaver_sessions_collateral";
pub const PASS_FAILURES: &str = "leaver_delivery_failures";
pub const NO_MAPPING: &str = "leaver_no_mapping";
pub const BREAK_GLASS: &str = "leaver_break_glass_spared";
pub const RECONCILED: &str = "leaver_reconciled";
pub const PARKED: &str = "leaver_revoker_parked";

/// The trace of one observation, by which a slow one is found.
type Seconds = HistogramWithExemplars<[(&'static str, String); 1]>;
type ByDownstream = [(&'static str, String); 1];

/// Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    seconds: Family<ByDownstream, Seconds, fn() -> Seconds>,
    ended: Family<ByDownstream, Counter>,
    resurrected: Family<ByDownstream, Counter>,
    collateral: Family<ByDownstream, Counter>,
    failures: Family<ByDownstream, Counter>,
    no_mapping: Family<ByDownstream, Counter>,
    pub(crate) decisions: Counter,
    pub(crate) break_glass: Counter,
    pub(crate) reconciled: Counter,
    pub(crate) parked: Counter,
}

fn seconds() -> Seconds {
    let bounds = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];
    Seconds::new(bounds.into_iter())
}

impl Metrics {
    /// The series of these downstreams begin at 0, so that the first of everything is an increase.
    #[must_use]
    pub fn of<'a>(self, downstreams: impl IntoIterator<Item = &'a String>) -> Self {
        for name in downstreams {
            let label = label(name);
            drop(self.seconds.get_or_create(&label));
            for family in [&self.ended, &self.resurrected, &self.collateral, &self.failures, &self.no_mapping] {
                drop(family.get_or_create(&label));
            }
        }
        self
    }

    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            seconds: Family::new_with_constructor(seconds as fn() -> Seconds),
            ended: Family::default(),
            resurrected: Family::default(),
            collateral: Family::default(),
            failures: Family::default(),
            no_mapping: Family::default(),
            decisions: Counter::default(),
            break_glass: Counter::default(),
            reconciled: Counter::default(),
            parked: Counter::default(),
        };
        registry.register(
            REVOCATION_SECONDS,
            "From the committed change to the verified end of its sessions",
            metrics.seconds.clone(),
        );
        registry.register(SESSIONS_ENDED, "Sessions that a downstream ended", metrics.ended.clone());
        registry.register(
            SESSIONS_RESURRECTED,
            "Ended sessions that came back and were ended again",
            metrics.resurrected.clone(),
        );
        registry.register(
            SESSIONS_COLLATERAL,
            "Sessions ended by an overdue pass after a reinstatement",
            metrics.collateral.clone(),
        );
        registry.register(
            PASS_FAILURES,
            "Passes that a downstream refused or did not answer",
            metrics.failures.clone(),
        );
        registry.register(NO_MAPPING, "Deliveries whose subject expression gave no value", metrics.no_mapping.clone());
        registry.register(DECISIONS, "Events decided", metrics.decisions.clone());
        registry.register(
            BREAK_GLASS,
            "Events that would have ended a break-glass identity",
            metrics.break_glass.clone(),
        );
        registry.register(RECONCILED, "Deliveries and decisions that only reconcile found", metrics.reconciled.clone());
        registry.register(PARKED, "Records of the bus that nobody can read, parked", metrics.parked.clone());
        metrics
    }

    pub(crate) fn verified(
        &self,
        downstream: &str,
        committed: DateTime<Utc>,
        verified: DateTime<Utc>,
        trace: Option<&str>,
    ) {
        let seconds = (verified - committed).num_microseconds().unwrap_or(i64::MAX).max(0);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a latency are far below 2^52")]
        let seconds = seconds as f64 / 1e6;
        let exemplar = trace.and_then(bus::trace::id).map(|id| [("trace_id", id.to_owned())]);
        self.seconds.get_or_create(&label(downstream)).observe(seconds, exemplar, Some(verified.into()));
    }

    pub(crate) fn ended(&self, downstream: &str, ended: u32, resurrected: u32, collateral: u32) {
        self.ended.get_or_create(&label(downstream)).inc_by(u64::from(ended));
        self.resurrected.get_or_create(&label(downstream)).inc_by(u64::from(resurrected));
        self.collateral.get_or_create(&label(downstream)).inc_by(u64::from(collateral));
    }

    pub(crate) fn failed(&self, downstream: &str) {
        self.failures.get_or_create(&label(downstream)).inc();
    }

    pub(crate) fn unmapped(&self, downstream: &str) {
        self.no_mapping.get_or_create(&label(downstream)).inc();
    }
}

fn label(downstream: &str) -> ByDownstream {
    [("downstream", downstream.to_owned())]
}
