//! Traces across the bus: a span of ours goes on where the record says that its cause was.

use std::collections::HashMap;

use opentelemetry::global;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `span` a child of what `traceparent` names (W3C Trace Context §3.2), in whichever process that was.
pub fn adopt(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&carrier));
    // Without traces there is no layer to tell, and nothing is lost.
    if let Err(error) = span.set_parent(parent) {
        tracing::trace!(error = &error as &dyn std::error::Error, "nothing is traced");
    }
}

/// The id of the trace that `traceparent` belongs to, as exemplars name it.
pub fn id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1).filter(|id| id.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_trace_is_the_second_part_of_its_traceparent() {
        assert_eq!(
            id("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        assert_eq!(id("4bf92f3577b34da6"), None);
    }
}
