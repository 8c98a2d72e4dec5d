//! Where a trace begins: with a request of a source, in the trace of its caller if it has one, or with a run.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The W3C `traceparent` of the span we are in; `None` where nothing is traced.
pub(crate) fn current() -> Option<String> {
    let mut carrier = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&Span::current().context(), &mut carrier));
    carrier.remove("traceparent")
}

/// One span for each request, named by its route: ids of people are not in it, and neither is a body.
pub(crate) async fn request(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let span = tracing::info_span!(
        "scim request",
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = field::Empty,
    );
    let caller = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
    // Without traces there is no layer to tell, and nothing is lost.
    if let Err(error) = span.set_parent(caller) {
        tracing::trace!(error = &error as &dyn std::error::Error, "nothing is traced");
    }
    async {
        let response = next.run(request).await;
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
