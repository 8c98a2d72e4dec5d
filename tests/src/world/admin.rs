//! A client of the admin API and of the probes.

use serde_json::Value;

use super::{Answer, services};

#[derive(Debug, Clone)]
pub struct Admin {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Admin {
    pub(super) fn new(base: &str, token: Option<String>) -> Self {
        Self { http: services::http(), base: base.to_owned(), token }
    }

    /// Where it is, as a URL without a path.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// The sum of all samples of a metric whose labels contain `label`, such as `lane="urgent"`. Zero while there is none.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let metrics = self.get("/metrics").await.expect_status(200).body;
        let samples = metrics.lines().filter_map(|line| line.strip_prefix(name));
        let samples = samples.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label));
        samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Any method, as a client would send it that does not know better.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request).await
    }
}
