//! What the answers of a receiver mean for the revoker.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};

use crate::{Error, error::NoAnswer};

/// Nobody is asked to stay silent for longer than that.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What it said instead of taking the signal. Its words are not repeated: they may quote what we sent.
#[derive(Debug, thiserror::Error)]
#[error("the receiver answered {0}")]
struct Refusal(StatusCode);

#[derive(Debug, thiserror::Error)]
#[error("the receiver answered {0}: nobody takes signals at this address any more")]
struct Gone(StatusCode);

#[derive(Debug, thiserror::Error)]
#[error("the receiver answered {0}, a redirect, which is not followed")]
struct Elsewhere(StatusCode);

/// What the revoker should do when there was no answer.
pub(super) fn unanswered(error: reqwest::Error, timeout: Duration) -> Error {
    if error.is_timeout() {
        return NoAnswer::after(timeout);
    }
    // An address may be a credential.
    Error::Unavailable(Box::new(error.without_url()))
}

/// What it should do about an answer other than 2xx. What is about the address rather than about this one signal holds for all that
/// wait, so it is asked with one of them at a time.
pub(super) fn classify(status: StatusCode, retry_after: Option<Duration>) -> Error {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Error::Throttled { retry_after },
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Error::Throttled { retry_after },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Error::Unavailable(Box::new(Refusal(status))),
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::Unauthorized(Box::new(Gone(status))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Unauthorized(Box::new(Refusal(status))),
        _ if status.is_redirection() => Error::Unauthorized(Box::new(Elsewhere(status))),
        _ if status.is_server_error() => Error::Unavailable(Box::new(Refusal(status))),
        _ => Error::Rejected(Box::new(Refusal(status))),
    }
}

/// How long the receiver asked us to wait, where it said so in seconds (RFC 9110, section 10.2.3).
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}
