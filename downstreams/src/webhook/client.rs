//! Signed requests to one address.

use std::{
    sync::Once,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{header, redirect};
use url::Url;

use super::{
    config::Config,
    mapping::{self, Key},
    refusal,
};
use crate::{ConfigError, Error, Result, Signal};

pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    keys: Vec<Key>,
    timeout: Duration,
}

/// It is none of ours, then.
#[derive(Debug, thiserror::Error)]
#[error("the event cannot be read")]
struct NoEvent;

impl Client {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let url = Url::parse(config.url.expose()).map_err(|cause| ConfigError::Url(Box::new(cause)))?;
        let is_here = is_loopback(&url);
        match url.scheme() {
            "https" => {}
            "http" if is_here || config.allow_http => {}
            "http" => return Err(ConfigError::Scheme { expected: "https://, or `allow_http: true` is needed" }),
            _ => return Err(ConfigError::Scheme { expected: "https:// or http://" }),
        }
        let keys: Option<Vec<Key>> = config.secrets.iter().map(Key::read).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or(ConfigError::Secrets)?;
        // The library asks for a provider even where it only ever speaks plain HTTP; the program has installed one, and a
        // second one is refused, which is harmless.
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let mut http = reqwest::Client::builder()
            .timeout(config.timeout)
            // What the operator wrote is where it goes: no answer sends it elsewhere, such as into our own network.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("leaver/", env!("CARGO_PKG_VERSION")));
        if is_here {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|cause| ConfigError::Url(Box::new(cause.without_url())))?;
        Ok(Self { http, url, keys, timeout: config.timeout })
    }

    /// Whom signals go to, without what may be a credential.
    pub(super) fn host(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.url.host_str().unwrap_or_default())
    }

    /// Signals can be read by whoever sees the traffic.
    pub(super) fn is_exposed(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback(&self.url)
    }

    /// Done once the receiver has said that it took it.
    pub(super) async fn post(&self, signal: &Signal<'_>) -> Result<()> {
        let body = mapping::body(signal).ok_or_else(|| Error::Rejected(Box::new(NoEvent)))?;
        let id = signal.id.to_string();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signatures = mapping::signatures(&self.keys, &id, seconds, &body);
        let post = || {
            self.http
                .post(self.url.clone())
                .header(header::CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
                .header("webhook-id", &id)
                .header("webhook-timestamp", seconds)
                .header("webhook-signature", &signatures)
                .body(body.clone())
                .send()
        };
        let answer = match post().await {
            // A connection that had been idle was closed meanwhile. Whoever has it already knows it by its id.
            Err(error) if !error.is_timeout() && !error.is_connect() => post().await,
            answer => answer,
        };
        let response = answer.map_err(|error| refusal::unanswered(error, self.timeout))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(refusal::classify(status, refusal::retry_after(&response))) }
    }

    /// Whether anybody answers there, whatever they say.
    pub(super) async fn reach(&self) -> Result<()> {
        let answer = self.http.head(self.url.clone()).send().await;
        answer.map(drop).map_err(|error| refusal::unanswered(error, self.timeout))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
