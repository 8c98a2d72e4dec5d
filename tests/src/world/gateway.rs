//! An identity provider that finds another sync-worker when one does not answer, as behind a load balancer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::member::Addresses;
use super::{Answer, Person, SOON, Scim, services, text};

/// A client of one source at all sync-workers. Cheap to clone, and follows them over their restarts.
#[derive(Clone)]
pub struct Gateway {
    http: reqwest::Client,
    workers: Vec<Arc<Mutex<Addresses>>>,
    /// Whose turn it is.
    turn: Arc<AtomicUsize>,
    source: String,
    token: String,
}

impl Gateway {
    pub(super) fn new(workers: Vec<Arc<Mutex<Addresses>>>, source: &str, token: &str) -> Self {
        Self {
            http: services::http(),
            workers,
            turn: Arc::default(),
            source: source.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Creates an active user and returns its SCIM id.
    pub async fn create(&self, person: &Person) -> String {
        let answer = self.send("POST", "/Users", &Scim::resource(person, true)).await;
        text(&answer.expect_status(201).json()["id"])
    }

    pub async fn set_active(&self, id: &str, active: bool) {
        let operation = json!({"op": "replace", "path": "active", "value": active});
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        self.send("PATCH", &format!("/Users/{id}"), &body).await.expect_status(200);
    }

    /// An answer of any of them, in turn. Whoever does not take the connection, or drops it, is passed over.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let end = Instant::now() + SOON;
        loop {
            let worker = &self.workers[self.turn.fetch_add(1, Ordering::Relaxed) % self.workers.len()];
            let base = worker.lock().expect("no holder panics").public.clone();
            let url = format!("{}/scim/v2/{}{path}", base.unwrap_or_default(), self.source);
            let request = self.http.request(method.parse().expect("a method"), url).bearer_auth(&self.token);
            match Answer::attempt(request.json(body)).await {
                Ok(answer) => return answer,
                Err(error) => assert!(Instant::now() < end, "no sync-worker answers: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
