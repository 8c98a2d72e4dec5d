//! Logs go to stderr: short lines on a terminal, JSON elsewhere; traces go to a collector by OTLP, where one is configured.
//! Neither holds names, addresses, tokens or payloads: ids, and names from the configuration.

mod line;
mod wanted;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Traces;

/// Migrations say on every start what is there already.
fn default() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target("sqlx::postgres::notice", LevelFilter::WARN)
}

/// What libraries say of their own work is not ours to send.
fn ours() -> Targets {
    let names = ["directory", "relay", "revoker", "sync_worker", "console"];
    Targets::new().with_targets(names.map(|name| (name, LevelFilter::INFO)))
}

/// How long a collector may take to answer, and how long the last spans may take at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a running process has to end: spans that wait to be sent.
#[derive(Debug, Default)]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts logging, and tracing where it is configured; `filter` in the form of `tracing`'s directives, such as
/// `info,relay=debug`. Beside the traces stands the role, which makes the name of the service in them.
///
/// # Errors
/// Where the exporter of traces cannot be built. A collector that does not answer is no error: its spans are lost, and said so.
pub fn start(filter: Option<&str>, traced: Option<(&str, &Traces)>) -> anyhow::Result<Telemetry> {
    let filter = filter.and_then(|text| text.parse().ok()).unwrap_or_else(default);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.compact().with_target(false).with_filter(filter.clone()).boxed()
    } else {
        lines.event_format(line::Line).with_filter(filter.clone()).boxed()
    };
    let provider = traced.map(|(role, traces)| provider(role, traces)).transpose()?;
    let spans = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("leaver")).with_filter(ours()));
    let wanted = wanted::by_either(filter, spans.is_some().then(ours));
    // A second start in one process (tests) keeps the first.
    if let Err(error) = tracing_subscriber::registry().with(lines).with(spans).with(wanted).try_init() {
        eprintln!("logging was started already: {error}");
    }
    Ok(Telemetry(provider))
}

fn provider(role: &str, traces: &Traces) -> anyhow::Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", traces.otlp.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(PATIENCE)
        .build()
        .context("traces cannot be sent to traces.otlp")?;
    let resource = Resource::builder()
        .with_service_name(format!("leaver-{role}"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // Who calls us and traces has decided already.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.ratio))))
        .with_resource(resource)
        .build())
}

impl Telemetry {
    /// Sends what waits, for at most [`PATIENCE`].
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It blocks until the exporter's own thread is done.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last spans were not sent");
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the last spans were not sent"),
        }
    }
}
