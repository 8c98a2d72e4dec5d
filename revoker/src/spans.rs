//! Work for many at once, shown as each one's part in each one's own trace. Without traces there is nothing of it.

use std::collections::HashMap;

use bus::Received;
use directory::{Answer, Errand, Leased, Reply};
use tracing::{Span, field};
use uuid::Uuid;

/// A span for each of these records whose cause is traced, until they are dropped.
pub(crate) fn deciding(records: &[Received]) -> Vec<Span> {
    let traced = records.iter().filter_map(|r| Some((&r.record, r.record.trace.as_deref()?)));
    traced
        .map(|(record, trace)| {
            let span = tracing::info_span!(parent: None, "decide", otel.kind = "consumer", event.id = %record.id);
            bus::trace::adopt(&span, trace);
            span
        })
        .collect()
}

/// One pass over a downstream, for each subject in it.
pub(crate) struct Passes(HashMap<Uuid, Span>);

impl Passes {
    pub fn begin(downstream: &str, leased: &[Leased]) -> Self {
        let traced = leased.iter().filter_map(|l| Some((l, l.trace.as_deref()?)));
        let begun = traced.map(|(leased, trace)| {
            let name = if leased.waiting.is_empty() { "sweep" } else { "deliver" };
            let span = tracing::info_span!(
                parent: None,
                "pass",
                otel.name = format!("{name} {downstream}"),
                otel.kind = "client",
                downstream.name = downstream,
                subject.id = %leased.subject,
                sessions.found = field::Empty,
                sessions.ended = field::Empty,
                receipt.state = field::Empty,
                otel.status_description = field::Empty,
                otel.status_code = field::Empty,
            );
            bus::trace::adopt(&span, trace);
            (leased.subject, span)
        });
        Self(begun.collect())
    }

    /// The downstream has answered, and its answers are durable.
    pub fn answered(&self, answers: &[Answer]) {
        for answer in answers {
            let Some(span) = self.0.get(&answer.subject) else { continue };
            span.record("sessions.found", answer.found)
                .record("sessions.ended", answer.ended)
                .record("receipt.state", answer.outcome.as_str());
        }
    }

    /// The downstream did not do it; it stays owed.
    pub fn failed(&self, error: &downstreams::Error) {
        for span in self.0.values() {
            failed(span, error);
        }
    }
}

/// One errand; nothing where its cause is not traced.
pub(crate) fn errand(downstream: &str, errand: &Errand) -> Span {
    let Some(trace) = errand.trace.as_deref() else { return Span::none() };
    let span = tracing::info_span!(
        parent: None,
        "errand",
        otel.name = format!("{} {downstream}", errand.action),
        otel.kind = "client",
        downstream.name = downstream,
        subject.id = %errand.subject,
        receipt.state = field::Empty,
        otel.status_description = field::Empty,
        otel.status_code = field::Empty,
    );
    bus::trace::adopt(&span, trace);
    span
}

/// The reply is durable.
pub(crate) fn replied(span: &Span, reply: &Reply) {
    span.record("receipt.state", reply.state().as_str());
}

/// It was not done; it stays owed.
pub(crate) fn failed(span: &Span, error: &downstreams::Error) {
    span.record("otel.status_code", "ERROR").record("otel.status_description", error.to_string());
}
