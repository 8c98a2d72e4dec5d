//! Requests to the Admin API, signed in as the client's service account.

use std::{
    sync::{Arc, Once},
    time::{Duration, Instant},
};

use bytes::Bytes;
use lifecycle::Secret;
use reqwest::{RequestBuilder, Response, StatusCode, header, redirect};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    config::Config,
    refusal::{self, Garbled},
};
use crate::{Budget, Error, Result};

/// How long before its end a token is no longer used: the request has to arrive before it ends.
const MARGIN: Duration = Duration::from_secs(10);

/// One realm.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    realm: String,
    client_id: String,
    client_secret: Secret,
    timeout: Duration,
    budget: Option<Arc<dyn Budget>>,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    /// The margin before its end.
    until: Instant,
}

#[derive(Deserialize)]
struct SignedIn {
    access_token: Secret,
    /// Seconds.
    expires_in: u64,
}

impl Client {
    pub(super) fn new(config: &Config, budget: Option<Arc<dyn Budget>>) -> Result<Self> {
        let base = Url::parse(&config.url).map_err(|cause| wrong("url", cause))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("url", "it has to begin with https:// or http://"));
        }
        let more = base.query().is_some() || base.fragment().is_some();
        if more || !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("url", "it has to end with its path, and hold no login"));
        }
        // The library of addresses would take these for steps in a path.
        if ["", ".", ".."].contains(&config.realm.as_str()) {
            return Err(wrong("realm", "it cannot be the name of a realm"));
        }
        // The library asks for a provider even where it only ever speaks plain HTTP; the program has installed one, and a
        // second one is refused, which is harmless.
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let mut http = reqwest::Client::builder()
            .timeout(config.timeout)
            // What is addressed to this server, the token above all, is not taken to another.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("leaver/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(|cause| wrong("url", cause.without_url()))?,
            base,
            realm: config.realm.clone(),
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            timeout: config.timeout,
            budget,
            token: Mutex::default(),
        })
    }

    /// What is at `path` below the realm; `None` where nothing is. `role` is the role of `realm-management` it takes.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        role: &'static str,
    ) -> Result<Option<T>> {
        let mut url = self.below(["admin", "realms", &self.realm].into_iter().chain(path.iter().copied()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let Some(body) = self.send(url, role).await? else { return Ok(None) };
        serde_json::from_slice(&body).map(Some).map_err(|_| Error::Unavailable(Box::new(Garbled)))
    }

    fn below<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// The body of the answer, or `None` for "not found". A token that is refused before its end (the realm was logged out,
    /// or the server lost its keys) is replaced once.
    async fn send(&self, url: Url, role: &'static str) -> Result<Option<Bytes>> {
        let mut again = true;
        loop {
            let token = self.token().await?;
            let response = self.ask(self.http.get(url.clone()).bearer_auth(token.expose())).await?;
            match response.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED if again => {
                    again = false;
                    self.forget(&token).await;
                }
                status if status.is_success() => {
                    return response.bytes().await.map(Some).map_err(|error| refusal::unanswered(error, self.timeout));
                }
                status => return Err(refusal::classify(status, refusal::retry_after(&response), role)),
            }
        }
    }

    /// Sends it; once more where a connection that had been idle turns out to be closed. What is sent bears being repeated.
    async fn ask(&self, request: RequestBuilder) -> Result<Response> {
        let again = request.try_clone();
        self.may_ask().await?;
        let answer = match (request.send().await, again) {
            (Err(error), Some(again)) if !error.is_timeout() && !error.is_connect() => {
                self.may_ask().await?;
                again.send().await
            }
            (answer, _) => answer,
        };
        answer.map_err(|error| refusal::unanswered(error, self.timeout))
    }

    /// Waits for the budget, where there is one.
    async fn may_ask(&self) -> Result<()> {
        match &self.budget {
            Some(budget) => budget.take().await,
            None => Ok(()),
        }
    }

    /// A token that holds for a while yet. Callers that need one at the same time wait for one and the same.
    async fn token(&self) -> Result<Secret> {
        let mut current = self.token.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(token.secret.clone());
        }
        let SignedIn { access_token, expires_in } = self.sign_in().await?;
        let life = Duration::from_secs(expires_in);
        let until = Instant::now() + life.saturating_sub(MARGIN.min(life / 2));
        *current = Some(Token { secret: access_token.clone(), until });
        Ok(access_token)
    }

    /// RFC 6749, section 4.4, with the client's secret in the body (section 2.3.1).
    async fn sign_in(&self) -> Result<SignedIn> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.client_secret.expose())
            .finish();
        let url = self.below(["realms", &self.realm, "protocol", "openid-connect", "token"]);
        let request = self.http.post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let response = self.ask(request).await?;
        let (status, retry_after) = (response.status(), refusal::retry_after(&response));
        let body = response.bytes().await.map_err(|error| refusal::unanswered(error, self.timeout))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| Error::Unavailable(Box::new(Garbled)));
        }
        Err(refusal::of_sign_in(status, retry_after, &body))
    }

    async fn forget(&self, token: &Secret) {
        let mut current = self.token.lock().await;
        // A late failure of an old token does not throw away its successor.
        if current.as_ref().is_some_and(|current| current.secret.expose() == token.expose()) {
            *current = None;
        }
    }
}

/// A setting that no try can make work.
fn wrong(setting: &str, cause: impl Into<crate::BoxError>) -> Error {
    Error::Malformed { at: format!("`{setting}` of the connector"), source: cause.into() }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
