//! The admin API as a client sees it: one call, one JSON document or one error.

use std::time::Duration;

use lifecycle::Secret;
use reqwest::{Method, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::Value;

/// How long a call may take beyond the time that the server was asked to wait.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens there, or it cannot be reached.
    #[error("nobody answers at {server}")]
    Nobody { server: String, source: reqwest::Error },
    #[error("{server} did not answer in time")]
    Late { server: String, source: reqwest::Error },
    /// The connection broke while the answer was on its way; whether the call was carried out is not known.
    #[error("the answer of {server} broke off")]
    Broken { server: String, source: reqwest::Error },
    /// The token is not followed to another address.
    #[error("{server} is elsewhere: {location}")]
    Elsewhere { server: String, location: String },
    /// The server does not accept the token, or got none.
    #[error("{server} {}", if *.had_token { "does not accept the token" } else { "wants a token" })]
    Unauthorized { server: String, had_token: bool },
    /// The server understood and says no. The message is the server's.
    #[error("{}", .0.error)]
    Refused(Refusal),
    #[error("what {server} answered is not understood")]
    Garbled { server: String, source: serde_json::Error },
    #[error("no client for HTTP can be made")]
    Unusable(#[source] reqwest::Error),
}

/// A refusal with what the server said about it.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub error: String,
    pub help: Option<String>,
    /// The identities that WHO could mean, if it could mean several.
    pub matches: Option<Value>,
    /// What is wrong with a policy that was sent.
    pub problems: Vec<policy::Problem>,
}

/// A server, and the token to show it.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

/// Query parameters; those that are `None` are left out.
pub type Query<'a> = [(&'a str, Option<String>)];

impl Client {
    /// A client for the server at `base`; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Unusable`] where the system's certificates cannot be read, for one.
    pub fn new(base: Url, token: Option<Secret>) -> Result<Self> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("leaver/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A proxy has no way to this machine, and no business with the token.
            http = http.no_proxy();
        }
        Ok(Self { http: http.build().map_err(Error::Unusable)?, base, token })
    }

    /// The address without what could be secret in it.
    pub fn server(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Reads `/api/v1/{path}`; each element of `path` may hold any character.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn get<T: for<'de> Deserialize<'de>>(&self, path: &[&str], query: &Query<'_>) -> Result<Answer<T>> {
        self.wait(path, query, Duration::ZERO).await
    }

    /// The same, where the server may take `poll` longer until there is something to say.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn wait<T>(&self, path: &[&str], query: &Query<'_>, poll: Duration) -> Result<Answer<T>>
    where
        T: for<'de> Deserialize<'de>,
    {
        self.understood(self.call(Method::GET, path, query, None, PATIENCE + poll).await?)
    }

    /// # Errors
    /// Every [`Error`].
    pub async fn post<T: for<'de> Deserialize<'de>>(&self, path: &[&str], body: &Value) -> Result<Answer<T>> {
        self.post_patiently(path, body, PATIENCE).await
    }

    /// The same, for what may take longer.
    ///
    /// # Errors
    /// Every [`Error`].
    pub async fn post_patiently<T>(&self, path: &[&str], body: &Value, patience: Duration) -> Result<Answer<T>>
    where
        T: for<'de> Deserialize<'de>,
    {
        self.understood(self.call(Method::POST, path, &[], Some(body), patience).await?)
    }

    /// # Errors
    /// Every [`Error`].
    pub async fn delete(&self, path: &[&str]) -> Result<()> {
        self.call(Method::DELETE, path, &[], None, PATIENCE).await.map(drop)
    }

    /// What an answer says, as far as a view shows it.
    ///
    /// # Errors
    /// [`Error::Garbled`].
    pub fn understood<T: for<'de> Deserialize<'de>>(&self, json: Value) -> Result<Answer<T>> {
        match T::deserialize(&json) {
            Ok(typed) => Ok(Answer { json, typed }),
            Err(source) => Err(Error::Garbled { server: self.server(), source }),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Value> {
        let mut request = self.http.request(method, self.url(path, query)).timeout(patience);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(reqwest::header::LOCATION);
            let location = location.and_then(|at| at.to_str().ok()).unwrap_or("it does not say where").to_owned();
            return Err(Error::Elsewhere { server: self.server(), location });
        }
        let body = response.bytes().await.map_err(|error| self.failed(error))?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(Error::Unauthorized { server: self.server(), had_token: self.token.is_some() });
        }
        if !status.is_success() {
            return Err(Error::Refused(refusal(&self.server(), status, &body)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|source| Error::Garbled { server: self.server(), source })
    }

    fn url(&self, path: &[&str], query: &Query<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let given: Vec<_> = query.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        url
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        let (server, source) = (self.server(), error.without_url());
        if source.is_connect() {
            Error::Nobody { server, source }
        } else if source.is_timeout() {
            Error::Late { server, source }
        } else {
            Error::Broken { server, source }
        }
    }
}

/// What the server said: as it is, for machines, and as the part of it that a view shows.
#[derive(Debug)]
pub struct Answer<T> {
    pub json: Value,
    pub typed: T,
}

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn refusal(server: &str, status: StatusCode, body: &[u8]) -> Refusal {
    #[derive(Deserialize)]
    struct Told {
        error: String,
        help: Option<String>,
        matches: Option<Value>,
        #[serde(default)]
        problems: Vec<policy::Problem>,
    }
    let status = status.as_u16();
    match serde_json::from_slice(body) {
        Ok(Told { error, help, matches, problems }) => Refusal { status, error, help, matches, problems },
        // Something between us and the server, perhaps; its page is not for here.
        Err(_) => {
            let error = format!("{server} answers with HTTP status {status} and does not say why");
            Refusal { status, error, help: None, matches: None, problems: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, path: &[&str], query: &Query<'_>) -> String {
        drop(rustls::crypto::ring::default_provider().install_default());
        Client::new(base.parse().unwrap(), None).unwrap().url(path, query).to_string()
    }

    #[test]
    fn whatever_a_name_holds_stays_one_part_of_the_path() {
        for (who, expected) in [
            ("ana@example.com", "ana@example.com"),
            ("okta:00u/1?x#y", "okta:00u%2F1%3Fx%23y"),
            ("Ana Né", "Ana%20N%C3%A9"),
            ("50%", "50%25"),
        ] {
            let found = url("http://h:1", &["identities", who], &[]);
            assert_eq!(found, format!("http://h:1/api/v1/identities/{expected}"));
        }
    }

    #[test]
    fn a_server_behind_a_path_keeps_it_and_absent_parameters_are_left_out() {
        let query = [("q", Some("a&b".to_owned())), ("after", None)];
        assert_eq!(url("https://h/leaver/", &["identities"], &query), "https://h/leaver/api/v1/identities?q=a%26b");
        assert_eq!(url("https://h/leaver", &["plans"], &[("state", None)]), "https://h/leaver/api/v1/plans");
    }

    #[test]
    fn a_refusal_says_what_the_server_said_and_never_shows_a_page() {
        let told = refusal("http://h", StatusCode::NOT_FOUND, br#"{"error":"nobody is called x","help":"look"}"#);
        assert_eq!((told.error.as_str(), told.help.as_deref()), ("nobody is called x", Some("look")));
        let page = refusal("http://h", StatusCode::BAD_GATEWAY, b"<html>secret</html>");
        assert_eq!(page.error, "http://h answers with HTTP status 502 and does not say why");
    }
}
