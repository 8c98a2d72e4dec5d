//! Stands before a real server, passes everything on, and damages the answers of one place.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Status(u16),
    /// A list of nobody, a count of nothing, an object without anything.
    Empty,
    /// 200, and an error in the body.
    ErrorWith200,
    /// 200, and a page for people.
    Html,
    /// The first half of what was said.
    Truncated,
    /// Each object lacks its `id`.
    WithoutId,
    /// Each object lacks `enabled`.
    WithoutEnabled,
}

impl Damage {
    pub const ALL: [Self; 14] = [
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(410),
        Self::Status(429),
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::Empty,
        Self::ErrorWith200,
        Self::Html,
        Self::Truncated,
        Self::WithoutId,
        Self::WithoutEnabled,
    ];
}

pub struct Proxy {
    pub url: String,
    damaged: Damaged,
}

type Damaged = Arc<Mutex<Option<(&'static str, Damage)>>>;

#[derive(Clone)]
struct Behind {
    base: String,
    http: reqwest::Client,
    damaged: Damaged,
}

impl Proxy {
    pub async fn before(base: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let damaged = Damaged::default();
        let behind = Behind { base: base.to_owned(), http: reqwest::Client::new(), damaged: damaged.clone() };
        let routes = Router::new().fallback(pass).with_state(behind);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, damaged }
    }

    /// From now on, answers of paths that end like this are damaged.
    pub fn damage(&self, place: &'static str, damage: Damage) {
        *self.damaged.lock().unwrap() = Some((place, damage));
    }

    pub fn mend(&self) {
        *self.damaged.lock().unwrap() = None;
    }
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers: HeaderMap = parts.headers.clone();
    headers.remove(header::HOST);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let asked = behind.http.request(parts.method, format!("{}{path}", behind.base)).headers(headers).body(body);
    let answer = asked.send().await.unwrap();
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    let damaged = *behind.damaged.lock().unwrap();
    match damaged.filter(|(place, _)| parts.uri.path().ends_with(place)) {
        Some((_, damage)) => spoil(damage, &bytes),
        None => (status, Body::from(bytes)).into_response(),
    }
}

fn spoil(damage: Damage, said: &[u8]) -> Response {
    let parsed: Value = serde_json::from_slice(said).unwrap_or_default();
    let without = |key: &str| {
        let mut parsed = parsed.clone();
        let objects = match &mut parsed {
            Value::Array(objects) => objects.iter_mut().collect(),
            object => vec![object],
        };
        objects.into_iter().filter_map(Value::as_object_mut).for_each(|object| drop(object.remove(key)));
        parsed.to_string()
    };
    let text = match damage {
        Damage::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
        Damage::Empty => match parsed {
            Value::Array(_) => "[]".to_owned(),
            Value::Number(_) => "0".to_owned(),
            _ => "{}".to_owned(),
        },
        Damage::ErrorWith200 => json!({ "error": "unknown_error" }).to_string(),
        Damage::Html => "<html><body>We are down for maintenance</body></html>".to_owned(),
        Damage::Truncated => return Body::from(said[..said.len() / 2].to_vec()).into_response(),
        Damage::WithoutId => without("id"),
        Damage::WithoutEnabled => without("enabled"),
    };
    text.into_response()
}
