//! Health, readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use directory::Directory;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub const OWED: &str = "leaver_deliveries_owed";
pub const STUCK: &str = "leaver_deliveries_stuck";
pub const PENDING: &str = "leaver_events_pending";

type Labelled = Family<[(&'static str, String); 1], Gauge<i64, AtomicI64>>;

/// What the probes look at.
#[derive(Clone)]
pub struct Probes {
    directory: Directory,
    registry: Arc<Registry>,
    gauges: Gauges,
}

#[derive(Clone, Default)]
struct Gauges {
    owed: Labelled,
    stuck: Labelled,
    pending: Labelled,
}

impl Probes {
    /// Takes the registry with everybody's metrics in it; adds what is read from the database at each scrape.
    pub fn new(directory: Directory, mut registry: Registry) -> Self {
        let gauges = Gauges::default();
        registry.register(OWED, "Deliveries that a downstream has not answered", gauges.owed.clone());
        registry.register(STUCK, "Deliveries that need a person", gauges.stuck.clone());
        registry.register(PENDING, "Events that the bus has not acknowledged, by lane", gauges.pending.clone());
        Self { directory, registry: Arc::new(registry), gauges }
    }

    async fn refresh(&self) -> directory::Result<()> {
        self.gauges.owed.clear();
        self.gauges.stuck.clear();
        self.gauges.pending.clear();
        for (name, (owed, stuck)) in self.directory.owed().await? {
            self.gauges.owed.get_or_create(&[("downstream", name.clone())]).set(owed);
            self.gauges.stuck.get_or_create(&[("downstream", name)]).set(stuck);
        }
        for (lane, depth) in self.directory.pending_depth().await? {
            self.gauges.pending.get_or_create(&[("lane", lane.as_str().to_owned())]).set(depth);
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
    match probes.directory.ping().await {
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
