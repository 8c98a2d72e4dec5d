//! What the errors of Keycloak mean for the worker.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use crate::Error;

/// The other side stayed silent.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct NoAnswer(Duration);

/// What the server said instead of doing it. Its words may quote a path, and ours hold ids of users, so they are left out.
#[derive(Debug, thiserror::Error)]
#[error("Keycloak answered {0}")]
struct Refusal(StatusCode);

#[derive(Debug, thiserror::Error)]
#[error("Keycloak is not at this address: it answered {0}, a redirect")]
struct Elsewhere(StatusCode);

#[derive(Debug, thiserror::Error)]
#[error("the service account lacks the role {role} of the client realm-management")]
pub(super) struct Lacks {
    pub role: &'static str,
}

/// The code is one of RFC 6749, section 5.2.
#[derive(Debug, thiserror::Error)]
#[error(
    "Keycloak did not sign the client in: {code}; its id, its secret, or `Service accounts roles` may not be right"
)]
struct NotSignedIn {
    code: String,
}

#[derive(Debug, thiserror::Error)]
#[error("there is no such realm at this address")]
struct NoRealm;

/// A list that every realm has was not found. To take it for an empty one would miss everybody.
pub(super) fn no_realm() -> Error {
    refused(NoRealm)
}

/// The answer made no sense. It may hold anything, so it is not repeated here.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not one that Keycloak gives")]
pub(super) struct Garbled;

/// What the worker should do when there was no answer.
pub(super) fn unanswered(error: reqwest::Error, timeout: Duration) -> Error {
    if error.is_timeout() {
        return Error::Unavailable(Box::new(NoAnswer(timeout)));
    }
    // The address holds ids of users.
    Error::Unavailable(Box::new(error.without_url()))
}

/// What the worker should do about an answer that is neither a success nor "not found". `role` is what the request takes.
pub(super) fn classify(status: StatusCode, retry_after: Option<Duration>, role: &'static str) -> Error {
    match status {
        StatusCode::FORBIDDEN => Error::Unauthorized(Box::new(Lacks { role })),
        StatusCode::UNAUTHORIZED => Error::Unauthorized(Box::new(Refusal(status))),
        StatusCode::TOO_MANY_REQUESTS => Error::Throttled { retry_after },
        StatusCode::REQUEST_TIMEOUT => Error::Unavailable(Box::new(Refusal(status))),
        _ if status.is_server_error() => Error::Unavailable(Box::new(Refusal(status))),
        _ if status.is_redirection() => refused(Elsewhere(status)),
        _ => refused(Refusal(status)),
    }
}

/// The same for the token endpoint.
pub(super) fn of_sign_in(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let code = serde_json::from_slice::<Said>(body).map(|said| said.error).unwrap_or_default();
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if is_code => {
            Error::Unauthorized(Box::new(NotSignedIn { code }))
        }
        StatusCode::NOT_FOUND => no_realm(),
        _ => classify(status, retry_after, "view-users"),
    }
}

/// Somebody has to mend the configuration or the server.
fn refused(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Malformed { at: "the answer of Keycloak".to_owned(), source: Box::new(cause) }
}

/// How long the server asked us to wait, where it said so in seconds (RFC 9110, section 10.2.3).
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
