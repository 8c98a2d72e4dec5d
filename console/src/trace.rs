//! Where the trace of a wish begins: in that of its caller if there is one.

use std::collections::HashMap;

use axum::http::HeaderMap;
use opentelemetry::global;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

/// A span for a wish, and its W3C `traceparent` for whoever carries it out; `None` where nothing is traced.
pub(crate) fn begin(headers: &HeaderMap, name: &str) -> (Span, Option<String>) {
    let span = tracing::info_span!(parent: None, "wish", otel.name = name, otel.kind = "server");
    let caller = headers.get(HEADER).and_then(|value| Some((HEADER.to_owned(), value.to_str().ok()?.to_owned())));
    let caller: HashMap<String, String> = caller.into_iter().collect();
    let mut carrier = HashMap::new();
    global::get_text_map_propagator(|propagator| {
        // Without traces there is no layer to tell, and nothing is lost.
        if let Err(error) = span.set_parent(propagator.extract(&caller)) {
            tracing::trace!(error = &error as &dyn std::error::Error, "nothing is traced");
        }
        propagator.inject_context(&span.context(), &mut carrier);
    });
    (span, carrier.remove(HEADER))
}
