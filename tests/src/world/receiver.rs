//! Somebody who is told by webhooks, checks every signature, and answers as a story wants.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request that came, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Signal {
    /// `webhook-id`.
    pub id: String,
    pub event: Value,
    /// The body as it came.
    pub text: String,
}

#[derive(Default)]
struct Desk {
    signals: Vec<Signal>,
    /// What it answers; `None`: not at all.
    answer: Option<u16>,
}

pub struct Receiver {
    url: String,
    desk: Arc<Mutex<Desk>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// The secret that it shares with the world.
    pub const SECRET: &str = "whsec_bGVhdmVyIHRlbGxzIHdobyBoYXMgbGVmdA==";

    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of the loopback");
        let url = format!("http://{}/signals", listener.local_addr().expect("a bound address"));
        let desk = Arc::new(Mutex::new(Desk { answer: Some(202), ..Desk::default() }));
        let routes = Router::new().route("/signals", post(take)).with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves to the end") });
        Self { url, desk, server }
    }

    /// A downstream of this name that tells it; `HOOK_SECRET` is to be set.
    pub fn downstream(&self) -> String {
        let url = &self.url;
        format!(
            "{{ adapter: {{ type: webhook, url: \"{url}\", secrets: [\"env:HOOK_SECRET\"], timeout: 60s }}, \
             subject: identity.id }}"
        )
    }

    /// From now on it answers so.
    pub fn answers(&self, status: u16) {
        self.desk().answer = Some(status);
    }

    /// From now on it takes what comes, and answers nothing.
    pub fn hangs(&self) {
        self.desk().answer = None;
    }

    pub fn signals(&self) -> Vec<Signal> {
        self.desk().signals.clone()
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(desk): State<Arc<Mutex<Desk>>>, headers: HeaderMap, text: String) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    if header("webhook-signature") != signature(&id, &timestamp, &text) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_str(&text) else { return StatusCode::BAD_REQUEST };
    let answer = {
        let mut desk = desk.lock().expect("no holder panics");
        desk.signals.push(Signal { id, event, text });
        desk.answer
    };
    match answer {
        Some(status) => StatusCode::from_u16(status).expect("stories answer with what there is"),
        None => std::future::pending().await,
    }
}

/// By the words of the standard: HMAC-SHA256 of id, timestamp and body.
fn signature(id: &str, timestamp: &str, body: &str) -> String {
    let secret = STANDARD.decode(&Receiver::SECRET["whsec_".len()..]).expect("it is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
