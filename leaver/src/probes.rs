//! Health, readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use directory::Directory;
use lifecycle::Lane;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::Config;
use crate::roles::Parts;

pub const OWED: &str = "leaver_deliveries_owed";
pub const STUCK: &str = "leaver_deliveries_stuck";
pub const SHORTENED: &str = "leaver_shortenings_pending";
pub const HOLDS: &str = "leaver_holds_waiting";
pub const HOLDS_OLDEST: &str = "leaver_holds_waiting_oldest_seconds";
pub const PENDING: &str = "leaver_events_pending";
pub const PENDING_OLDEST: &str = "leaver_events_pending_oldest_seconds";

type Count = Gauge<i64, AtomicI64>;
type Seconds = Gauge<f64, AtomicU64>;
type ByDownstream = Family<[(&'static str, String); 1], Count>;
type ByLane<G> = Family<[(&'static str, &'static str); 1], G>;

/// What the probes look at.
#[derive(Clone)]
pub struct Probes {
    serving: Directory,
    /// May read what is pending.
    relay: Directory,
    /// May read what is owed, in processes that have to do with it.
    owing: Option<Directory>,
    /// Those configured: where nothing is owed, that is shown too.
    downstreams: Arc<[String]>,
    registry: Arc<Registry>,
    gauges: Gauges,
}

#[derive(Clone, Default)]
struct Gauges {
    owed: ByDownstream,
    stuck: ByDownstream,
    shortened: Count,
    /// By kind.
    holds: ByLane<Count>,
    holds_oldest: ByLane<Seconds>,
    pending: ByLane<Count>,
    oldest: ByLane<Seconds>,
}

impl Probes {
    /// Takes the registry with everybody's metrics in it; adds what is read from the database at each scrape.
    pub fn new(parts: &Parts, config: &Config, mut registry: Registry) -> Self {
        let gauges = Gauges::default();
        let owing = parts.owing().cloned();
        if owing.is_some() {
            registry.register(OWED, "Deliveries and errands that a downstream has not answered", gauges.owed.clone());
            registry.register(STUCK, "Of what is owed, how much needs a person", gauges.stuck.clone());
            let shortened = "Orders to shorten sessions whose time has not come";
            registry.register(SHORTENED, shortened, gauges.shortened.clone());
            registry.register(HOLDS, "Holds that wait for a person now", gauges.holds.clone());
            registry.register(HOLDS_OLDEST, "Age of the oldest hold that waits", gauges.holds_oldest.clone());
        }
        registry.register(PENDING, "Events that the bus has not acknowledged", gauges.pending.clone());
        registry.register(
            PENDING_OLDEST,
            "How long the oldest event has waited that the bus has not acknowledged",
            gauges.oldest.clone(),
        );
        let (serving, relay) = (parts.serving().clone(), parts.relay.directory.clone());
        let downstreams = config.downstreams.keys().cloned().collect();
        Self { serving, relay, owing, downstreams, registry: Arc::new(registry), gauges }
    }

    async fn refresh(&self) -> directory::Result<()> {
        let Gauges { owed, stuck, shortened, holds, holds_oldest, pending, oldest } = &self.gauges;
        if let Some(directory) = &self.owing {
            let found = directory.owed().await?;
            for name in self.downstreams.iter().chain(found.keys()) {
                let (owes, needs_a_person) = found.get(name).copied().unwrap_or_default();
                owed.get_or_create(&[("downstream", name.clone())]).set(owes);
                stuck.get_or_create(&[("downstream", name.clone())]).set(needs_a_person);
            }
            shortened.set(directory.shortenings_pending().await?);
            let held = directory.holds_waiting().await?;
            for kind in ["rule", "group"] {
                let (_, waiting, age) = held.iter().find(|(of, ..)| of == kind).cloned().unwrap_or_default();
                holds.get_or_create(&[("kind", kind)]).set(waiting);
                holds_oldest.get_or_create(&[("kind", kind)]).set(age);
            }
        }
        let waiting = self.relay.pending_depth().await?;
        for lane in Lane::ALL {
            let found = waiting.iter().find(|depth| depth.lane == lane);
            pending.get_or_create(&[("lane", lane.as_str())]).set(found.map_or(0, |depth| depth.events));
            let age = found.map_or(Duration::ZERO, |depth| depth.oldest);
            oldest.get_or_create(&[("lane", lane.as_str())]).set(age.as_secs_f64());
        }
        Ok(())
    }
}

/// `/healthz`: the process lives. `/readyz`: it can do its work. `/metrics`: Prometheus.
pub fn routes(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn ready(State(probes): State<Probes>) -> Response {
    match probes.serving.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be reached\n").into_response()
        }
    }
}

async fn metrics(State(probes): State<Probes>) -> Response {
    if let Err(error) = probes.refresh().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "what is owed could not be read for the metrics");
    }
    let mut text = String::new();
    match encode(&mut text, &probes.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
