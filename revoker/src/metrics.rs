//! What the revoker measures. Labels are names from the configuration, never people.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::Lane;
use policy::Difference;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The headline: verified − committed.
pub const REVOCATION_SECONDS: &str = "leaver_revocation_seconds";
pub const DECISIONS: &str = "leaver_decisions";
pub const SESSIONS_ENDED: &str = "leaver_sessions_ended";
pub const SESSIONS_RESURRECTED: &str = "leaver_sessions_resurrected";
pub const SESSIONS_COLLATERAL: &str = "leaver_sessions_collateral";
pub const CREDENTIALS_REVOKED: &str = "leaver_credentials_revoked";
pub const SIGNALS_HANDED_OVER: &str = "leaver_signals_handed_over";
pub const PASS_FAILURES: &str = "leaver_delivery_failures";
pub const DOWNSTREAM_FAILING: &str = "leaver_downstream_failing";
pub const INDEX_SESSIONS: &str = "leaver_session_index_sessions";
pub const INDEX_NOTIFIED: &str = "leaver_session_index_notified";
pub const INDEX_WALKED: &str = "leaver_session_index_walked_timestamp_seconds";
pub const NO_MAPPING: &str = "leaver_no_mapping";
pub const BREAK_GLASS: &str = "leaver_break_glass_spared";
pub const SHADOW_EVENTS: &str = "leaver_shadow_events";
pub const SHADOW_DIFFERENCES: &str = "leaver_shadow_differences";
pub const RECONCILED: &str = "leaver_reconciled";
pub const PARKED: &str = "leaver_revoker_parked";

/// The trace of one observation, by which a slow one is found.
type Seconds = HistogramWithExemplars<[(&'static str, String); 1]>;
type ByDownstream = [(&'static str, String); 1];

/// Seconds since the hop before, by hop (as in `identity trace`) and by where. One metric of the whole way, so it comes from
/// who registers it; here it gets the hops from the bus on.
pub type Hops = Family<[(&'static str, String); 2], Histogram, fn() -> Histogram>;

/// Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    hops: Hops,
    seconds: Family<ByDownstream, Seconds, fn() -> Seconds>,
    ended: Family<ByDownstream, Counter>,
    resurrected: Family<ByDownstream, Counter>,
    collateral: Family<ByDownstream, Counter>,
    credentials: Family<ByDownstream, Counter>,
    signals: Family<ByDownstream, Counter>,
    failures: Family<ByDownstream, Counter>,
    failing: Family<ByDownstream, Gauge>,
    index_sessions: Family<ByDownstream, Gauge>,
    index_notified: Family<ByDownstream, Gauge>,
    index_walked: Family<ByDownstream, Gauge>,
    no_mapping: Family<ByDownstream, Counter>,
    pub(crate) decisions: Counter,
    pub(crate) break_glass: Counter,
    pub(crate) compared: Counter,
    differences: Family<[(&'static str, &'static str); 1], Counter>,
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
            for hop in ["applied", "verified", "settled"] {
                drop(self.hops.get_or_create(&at(hop, "downstream", name)));
            }
            let sessions = [&self.ended, &self.resurrected, &self.collateral];
            for family in
                sessions.into_iter().chain([&self.credentials, &self.signals, &self.failures, &self.no_mapping])
            {
                drop(family.get_or_create(&label));
            }
            drop(self.failing.get_or_create(&label));
        }
        self
    }

    pub fn register(registry: &mut Registry, hops: Hops) -> Self {
        for lane in Lane::ALL {
            for hop in ["published", "decided"] {
                drop(hops.get_or_create(&at(hop, "lane", lane.as_str())));
            }
        }
        let metrics = Self {
            hops,
            seconds: Family::new_with_constructor(seconds as fn() -> Seconds),
            ended: Family::default(),
            resurrected: Family::default(),
            collateral: Family::default(),
            credentials: Family::default(),
            signals: Family::default(),
            failures: Family::default(),
            failing: Family::default(),
            index_sessions: Family::default(),
            index_notified: Family::default(),
            index_walked: Family::default(),
            no_mapping: Family::default(),
            decisions: Counter::default(),
            break_glass: Counter::default(),
            compared: Counter::default(),
            differences: Family::default(),
            reconciled: Counter::default(),
            parked: Counter::default(),
        };
        registry.register(
            REVOCATION_SECONDS,
            "From the committed change to the verified end of its sessions: the headline",
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
            CREDENTIALS_REVOKED,
            "Credentials, such as API keys, that a downstream revoked",
            metrics.credentials.clone(),
        );
        registry.register(
            SIGNALS_HANDED_OVER,
            "Signals that a downstream took; what it does with them is its own",
            metrics.signals.clone(),
        );
        registry.register(
            PASS_FAILURES,
            "Passes and errands that a downstream refused or did not answer",
            metrics.failures.clone(),
        );
        registry.register(
            DOWNSTREAM_FAILING,
            "1 while a downstream is asked by one pass at a time, since none has gone well; else 0",
            metrics.failing.clone(),
        );
        registry.register(
            INDEX_SESSIONS,
            "Sessions in the session index, or users in one of the users' sets",
            metrics.index_sessions.clone(),
        );
        registry.register(
            INDEX_NOTIFIED,
            "1 while the store, in a cluster each of its primaries, tells the session index of what is written; else it is as old as its last walk",
            metrics.index_notified.clone(),
        );
        registry.register(
            INDEX_WALKED,
            "When the session index had last walked over the whole store, in seconds since 1970; 0 before that",
            metrics.index_walked.clone(),
        );
        registry.register(
            NO_MAPPING,
            "Deliveries whose `subject` expression gave no value",
            metrics.no_mapping.clone(),
        );
        registry.register(DECISIONS, "Events decided", metrics.decisions.clone());
        registry.register(
            BREAK_GLASS,
            "Decisions that spared somebody named in `break_glass`",
            metrics.break_glass.clone(),
        );
        for difference in Difference::ALL {
            drop(metrics.differences.get_or_create(&[("difference", difference.as_str())]));
        }
        registry.register(
            SHADOW_EVENTS,
            "Events that the draft of `shadow` was tried on, beside the policy",
            metrics.compared.clone(),
        );
        registry.register(
            SHADOW_DIFFERENCES,
            "Events of which the draft of `shadow` would have ended more, fewer or otherwise",
            metrics.differences.clone(),
        );
        registry.register(
            RECONCILED,
            "What only reconcile found: decisions and deliveries that no event had brought",
            metrics.reconciled.clone(),
        );
        registry.register(
            PARKED,
            "Records of the bus that nobody can read; they are in `ledger.parked`",
            metrics.parked.clone(),
        );
        metrics
    }

    pub(crate) fn verified(
        &self,
        downstream: &str,
        committed: DateTime<Utc>,
        verified: DateTime<Utc>,
        trace: Option<&str>,
    ) {
        let seconds = between(committed, verified);
        let exemplar = trace.and_then(bus::trace::id).map(|id| [("trace_id", id.to_owned())]);
        self.seconds.get_or_create(&label(downstream)).observe(seconds, exemplar, Some(verified.into()));
    }

    /// The decision of an event that the bus told is durable.
    pub(crate) fn decided(
        &self,
        lane: Lane,
        committed: DateTime<Utc>,
        published: DateTime<Utc>,
        decided: DateTime<Utc>,
    ) {
        self.hops.get_or_create(&at("published", "lane", lane.as_str())).observe(between(committed, published));
        self.hops.get_or_create(&at("decided", "lane", lane.as_str())).observe(between(published, decided));
    }

    /// A downstream's answer is durable: `hop` was reached.
    pub(crate) fn answered(&self, downstream: &str, hop: &'static str, before: DateTime<Utc>, reached: DateTime<Utc>) {
        self.hops.get_or_create(&at(hop, "downstream", downstream)).observe(between(before, reached));
    }

    pub(crate) fn ended(&self, downstream: &str, ended: u32, resurrected: u32, collateral: u32) {
        self.ended.get_or_create(&label(downstream)).inc_by(u64::from(ended));
        self.resurrected.get_or_create(&label(downstream)).inc_by(u64::from(resurrected));
        self.collateral.get_or_create(&label(downstream)).inc_by(u64::from(collateral));
    }

    pub(crate) fn revoked(&self, downstream: &str, credentials: u32) {
        self.credentials.get_or_create(&label(downstream)).inc_by(u64::from(credentials));
    }

    pub(crate) fn handed_over(&self, downstream: &str) {
        self.signals.get_or_create(&label(downstream)).inc();
    }

    pub(crate) fn differs(&self, difference: Difference) {
        self.differences.get_or_create(&[("difference", difference.as_str())]).inc();
    }

    pub(crate) fn failed(&self, downstream: &str) {
        self.failures.get_or_create(&label(downstream)).inc();
    }

    /// Whether its breaker is open.
    pub(crate) fn open(&self, downstream: &str, open: bool) {
        self.failing.get_or_create(&label(downstream)).set(i64::from(open));
    }

    pub(crate) fn index(&self, downstream: &str, sessions: u64, notified: bool, walked: Duration) {
        let number = |of: u64| i64::try_from(of).unwrap_or(i64::MAX);
        self.index_sessions.get_or_create(&label(downstream)).set(number(sessions));
        self.index_notified.get_or_create(&label(downstream)).set(notified.into());
        self.index_walked.get_or_create(&label(downstream)).set(number(walked.as_secs()));
    }

    pub(crate) fn unmapped(&self, downstream: &str) {
        self.no_mapping.get_or_create(&label(downstream)).inc();
    }
}

/// Zero where the clocks of two machines disagree by more than the hop took.
fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).to_std().unwrap_or_default().as_secs_f64()
}

fn at(hop: &str, place: &'static str, name: &str) -> [(&'static str, String); 2] {
    [("hop", hop.to_owned()), (place, name.to_owned())]
}

fn label(downstream: &str) -> ByDownstream {
    [("downstream", downstream.to_owned())]
}
