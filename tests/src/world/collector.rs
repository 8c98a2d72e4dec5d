//! Where traces are sent: takes them by OTLP over HTTP, and shows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A span as it was sent, ids in hexadecimal.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of its trace.
    pub parent: String,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Taken {
    spans: Vec<Span>,
    /// Every request in full, for those who look for what must not be there.
    text: String,
}

pub struct Collector {
    url: String,
    taken: Arc<Mutex<Taken>>,
    server: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of the loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let taken = Arc::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves to the end") });
        Self { url, taken, server }
    }

    /// As `traces.otlp` names it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything that was sent so far.
    pub fn spans(&self) -> Vec<Span> {
        self.taken.lock().expect("no holder panics").spans.clone()
    }

    /// All that was sent so far, as text.
    pub fn received(&self) -> String {
        self.taken.lock().expect("no holder panics").text.clone()
    }

    /// The spans of one trace.
    pub fn of(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(taken): State<Arc<Mutex<Taken>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let mut taken = taken.lock().expect("no holder panics");
    taken.text += &format!("{request:#?}\n");
    for resource in request.resource_spans {
        let service = texts(resource.resource.map(|r| r.attributes).unwrap_or_default()).remove("service.name");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            taken.spans.push(Span {
                service: service.clone().unwrap_or_default(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(span.attributes),
            });
        }
    }
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: any_value::Value| match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: KeyValue| Some((pair.key, text(pair.value?.value?)));
    attributes.into_iter().filter_map(value).collect()
}
